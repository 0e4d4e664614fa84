//! JSON patch (RFC 6902) as API servers carry it out, which is laxer than the standard in two places: `replace` sets
//! what is not there, and `copy` of something absent copies null.
//!
//! Bounded: copies may not add up to more than a request may weigh.

use serde_json::Value;

/// What all copied values of one patch may weigh as text.
const MAX_COPIED_BYTES: usize = 3 << 20;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonPatchError {
    #[error("operation {index} cannot be carried out at `{path}`: {why}")]
    Failed { index: usize, path: String, why: &'static str },
}

/// Carries out all operations in order; `document` is unusable after an error.
pub fn json_patch(document: &mut Value, operations: &[Value]) -> Result<(), JsonPatchError> {
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        let text = |name: &str| operation.get(name).and_then(Value::as_str);
        let path = text("path").unwrap_or_default().to_owned();
        let failed = |why| JsonPatchError::Failed { index, path: path.clone(), why };
        let mut operate = || -> Result<(), &'static str> {
            let path = tokens(text("path").ok_or("it has no path")?)?;
            let value = || operation.get("value").cloned().unwrap_or(Value::Null);
            let from = || tokens(text("from").ok_or("it has no from")?);
            match text("op") {
                Some("add") => add(document, &path, value()),
                Some("remove") => remove(document, &path).map(drop),
                Some("replace") => replace(document, &path, value()),
                Some("move") => {
                    let value = remove(document, &from()?)?;
                    add(document, &path, value)
                }
                Some("copy") => {
                    let value = get(document, &from()?)?.cloned().unwrap_or(Value::Null);
                    copied += value.to_string().len();
                    if copied > MAX_COPIED_BYTES {
                        return Err("copies add up to more than allowed");
                    }
                    add(document, &path, value)
                }
                Some("test") => match get(document, &path)?.unwrap_or(&Value::Null) == &value() {
                    true => Ok(()),
                    false => Err("the value is another one"),
                },
                _ => Err("there is no such operation"),
            }
        };
        operate().map_err(failed)?;
    }
    Ok(())
}

fn tokens(pointer: &str) -> Result<Vec<String>, &'static str> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let rest = pointer.strip_prefix('/').ok_or("a path starts with a slash")?;
    Ok(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// The value at a path; `None` when only its last step leads nowhere in an object.
fn get<'v>(document: &'v Value, path: &[String]) -> Result<Option<&'v Value>, &'static str> {
    let Some((last, parents)) = path.split_last() else { return Ok(Some(document)) };
    let mut place = document;
    for token in parents {
        place = step(place, token).ok_or("nothing is there")?;
    }
    match place {
        Value::Object(fields) => Ok(fields.get(last)),
        Value::Array(items) => Ok(Some(&items[position(last, items.len(), items.len())?])),
        _ => Err("nothing is there"),
    }
}

fn step<'v>(place: &'v Value, token: &str) -> Option<&'v Value> {
    match place {
        Value::Object(fields) => fields.get(token),
        Value::Array(items) => items.get(position(token, items.len(), items.len()).ok()?),
        _ => None,
    }
}

fn parent<'v>(document: &'v mut Value, parents: &[String]) -> Result<&'v mut Value, &'static str> {
    parents.iter().try_fold(document, |place, token| match place {
        Value::Object(fields) => fields.get_mut(token).ok_or("nothing is there"),
        Value::Array(items) => {
            let index = position(token, items.len(), items.len())?;
            items.get_mut(index).ok_or("nothing is there")
        }
        _ => Err("nothing is there"),
    })
}

/// An index below `end`; negative ones count from the back of `length` items.
fn position(token: &str, length: usize, end: usize) -> Result<usize, &'static str> {
    let index: i64 = token.parse().map_err(|_| "that is no index")?;
    let length = i64::try_from(length).map_err(|_| "that list is too long")?;
    let index = if index < 0 { index + length } else { index };
    usize::try_from(index).ok().filter(|index| *index < end).ok_or("the index is out of bounds")
}

