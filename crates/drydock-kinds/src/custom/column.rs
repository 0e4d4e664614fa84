//! Columns of a custom kind's table: a JSONPath and how its value is shown.

use jiff::Timestamp;
use serde_json::Value;

use super::jsonpath::JsonPath;
use super::numbers::as_f64;
use crate::column::age;

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
    resources may allow a client to request the generation of an appropriate name automatically. Name is primarily \
    intended for creation idempotence and configuration definition. Cannot be updated. More info: \
    https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. \
    It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this \
    value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. \
    More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// One column, as a definition's `additionalPrinterColumns` describes it.
#[derive(Debug, Clone)]
pub struct CustomColumn {
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    path: Option<JsonPath>,
}

impl CustomColumn {
    /// All columns of a version: NAME, and the given ones or AGE.
    pub(super) fn all(version: &Value) -> Vec<Self> {
        let name = Self::new("Name", "string", "name", NAME, ".metadata.name");
        let given: Vec<Self> =
            version["additionalPrinterColumns"].as_array().into_iter().flatten().map(Self::parse).collect();
        let age = || vec![Self::new("Age", "date", "", CREATED, ".metadata.creationTimestamp")];
        std::iter::once(name).chain(if given.is_empty() { age() } else { given }).collect()
    }

    fn new(name: &str, kind: &str, format: &str, description: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: format.to_owned(),
            description: description.to_owned(),
            priority: 0,
            path: JsonPath::parse(path),
        }
    }

    fn parse(column: &Value) -> Self {
        let text = |key: &str| column[key].as_str().unwrap_or("");
        let path = text("jsonPath");
        let described = match text("description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            description => description.to_owned(),
        };
        let priority = column["priority"].as_i64().unwrap_or(0);
        Self { priority, ..Self::new(text("name"), text("type"), text("format"), &described, path) }
    }

    /// The cell of this column for `object`; null when there is nothing to show.
    pub fn value(&self, object: &Value, now: Timestamp) -> Value {
        let Some(path) = &self.path else { return Value::Null };
        let Some(found) = path.find(object).first().copied() else { return Value::Null };
        match (self.kind.as_str(), found) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(text)) => Value::from(text.as_str()),
            ("string", other) => Value::from(other.to_string()),
            ("integer", Value::Number(number)) => match number.as_i64() {
                Some(whole) => Value::from(whole),
                None => Value::from(as_f64(number) as i64),
            },
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => found.clone(),
            ("date", Value::String(text)) => match text.parse::<Timestamp>() {
                Ok(_) => Value::from(age(Some(found), now)),
                Err(_) => Value::from("<invalid>"),
            },
            _ => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(kind: &str, value: Value, expect: Value) {
        let version =
            json!({ "additionalPrinterColumns": [{ "name": "A", "type": kind, "jsonPath": ".spec.a" }] });
        let now: Timestamp = "2026-01-01T02:00:00Z".parse().expect("a time");
        let columns = CustomColumn::all(&version);
        assert_eq!(columns[1].value(&json!({ "spec": { "a": value } }), now), expect);
    }

    #[test]
    fn cells_follow_the_type_of_their_column() {
        check("string", json!("x"), json!("x"));
        check("string", json!({ "b": 1 }), json!(r#"{"b":1}"#));
        check("string", json!(true), json!("true"));
        check("integer", json!(3), json!(3));
        check("integer", json!(3.7), json!(3));
        check("integer", json!("3"), Value::Null);
        check("boolean", json!(false), json!(false));
        check("date", json!("2026-01-01T00:00:00Z"), json!("120m"));
        check("date", json!("never"), json!("<invalid>"));
    }

    #[test]
    fn without_columns_there_are_name_and_age() {
        let names: Vec<String> =
            CustomColumn::all(&json!({})).into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["Name", "Age"]);
    }
}
