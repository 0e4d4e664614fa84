//! The MCP server as any client reaches it: JSON-RPC over HTTP.

use axum::http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};
use service::client::Answer;
use service::token::Audience;

use crate::world::{On, SECRET, World, on_both, token};

on_both!(tools_explain_what_they_refuse,);

fn headers(token: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("accept", HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-06-18"));
    if let Some(token) = token {
        headers.insert("authorization", format!("Bearer {token}").parse().expect("a token is ASCII"));
    }
    headers
}

/// Sends `message` with `method`, as the bearer of `token`.
pub async fn send(world: &World, method: Method, token: Option<&str>, message: &Value) -> Answer {
    let body = message.to_string().into();
    world.client.send_raw(method, &world.mcp_url, headers(token), body).await.expect("the MCP server answers")
}

pub fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

pub fn tool_call(name: &str, arguments: &Value) -> Value {
    request("tools/call", json!({ "name": name, "arguments": arguments }))
}

/// The `result` of a request that the bearer of `token` may make.
pub async fn result(world: &World, token: &str, message: &Value) -> Value {
    let answer = send(world, Method::POST, Some(token), message).await;
    assert_eq!(answer.status, 200, "{message}");
    answer.json::<Value>().expect("JSON")["result"].take()
}

async fn tools_explain_what_they_refuse(world: World) {
    let ada = world.person().await;
    let key = token(&ada.id, Audience::ToolCall, SECRET, 60);
    let call = async |name, arguments: Value| result(&world, &key, &tool_call(name, &arguments)).await;
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
    for (tool, nonsense) in [
        ("complete_task", json!({})),
        ("complete_task", json!({ "task_id": "the first" })),
        ("delete_task", json!({ "task_id": null })),
        ("update_task", json!({ "task_id": 1, "title": 7 })),
        ("add_task", json!({ "description": "no title" })),
        ("list_tasks", json!({ "status": "sometimes" })),
    ] {
        let refused = call(tool, nonsense.clone()).await;
        let answer = &refused["structuredContent"];
        assert_eq!(answer["code"], "INVALID_REQUEST", "{tool} {nonsense}: {refused}");
        assert!(!answer["message"].as_str().unwrap().is_empty());
    }
    let completed = call("complete_task", json!({ "task_id": "2" })).await;
    assert_eq!(completed["structuredContent"]["status"], "completed", "a number may be written as text");
    call("add_task", json!({ "title": "Three" })).await;
    let listed = call("list_tasks", json!({ "status": "pending" })).await;
    let text: Value = serde_json::from_str(listed["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text.as_array().unwrap().len(), 2, "the text is the bare array");
    let deleted = call("delete_task", json!({ "task_id": 1, "user_id": ada.id })).await;
    assert_eq!(deleted["structuredContent"]["status"], "deleted");
}

/// A page of another site can make a browser on this machine call us, by another name of ours or across origins.
#[tokio::test]
async fn names_and_origins_that_are_not_ours_are_refused_even_with_a_good_token() {
    let Some(world) = World::on(On::Sqlite).await else { return };
    let ada = world.person().await;
    let key = token(&ada.id, Audience::ToolCall, SECRET, 60);
    let added = tool_call("add_task", &json!({ "title": "evil" }));
    for (name, value, status) in [
        ("host", "127.0.0.1", 200),
        ("host", "127.0.0.1:8001", 200),
        ("host", "evil.example", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("host", "mcp-server", 403),
        ("origin", "http://evil.example", 403),
        ("origin", "http://127.0.0.1", 403),
        ("origin", "null", 403),
    ] {
        let before = world.titles(&ada).await.len();
        let mut headers = headers(Some(&key));
        headers.insert(name, value.parse().expect("ASCII"));
        let body = added.to_string().into();
        let asking = world.client.send_raw(Method::POST, &world.mcp_url, headers, body);
        assert_eq!(asking.await.expect("an answer").status, status, "{name}: {value}");
        assert_eq!(world.titles(&ada).await.len() - before, usize::from(status == 200), "{name}: {value}");
    }
}
