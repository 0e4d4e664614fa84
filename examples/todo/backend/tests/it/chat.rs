//! The chat, with the real MCP server behind it.

use axum::http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use service::token::Audience;

use crate::sse::Events;
use crate::world::{SECRET, World, on_both, token};

on_both!(
    a_conversation_changes_the_list,
    a_foreign_conversation_does_not_exist,
    the_eleventh_message_of_a_minute_is_told_to_wait,
    tools_obey_the_token_and_never_an_argument,
    tools_explain_what_they_refuse,
    a_reply_can_be_followed_as_it_comes,
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

/// Posts one JSON-RPC message to the MCP server.
async fn mcp(world: &World, token: Option<&str>, message: Value) -> (u16, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-06-18"));
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
    }
    let body = message.to_string().into();
    let answer = world
        .client
        .send_raw(Method::POST, &world.mcp_url, headers, body)
        .await
        .expect("the MCP server answers");
    (answer.status.as_u16(), answer.json().unwrap_or(Value::Null))
}

fn tool_call(name: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": name, "arguments": arguments } })
}

async fn tools_obey_the_token_and_never_an_argument(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    let list = || tool_call("list_tasks", json!({}));
    let session_token = ada.token.as_str();
    let forged = token(&ada.id, Audience::ToolCall, "another secret that is also long enough", 60);
    let expired = token(&ada.id, Audience::ToolCall, SECRET, 5);
    for bad in [None, Some("garbage"), Some(session_token), Some(&forged), Some(&expired)] {
        assert_eq!(mcp(&world, bad, list()).await.0, 401, "{bad:?}");
    }
    let (for_ada, for_eve) =
        (token(&ada.id, Audience::ToolCall, SECRET, 60), token(&eve.id, Audience::ToolCall, SECRET, 60));
    let (status, added) =
        mcp(&world, Some(&for_ada), tool_call("add_task", json!({ "title": "Secret plan" }))).await;
    assert_eq!((status, &added["result"]["structuredContent"]["task_id"]), (200, &json!(1)), "{added}");

    for tool in ["list_tasks", "complete_task", "delete_task", "update_task", "add_task"] {
        let arguments = json!({ "user_id": ada.id, "task_id": 1, "title": "mine now" });
        let (_, answer) = mcp(&world, Some(&for_eve), tool_call(tool, arguments)).await;
        assert_eq!(answer["result"]["structuredContent"]["code"], "FORBIDDEN", "{tool}: {answer}");
    }
    assert_eq!(world.titles(&ada).await, ["Secret plan"]);
}

async fn tools_explain_what_they_refuse(world: World) {
    let ada = world.person().await;
    let key = token(&ada.id, Audience::ToolCall, SECRET, 60);
    let call =
        async |name, arguments| mcp(&world, Some(&key), tool_call(name, arguments)).await.1["result"].clone();
    for title in ["One", "Two"] {
        call("add_task", json!({ "title": title })).await;
    }
    let refused = call("complete_task", json!({ "task_id": 9 })).await;
    assert_eq!(refused["isError"], true);
    let answer = &refused["structuredContent"];
    assert_eq!(answer["code"], "TASK_NOT_FOUND");
    assert_eq!(answer["suggestions"], json!([{ "id": 2, "title": "Two" }, { "id": 1, "title": "One" }]));
    let refused = call("add_task", json!({ "title": "x".repeat(201) })).await;
    assert_eq!(refused["structuredContent"]["code"], "INVALID_TITLE");
    assert!(refused["structuredContent"]["message"].as_str().unwrap().contains("201"), "{refused}");
    let refused = call("update_task", json!({ "task_id": 1 })).await;
    assert_eq!(refused["structuredContent"]["code"], "INVALID_REQUEST");
    let listed = call("list_tasks", json!({ "status": "pending" })).await;
    let text: Value = serde_json::from_str(listed["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text.as_array().unwrap().len(), 2, "the text is the bare array");
    assert_eq!(
        call("delete_task", json!({ "task_id": 1, "user_id": ada.id })).await["structuredContent"]["status"],
        "deleted"
    );
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
