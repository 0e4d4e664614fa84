//! One HTTP request of a scenario, and what is recorded of its answer.
//!
//! The status code stands for the exit code, the pretty-printed body for stdout (a watch: one document per event), and
//! the headers that mean something for stderr.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;

use crate::mask::Mask;
use crate::run::Outcome;
use crate::scenario::Request;

/// A watch ends by its own `timeoutSeconds`; nothing else takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
const HEADERS: [&str; 4] = ["content-type", "warning", "retry-after", "allow"];

/// Values that earlier answers gave, by `$NAME`.
pub type Saved = BTreeMap<String, String>;

pub async fn send(client: &kube::Client, request: &Request, saved: &mut Saved, mask: &Mask) -> Outcome {
    match tokio::time::timeout(PATIENCE, exchange(client, request, saved, mask)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Outcome { code: -1, out: String::new(), err: mask.apply(&format!("{error:#}")) },
        Err(_) => Outcome { code: -1, out: String::new(), err: "no answer in time".to_owned() },
    }
}

async fn exchange(
    client: &kube::Client,
    request: &Request,
    saved: &mut Saved,
    mask: &Mask,
) -> anyhow::Result<Outcome> {
    let response = client.send(built(request, saved)?).await?;
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let mut headers = String::new();
    for name in HEADERS {
        for value in parts.headers.get_all(name) {
            headers += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
        }
    }
    let mut documents: Option<Vec<Value>> = match text.trim_start().starts_with(['{', '[']) {
        true => serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().ok(),
        false => None,
    };
    documents.iter_mut().flatten().for_each(sort_owners);
    let out = match documents {
        Some(documents) => shown(&documents, request, saved)?,
        None => text.into_owned(),
    };
    Ok(Outcome { code: parts.status.as_u16().into(), out: mask.apply(&out), err: mask.apply(&headers) })
}

fn built(request: &Request, saved: &Saved) -> anyhow::Result<http::Request<Body>> {
    let fill =
        |text: &str| saved.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let body = fill(&request.body);
    let mut builder = http::Request::builder().method(request.method.as_str()).uri(fill(&request.path));
    for (name, value) in &request.headers {
        builder = builder.header(name, fill(value));
    }
    let given = |wanted: &str| request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    if !body.is_empty() && !given("content-type") {
        // `{kind: Pod}` is YAML, `{"kind":"Pod"}` is JSON.
        let json = ["{\"", "{}", "["].iter().any(|start| body.starts_with(start));
        builder = builder.header("content-type", if json { "application/json" } else { "application/yaml" });
    }
    if !given("accept") {
        builder = builder.header("accept", "application/json");
    }
    Ok(builder.body(Body::from(body.into_bytes()))?)
}

/// Owners of fields stand in the order of the seconds in which they wrote, which differ from run to run.
fn sort_owners(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::Array(owners) if name == "managedFields" => owners.sort_by_key(identity),
                    value => sort_owners(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort_owners),
        _ => {}
    }
}

fn identity(owner: &Value) -> [String; 3] {
    ["manager", "operation", "subresource"].map(|part| owner[part].to_string())
}

/// The documents as text with sorted keys, or the parts of them that were asked for.
fn shown(documents: &[Value], request: &Request, saved: &mut Saved) -> anyhow::Result<String> {
    let first = documents.first().unwrap_or(&Value::Null);
    for (name, pointer) in &request.save {
        let value = first.pointer(pointer).cloned().unwrap_or_default();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        saved.insert(name.clone(), value);
    }
    let mut text = String::new();
    for document in documents {
        if request.only.is_empty() {
            text += &format!("{}\n", serde_json::to_string_pretty(document)?);
        }
        for pointer in &request.only {
            let part = document.pointer(pointer);
            let part = part.map_or(Ok("(absent)".to_owned()), serde_json::to_string_pretty)?;
            text += &format!("{pointer} {part}\n");
        }
    }
    Ok(text)
}
