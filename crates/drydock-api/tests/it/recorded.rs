//! Manifests, sound and broken, and what a real API server of v1.36.0 answered to them (`data/answers.jsonl.gz`).
//!
//! One line per manifest: where it was posted as a dry run, the manifest, and the answer: for a refusal its code,
//! reason, message and causes, else the completed specification. The manifests are our own.

use std::io::{BufRead as _, BufReader};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::shared::ask;
use crate::world;

const ANSWERS: &[u8] = include_bytes!("data/answers.jsonl.gz");

/// What the recording keeps of an answer.
fn kept(code: u16, answer: &Value) -> Value {
    if code >= 400 {
        let causes = &answer["details"]["causes"];
        return json!({ "code": code, "reason": answer["reason"], "message": answer["message"], "causes": causes });
    }
    let mut spec = answer["spec"].clone();
    forget_what_is_random(&mut spec);
    json!({ "code": code, "spec": spec })
}

fn forget_what_is_random(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("kube-api-access-") => "kube-api-access-X".clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(forget_what_is_random),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(forget_what_is_random);
        }
        _ => {}
    }
}

#[tokio::test]
async fn manifests_are_answered_as_a_real_cluster_answers_them() {
    let world = world().await;
    let namespace = json!({ "metadata": { "name": "kdiff" } });
    assert_eq!(ask(&world.api, "POST", "/api/v1/namespaces", namespace).await.0, 201);
    let (mut seen, mut different) = (0, Vec::new());
    for line in BufReader::new(GzDecoder::new(ANSWERS)).lines() {
        let recorded: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let path = recorded["path"].as_str().unwrap();
        let (code, answer) = ask(&world.api, "POST", path, recorded["body"].clone()).await;
        let ours = kept(code, &answer);
        seen += 1;
        if ours != recorded["answer"] {
            different.push(format!("{}\n  real {}\n  ours {ours}", recorded["body"], recorded["answer"]));
        }
    }
    assert!(seen > 800, "{seen}");
    assert!(different.is_empty(), "{} of {seen} differ:\n{}", different.len(), different.join("\n"));
}
