//! The arguments of the five tools, as clients are told of them and as they are read.
//!
//! Reading never ends a call: what does not fit becomes the tool's answer (`INVALID_REQUEST`), which a model can learn
//! from, where an error of the protocol would only stop it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Arguments, or in words why they do not fit.
pub struct Arguments<T>(pub Result<T, String>);

impl<'de, T: for<'a> Deserialize<'a>> Deserialize<'de> for Arguments<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(Self(serde_json::from_value(value).map_err(|error| error.to_string())))
    }
}

impl<T: JsonSchema> JsonSchema for Arguments<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct AddTask {
    /// Must be the user of the access token; may be left out.
    pub user_id: Option<String>,
    /// What is to be done, 1 to 200 characters.
    pub title: String,
    /// More about it, up to 1000 characters.
    pub description: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    #[default]
    All,
    Pending,
    Completed,
}

#[derive(Deserialize, JsonSchema)]
pub struct ListTasks {
    /// Must be the user of the access token; may be left out.
    pub user_id: Option<String>,
    /// Which tasks to list; all when left out.
    pub status: Option<Which>,
}

#[derive(Deserialize, JsonSchema)]
pub struct OneTask {
    /// Must be the user of the access token; may be left out.
    pub user_id: Option<String>,
    /// The number of the task, as list_tasks shows it.
    #[serde(deserialize_with = "task_number")]
    #[schemars(with = "i64")]
    pub task_id: i64,
}

#[derive(Deserialize, JsonSchema)]
pub struct UpdateTask {
    /// Must be the user of the access token; may be left out.
    pub user_id: Option<String>,
    /// The number of the task, as list_tasks shows it.
    #[serde(deserialize_with = "task_number")]
    #[schemars(with = "i64")]
    pub task_id: i64,
    /// The new title, 1 to 200 characters; unchanged when left out.
    pub title: Option<String>,
    /// The new description, up to 1000 characters; unchanged when left out.
    pub description: Option<String>,
}

/// Models write numbers as text at times, and whole ones with a point.
fn task_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    let text = text.strip_suffix(".0").unwrap_or(&text);
    text.parse().map_err(|_| serde::de::Error::custom("`task_id` is not a number"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(arguments: Value, expect: Result<i64, &str>) {
        let Arguments(read) = serde_json::from_value::<Arguments<OneTask>>(arguments.clone()).unwrap();
        let got = read.map(|arguments| arguments.task_id);
        assert_eq!(got, expect.map_err(str::to_owned), "{arguments}");
    }

    #[test]
    fn the_number_of_a_task_is_read_however_a_model_writes_it() {
        for written in [json!(3), json!("3"), json!(" 3 "), json!(3.0)] {
            check(json!({ "task_id": written }), Ok(3));
        }
        for nonsense in [json!("three"), json!(3.5), json!(null), json!([3]), json!("")] {
            check(json!({ "task_id": nonsense }), Err("`task_id` is not a number"));
        }
        check(json!({}), Err("missing field `task_id`"));
    }

    #[test]
    fn clients_are_told_of_the_arguments_themselves() {
        let schema = schemars::schema_for!(Arguments<UpdateTask>);
        let schema = schema.as_value();
        assert_eq!(schema["required"], json!(["task_id"]));
        assert_eq!(schema["properties"]["task_id"]["type"], "integer");
        assert_eq!(schema["properties"].as_object().unwrap().len(), 4);
    }
}
