//! The chat, with the real MCP server behind it.

use axum::http::Method;
use serde_json::{Value, json};

use crate::sse::Events;
use crate::world::{World, on_both};

on_both!(
    a_conversation_changes_the_list,
    a_foreign_conversation_does_not_exist,
    the_eleventh_message_of_a_minute_is_told_to_wait,
    a_reply_can_be_followed_as_it_comes,
    what_the_chat_did_is_taken_back_in_words,
);

async fn a_conversation_changes_the_list(world: World) {
    let ada = world.person().await;
    let reply = world.say(&ada, None, "add a task to buy groceries").await;
    assert_eq!(reply["tool_calls"][0]["tool"], "add_task");
    assert_eq!(world.titles(&ada).await, ["Buy groceries"]);
    let conversation = reply["conversation_id"].as_i64();
    world.say(&ada, conversation, "I need to remember to pay bills").await;
    let reply = world.say(&ada, conversation, "what's pending?").await;
    assert!(reply["response"].as_str().unwrap().contains("2 pending tasks"), "{reply}");
    world.say(&ada, conversation, "mark the first task as complete").await;
    assert_eq!(world.own(&ada, Method::GET, "/tasks/1", Value::Null).await.1["completed"], true);
    world.say(&ada, conversation, "delete the last task").await;
    assert_eq!(world.titles(&ada).await.len(), 2, "nothing is deleted before the answer");
    let reply = world.say(&ada, conversation, "yes").await;
    assert_eq!(reply["tool_calls"][0]["tool"], "delete_task");
    assert_eq!(world.titles(&ada).await, ["Buy groceries"]);

    let (_, history) = world.own(&ada, Method::GET, "/chat/history", Value::Null).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 12);
    assert_eq!(world.own(&ada, Method::DELETE, "/chat/history", Value::Null).await.0, 204);
    assert_eq!(
        world.own(&ada, Method::GET, "/chat/history", Value::Null).await.1["conversation_id"],
        Value::Null
    );
}

async fn a_foreign_conversation_does_not_exist(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    let conversation = world.say(&ada, None, "hello").await["conversation_id"].clone();
    let body = json!({ "conversation_id": conversation, "message": "yes" });
    assert_eq!(world.own(&eve, Method::POST, "/chat", body).await.0, 404);
    assert_eq!(world.own(&eve, Method::POST, "/chat", json!({ "message": " " })).await.0, 422);
    assert_eq!(world.own(&eve, Method::POST, "/chat", json!({ "message": "x".repeat(10_001) })).await.0, 422);
}

async fn the_eleventh_message_of_a_minute_is_told_to_wait(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    for _ in 0..10 {
        world.say(&ada, None, "hello").await;
    }
    let path = format!("/api/{}/chat", ada.id);
    let answer = world.call(Method::POST, &path, Some(&ada.token), Some(json!({ "message": "hello" }))).await;
    assert_eq!(answer.status, 429);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    world.say(&eve, None, "hello").await;
}

async fn a_reply_can_be_followed_as_it_comes(world: World) {
    let ada = world.person().await;
    let url = format!("{}/api/{}/chat", world.base, ada.id);
    let body = json!({ "message": "add a task to buy groceries" });
    let mut events = Events::open(&world.client, Method::POST, &url, &ada, Some(&body)).await;
    let start = events.next().await.unwrap();
    assert_eq!(start.name, "start");
    let tool = events.next().await.unwrap();
    assert_eq!((tool.name.as_str(), &tool.data["tool"]), ("tool", &json!("add_task")));
    let mut text = String::new();
    let done = loop {
        let event = events.next().await.unwrap();
        match event.name.as_str() {
            "delta" => text.push_str(event.data["text"].as_str().unwrap()),
            _ => break event,
        }
    };
    assert_eq!((done.name.as_str(), &done.data["response"]), ("done", &json!(text)));
    assert_eq!(done.data["conversation_id"], start.data["conversation_id"]);
    assert!(events.next().await.is_none());
    let conversation = done.data["conversation_id"].as_i64();
    let asked = world.say(&ada, conversation, "delete it").await;
    assert_eq!(asked["waiting"]["kind"], "confirm_delete", "{asked}");
    let history = world.own(&ada, Method::GET, "/chat/history", Value::Null).await.1;
    assert_eq!(history["messages"][3]["waiting"], asked["waiting"], "{history}");
    let empty = json!({});
    let refused =
        world.client.stream(Method::POST, &url, Some(&ada.token), "text/event-stream", Some(&empty));
    assert_eq!(refused.await.unwrap().status, 422, "what is refused is an ordinary answer");
}

async fn what_the_chat_did_is_taken_back_in_words(world: World) {
    let ada = world.person().await;
    let added = world.say(&ada, None, "add tasks: milk, eggs and bread").await;
    let conversation = added["conversation_id"].as_i64();
    let say = async |message| world.say(&ada, conversation, message).await;
    let all = ["Milk", "Eggs", "Bread"];
    assert_eq!(world.titles(&ada).await, all, "{added}");
    let asked = say("delete tasks 1 and 3").await;
    assert_eq!(asked["waiting"]["also"], json!([{ "id": 3, "title": "Bread" }]), "{asked}");
    assert_eq!(world.titles(&ada).await, all);
    say("yes").await;
    assert_eq!(world.titles(&ada).await, ["Eggs"]);
    let undone = say("bring that back").await;
    assert_eq!(undone["tool_calls"][0]["tool"], "restore_task", "{undone}");
    say("undo").await;
    assert_eq!(world.titles(&ada).await, all);
    say("mark the eggs as done and rename task 1 to oat milk").await;
    assert_eq!(world.titles(&ada).await, ["Oat milk", "Eggs", "Bread"]);
    say("undo").await;
    say("undo that").await;
    let (_, pending) = world.own(&ada, Method::GET, "/tasks?status=pending", Value::Null).await;
    assert_eq!(pending.as_array().unwrap().len(), 3, "{pending}");
    assert_eq!(world.titles(&ada).await, all);
}