fn add(document: &mut Value, path: &[String], value: Value) -> Result<(), &'static str> {
    let Some((last, parents)) = path.split_last() else {
        *document = value;
        return Ok(());
    };
    match parent(document, parents)? {
        Value::Object(fields) => drop(fields.insert(last.clone(), value)),
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let index = position(last, items.len() + 1, items.len() + 1)?;
            items.insert(index, value);
        }
        _ => return Err("nothing is there to add to"),
    }
    Ok(())
}

fn replace(document: &mut Value, path: &[String], value: Value) -> Result<(), &'static str> {
    let Some((last, parents)) = path.split_last() else {
        *document = value;
        return Ok(());
    };
    match parent(document, parents)? {
        Value::Object(fields) => drop(fields.insert(last.clone(), value)),
        Value::Array(items) => {
            let index = position(last, items.len(), items.len())?;
            items[index] = value;
        }
        _ => return Err("nothing is there to replace"),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &[String]) -> Result<Value, &'static str> {
    let Some((last, parents)) = path.split_last() else { return Err("the whole object cannot be removed") };
    match parent(document, parents)? {
        Value::Object(fields) => fields.remove(last).ok_or("nothing is there to remove"),
        Value::Array(items) => {
            let index = position(last, items.len(), items.len())?;
            Ok(items.remove(index))
        }
        _ => Err("nothing is there to remove"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(document: Value, operation: Value, expect: Option<Value>) {
        let mut after = document;
        let outcome = json_patch(&mut after, &[operation]);
        assert_eq!(outcome.is_ok(), expect.is_some(), "{outcome:?}");
        if let Some(expect) = expect {
            assert_eq!(after, expect);
        }
    }

    #[test]
    fn replace_sets_what_is_not_there() {
        check(json!({}), json!({"op": "replace", "path": "/a", "value": 1}), Some(json!({"a": 1})));
        check(json!([]), json!({"op": "replace", "path": "/0", "value": 1}), None);
    }

    #[test]
    fn add_needs_only_the_parent() {
        check(json!({}), json!({"op": "add", "path": "/a", "value": 1}), Some(json!({"a": 1})));
        check(json!({}), json!({"op": "add", "path": "/a/b", "value": 1}), None);
        check(json!([1]), json!({"op": "add", "path": "/-", "value": 2}), Some(json!([1, 2])));
        check(json!([1]), json!({"op": "add", "path": "/0", "value": 2}), Some(json!([2, 1])));
        check(json!([1]), json!({"op": "add", "path": "/2", "value": 2}), None);
    }

    #[test]
    fn what_is_absent_can_be_neither_removed_nor_moved() {
        check(json!({}), json!({"op": "remove", "path": "/a"}), None);
        check(json!({}), json!({"op": "move", "from": "/a", "path": "/b"}), None);
        check(json!({"a": 1}), json!({"op": "move", "from": "/a", "path": "/b"}), Some(json!({"b": 1})));
    }

    #[test]
    fn escaped_names_are_found() {
        let document = json!({"metadata": {"annotations": {"a/b~c": "x"}}});
        let path = "/metadata/annotations/a~1b~0c";
        check(document.clone(), json!({"op": "test", "path": path, "value": "x"}), Some(document));
    }

    #[test]
    fn an_absent_value_tests_as_null() {
        check(json!({}), json!({"op": "test", "path": "/a", "value": null}), Some(json!({})));
        check(json!({}), json!({"op": "test", "path": "/a", "value": 1}), None);
    }

    #[test]
    fn copies_are_bounded() {
        let mut document = json!({"a": "x".repeat(1 << 20)});
        let copies: Vec<Value> =
            (0..4).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/b{n}")})).collect();
        assert!(json_patch(&mut document, &copies).is_err());
    }
}
