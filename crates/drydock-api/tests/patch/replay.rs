//! Runs one case through our engine, in the words of the recorder: see `upstream/README.md` for the form of a line.

use drydock_api::patch::{Apply, ApplyError, Writer, apply, strategic_merge, track_update};
use drydock_kinds::schema::{Schema, Type, conform};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub fn root(case: &Value) -> Type<'static> {
    let api_version = case["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Schema::builtin().kind(group, version, case["kind"].as_str().unwrap()).expect("a kind with a schema")
}

/// `{"object": ..}` or `{"error": ..}` of a strategic merge.
pub fn strategic(case: &Value) -> Value {
    match strategic_merge(&case["live"], &case["patch"], root(case)) {
        Ok(mut object) => match conform(&mut object, root(case)) {
            Ok(_) => json!({ "object": object }),
            Err(error) => json!({ "error": format!("decode: {error}") }),
        },
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// The outcome of each step of an apply case.
pub fn steps(case: &Value) -> Vec<Value> {
    let (root, mut live) = (root(case), None::<Value>);
    let steps = case["steps"].as_array().unwrap().iter().enumerate();
    steps
        .map(|(second, step)| {
            let outcome = one_step(step, live.as_ref(), root, second as i64);
            if let Some(object) = outcome.get("object") {
                live = Some(object.clone());
            }
            outcome
        })
        .collect()
}

fn one_step(step: &Value, live: Option<&Value>, root: Type<'_>, second: i64) -> Value {
    let excluded: Vec<&str> =
        step["excluded"].as_array().into_iter().flatten().filter_map(|path| path[0].as_str()).collect();
    let writer = Writer {
        manager: step["manager"].as_str().unwrap_or_default(),
        subresource: step["sub"].as_str().unwrap_or_default(),
        excluded: &excluded,
    };
    let now = Timestamp::from_second(second).unwrap();
    let outcome = match step["verb"].as_str().unwrap() {
        "apply" => {
            let force = step["force"].as_bool().unwrap_or(false);
            let outcome = apply(Apply { live, config: &step["object"], root, writer, force, now });
            outcome.map_err(|error| refusal(&error))
        }
        _ => {
            let mut new = step["object"].clone();
            match conform(&mut new, root) {
                Err(error) => Err(json!({ "error": format!("decode: {error}") })),
                Ok(_) => {
                    track_update(live, &mut new, root, writer, now);
                    Ok(new)
                }
            }
        }
    };
    match outcome {
        Ok(mut object) => match conform(&mut object, root) {
            Ok(_) => json!({ "object": object }),
            Err(error) => json!({ "error": format!("decode: {error}") }),
        },
        Err(refused) => refused,
    }
}

fn refusal(error: &ApplyError) -> Value {
    let mut out = json!({ "error": error.to_string() });
    if let ApplyError::Conflicts(conflicts) = error {
        let causes = conflicts.iter().map(|conflict| {
            json!({ "reason": "FieldManagerConflict", "message": conflict.message, "field": conflict.field })
        });
        out["causes"] = causes.collect();
    }
    out
}

/// An answer without what the two sides may write differently: times, and fields without content.
pub fn comparable(answer: &Value) -> Value {
    let mut answer = answer.clone();
    let owners = answer.pointer_mut("/object/metadata/managedFields").and_then(Value::as_array_mut);
    let owners = owners.map(|owners| {
        // Their times decide their order; without clocks in step the order means nothing.
        for owner in owners.iter_mut() {
            if owner.get("time").is_some() {
                owner["time"] = "now".into();
            }
        }
        owners.sort_by_key(|owner| owner.to_string());
        std::mem::take(owners)
    });
    // Upstream walks a map of managers, so the causes come in any order.
    if let Some(causes) = answer["causes"].as_array_mut() {
        causes.sort_by_key(|cause| cause.to_string());
    }
    let mut out = without_empties(&answer).unwrap_or(Value::Null);
    if let Some(owners) = owners.filter(|owners| !owners.is_empty()) {
        out["object"]["metadata"]["managedFields"] = owners.into();
    }
    // Go prints maps in its own way inside of messages.
    if let Some(error) = out["error"].as_str() {
        let plain = error.split("map[").next().unwrap_or(error).to_owned();
        out["error"] = plain.into();
    } else if let Some(out) = out.as_object_mut() {
        out.remove("error");
    }
    out
}

fn without_empties(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        // Go writes zeroes that were never set; the generator makes none.
        Value::String(text) if text.is_empty() || text == "0" => None,
        Value::Number(number) if number.as_i64() == Some(0) => None,
        Value::Object(fields) => {
            let kept: Map<String, Value> = fields
                .iter()
                .filter_map(|(name, child)| Some((name.clone(), without_empties(child)?)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<Value> =
                items.iter().map(|item| without_empties(item).unwrap_or(json!({}))).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other.clone()),
    }
}
