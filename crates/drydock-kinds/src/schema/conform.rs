//! Makes an object agree with its schema, as decoding into a typed structure would.
//!
//! For every object that enters the API: unknown fields are dropped and reported, nulls and empty optional lists and
//! maps vanish, quantities and times take their canonical form, and a value of the wrong type is refused. What comes
//! out can be read by any typed client.

use jiff::Timestamp;
use serde_json::Value;

use super::types::{Shape, Type};

/// A value of the wrong type. Answer 400; the text is what Go's decoder says, because clients know it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("json: cannot unmarshal {shown} into Go struct field {owner}.{path} of type {expected}")]
    Type { found: &'static str, shown: String, owner: String, path: String, expected: String },
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Quantity { path: String },
    #[error("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse")]
    Time { path: String, text: String },
    #[error("illegal base64 data at input byte {at}")]
    Base64 { at: usize },
}

/// Returns the unknown fields that were dropped, each as `unknown field "spec.foo"`.
pub fn conform(object: &mut Value, root: Type<'_>) -> Result<Vec<String>, Mismatch> {
    let mut walk = Walk { path: String::new(), fields: Vec::new(), owner: "", unknown: Vec::new() };
    walk.value(object, root)?;
    Ok(walk.unknown)
}

struct Walk<'s> {
    path: String,
    /// The fields of structures on the way, for error texts.
    fields: Vec<String>,
    /// The last named structure passed, for error texts.
    owner: &'s str,
    unknown: Vec<String>,
}

