//! What a real kube-apiserver v1.36.0 answered to our requests, one after the other: code, reason, message, details and
//! warnings must be the same here.
//!
//! `data/answers.jsonl` was recorded from kube-apiserver v1.36.0 with etcd and kube-controller-manager: one request per
//! line, in two tables that each start with an empty namespace. Lines with `"differs"` are known to be answered in
//! other words here; they are sent all the same, because later lines build on them, and only the count is checked.

use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{World, world};

const ANSWERS: &str = include_str!("data/answers.jsonl");
/// How many answers differ, known and told in the file. May only go down.
const KNOWN_TO_DIFFER: usize = 37;

async fn ask(world: &World, case: &Value) -> (u16, Value, Vec<String>) {
    let text = |name: &str| case[name].as_str().unwrap_or_default();
    let mut request = http::Request::builder()
        .method(text("method"))
        .uri(text("path").replace("NS", "ns"))
        .header("user-agent", "probe/1");
    if !case["body"].is_null() {
        request = request.header("content-type", text("contentType"));
    }
    let body = text("body").replace("NS", "ns").into_bytes();
    let response = world.client.send(request.body(kube::client::Body::from(body)).unwrap()).await.unwrap();
    let warnings = response.headers().get_all("warning").iter();
    let mut warnings: Vec<String> = warnings.map(|value| value.to_str().unwrap().to_owned()).collect();
    warnings.sort();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null), warnings)
}

/// A text without what is another one in every run: uids, revisions and times.
fn timeless(text: &str) -> String {
    let is_uid = |word: &str| word.len() == 36 && word.bytes().filter(|byte| *byte == b'-').count() == 4;
    let mut out = String::new();
    for word in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
        let (body, end) = match word.char_indices().next_back() {
            Some((at, c)) if !c.is_ascii_alphanumeric() && c != '-' => word.split_at(at),
            _ => (word, ""),
        };
        out.push_str(if is_uid(body) { "UID" } else { body });
        out.push_str(end);
    }
    out.replace("ns", "NS")
}

fn differences(case: &Value, status: u16, answer: &Value, warnings: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, theirs: String, ours: String| {
        let (theirs, ours) = (timeless(&theirs), timeless(&ours));
        if theirs != ours {
            found.push(format!("{what}\n    upstream {theirs}\n        ours {ours}"));
        }
    };
    compare("code", case["code"].to_string(), status.to_string());
    compare("warnings", case["warnings"].to_string(), Value::from(warnings.to_vec()).to_string());
    if answer["kind"] == "Status" || case.get("message").is_some() {
        for field in ["reason", "message", "details"] {
            compare(field, case[field].to_string(), answer[field].to_string());
        }
    }
    found
}

#[tokio::test]
async fn requests_are_answered_as_a_real_api_server_answers_them() {
    let cases: Vec<Value> = ANSWERS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 200);
    let mut wrong = Vec::new();
    for table in ["configmaps", "workloads"] {
        let world = world().await;
        let namespace = serde_json::json!({
            "method": "POST", "path": "/api/v1/namespaces", "contentType": "application/json",
            "body": r#"{"metadata":{"name":"ns"}}"#,
        });
        assert_eq!(ask(&world, &namespace).await.0, 201);
        for case in cases.iter().filter(|case| case["table"] == table) {
            let (status, answer, warnings) = ask(&world, case).await;
            let found = differences(case, status, &answer, &warnings);
            if !found.is_empty() && case.get("differs").is_none() {
                wrong.push(format!("{} {}: {}", case["method"], case["name"], found.join("\n  ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let known = cases.iter().filter(|case| case.get("differs").is_some()).count();
    assert!(known <= KNOWN_TO_DIFFER, "{known} answers are said to differ");
}