impl<'s> Walk<'s> {
    fn value(&mut self, value: &mut Value, ty: Type<'s>) -> Result<(), Mismatch> {
        match (ty.shape(), &mut *value) {
            (Shape::Any, _) | (Shape::Boolean, Value::Bool(_)) | (Shape::String, Value::String(_)) => Ok(()),
            (Shape::Struct, Value::Object(_)) => self.structure(value, ty),
            (Shape::Map, Value::Object(_)) => self.map(value, ty),
            (Shape::List, Value::Array(_)) => self.list(value, ty),
            (Shape::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
            (Shape::Integer32, Value::Number(number)) if fits_i32(number) => Ok(()),
            (Shape::Number, Value::Number(_)) => Ok(()),
            (Shape::IntOrString, Value::String(_)) => Ok(()),
            (Shape::IntOrString, Value::Number(number)) if fits_i32(number) => Ok(()),
            (Shape::Bytes, Value::String(text)) => self.bytes(text),
            (Shape::Quantity, Value::String(_) | Value::Number(_)) => self.quantity(value),
            (Shape::Time, Value::String(text)) => self.time(text, 0),
            (Shape::MicroTime, Value::String(text)) => self.time(text, 6),
            (shape, found) => Err(self.mismatch(found, ty, shape)),
        }
    }

    fn structure(&mut self, value: &mut Value, ty: Type<'s>) -> Result<(), Mismatch> {
        let Value::Object(fields) = value else { return Ok(()) };
        let outer = self.owner;
        self.owner = ty.name().and_then(|name| name.rsplit('.').next()).unwrap_or(outer);
        let mut dropped = Vec::new();
        for (name, child) in fields.iter_mut() {
            let length = self.enter(name);
            self.fields.push(name.clone());
            match ty.field(name) {
                None => {
                    self.unknown.push(format!("unknown field {:?}", self.path));
                    dropped.push(name.clone());
                }
                Some(_) if child.is_null() => dropped.push(name.clone()),
                Some(field) => {
                    self.value(child, field.ty)?;
                    // An empty `managedFields` is a request to forget all owners and must arrive.
                    if is_empty_collection(child, field.ty) && !field.is_required() && name != "managedFields"
                    {
                        dropped.push(name.clone());
                    }
                }
            }
            self.fields.pop();
            self.path.truncate(length);
        }
        for name in dropped {
            fields.remove(&name);
        }
        self.owner = outer;
        Ok(())
    }

    fn map(&mut self, value: &mut Value, ty: Type<'s>) -> Result<(), Mismatch> {
        let (Value::Object(entries), Some(items)) = (value, ty.items()) else { return Ok(()) };
        for (key, child) in entries.iter_mut() {
            let length = self.enter(key);
            fill_null(child, items);
            if !child.is_null() {
                self.value(child, items)?;
            }
            self.path.truncate(length);
        }
        entries.retain(|_, child| !child.is_null());
        Ok(())
    }

    fn list(&mut self, value: &mut Value, ty: Type<'s>) -> Result<(), Mismatch> {
        let (Value::Array(list), Some(items)) = (value, ty.items()) else { return Ok(()) };
        for (index, child) in list.iter_mut().enumerate() {
            let length = self.path.len();
            self.path.push_str(&format!("[{index}]"));
            fill_null(child, items);
            self.value(child, items)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn bytes(&self, text: &str) -> Result<(), Mismatch> {
        use base64::{DecodeError, Engine as _};
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        decoded.map(drop).map_err(|error| match error {
            DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => {
                Mismatch::Base64 { at }
            }
            DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
                Mismatch::Base64 { at: text.len() }
            }
        })
    }

    fn quantity(&self, value: &mut Value) -> Result<(), Mismatch> {
        let written = match &*value {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        let canonical = kubernetes_quantity::canonical(&written);
        *value = Value::from(canonical.ok_or_else(|| Mismatch::Quantity { path: self.path.clone() })?);
        Ok(())
    }

    fn time(&self, text: &mut String, digits: usize) -> Result<(), Mismatch> {
        let refused = || Mismatch::Time { path: self.path.clone(), text: text.clone() };
        let stamp = text.parse::<Timestamp>().map_err(|_| refused())?;
        *text = if digits == 0 {
            stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        } else {
            stamp.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
        };
        Ok(())
    }

    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    /// Go's decoder names the fields of structures on the way, neither indices nor keys of maps.
    fn mismatch(&self, found: &Value, ty: Type<'s>, expected: Shape) -> Mismatch {
        let is_whole = |number: &serde_json::Number| number.is_i64() && expected == Shape::Integer;
        let shown = match found {
            Value::Number(number)
                if matches!(expected, Shape::Integer | Shape::Integer32) && !is_whole(number) =>
            {
                format!("number {number}")
            }
            other => json_type(other).to_owned(),
        };
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        Mismatch::Type {
            found: json_type(found),
            shown,
            owner: self.owner.to_owned(),
            path: fields.join("."),
            expected: go_type(ty),
        }
    }
}

fn fits_i32(number: &serde_json::Number) -> bool {
    number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
}

fn is_empty_collection(value: &Value, ty: Type<'_>) -> bool {
    match (ty.shape(), value) {
        (Shape::Map, Value::Object(entries)) => entries.is_empty(),
        (Shape::List, Value::Array(items)) => items.is_empty(),
        _ => false,
    }
}

/// A null inside a collection stands for the empty value of its type.
fn fill_null(value: &mut Value, ty: Type<'_>) {
    if !value.is_null() {
        return;
    }
    match ty.shape() {
        Shape::String | Shape::Bytes => *value = Value::from(""),
        Shape::Struct | Shape::Map => *value = Value::Object(serde_json::Map::new()),
        Shape::List => *value = Value::Array(Vec::new()),
        Shape::Quantity => *value = Value::from("0"),
        _ => {}
    }
}

/// The type of a decoded value as Go names it.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// As Go prints the type: `int32`, `[]v1.Container`, `map[string]string`.
fn go_type(ty: Type<'_>) -> String {
    let items = || ty.items().map_or_else(|| "interface {}".to_owned(), go_type);
    let plain = match ty.shape() {
        Shape::Struct => match ty.name() {
            Some(name) => {
                let mut parts = name.rsplit('.');
                let (kind, package) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                return format!("{package}.{kind}");
            }
            None => "struct",
        },
        Shape::Map => return format!("map[string]{}", items()),
        Shape::List => return format!("[]{}", items()),
        Shape::String => "string",
        Shape::Integer => "int64",
        Shape::Integer32 => "int32",
        Shape::Number => "float64",
        Shape::Boolean => "bool",
        Shape::Bytes => "[]uint8",
        Shape::Time => "v1.Time",
        Shape::MicroTime => "v1.MicroTime",
        Shape::Quantity => "resource.Quantity",
        Shape::IntOrString => "intstr.IntOrString",
        Shape::Any => "interface {}",
    };
    plain.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;
    use serde_json::json;

    fn pod(spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec})
    }

    #[track_caller]
    fn check(spec: Value, expect: Result<(Value, &[&str]), &str>) {
        let root = Schema::builtin().kind("", "v1", "Pod").expect("pods have a schema");
        let mut object = pod(spec);
        match (conform(&mut object, root), expect) {
            (Ok(unknown), Ok((spec, names))) => {
                assert_eq!(object, pod(spec));
                assert_eq!(unknown, names);
            }
            (Err(error), Err(text)) => assert_eq!(error.to_string(), text),
            (got, expect) => panic!("got {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn unknown_fields_are_dropped_and_named_with_their_path() {
        check(
            json!({"containers": [{"name": "a", "imagge": "x"}], "foo": 1}),
            Ok((
                json!({"containers": [{"name": "a"}]}),
                &[r#"unknown field "spec.containers[0].imagge""#, r#"unknown field "spec.foo""#],
            )),
        );
    }

    #[test]
    fn quantities_take_their_canonical_form() {
        check(
            json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": 0.25}}}]}),
            Ok((
                json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "250m"}}}]}),
                &[],
            )),
        );
    }

    #[test]
    fn nulls_and_empty_optional_collections_vanish() {
        check(
            json!({"containers": [], "nodeName": null, "tolerations": [], "nodeSelector": {}, "securityContext": {}}),
            Ok((json!({"containers": [], "securityContext": {}}), &[])),
        );
    }

    #[test]
    fn a_number_where_a_text_belongs_is_refused_in_the_words_of_go() {
        check(
            json!({"containers": [{"name": "a", "env": [{"name": "PORT", "value": 80}]}]}),
            Err(
                "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
            ),
        );
    }

    #[test]
    fn a_text_where_a_number_belongs_is_refused() {
        check(
            json!({"containers": [], "terminationGracePeriodSeconds": "5"}),
            Err(
                "json: cannot unmarshal string into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
            ),
        );
    }

    #[test]
    fn a_quantity_that_is_none_is_refused() {
        check(
            json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "much"}}}]}),
            Err(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        );
    }
}
