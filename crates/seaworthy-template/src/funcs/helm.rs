//! What Helm adds to Sprig: `include`, `tpl`, `required`, `fail`, `lookup`, YAML, JSON and TOML.

use super::{Cx, Function, Returned, f, string, text};
use crate::error::{Error, Failure};
use crate::json;
use crate::value::Param::{Any, Str};
use crate::value::{Elem, Value};
use crate::yaml;

/// Marks sentences that a chart's author wrote for the user, as Helm does; the caller strips the frame.
pub const MESSAGE_START: &str = "HELM_ERR_START";
/// End of such a sentence.
pub const MESSAGE_END: &str = "HELM_ERR_END";

pub const TABLE: &[Function] = &[
    f("include", &[Str, Any], |cx, a| string(cx.runtime.include(cx.scope, &text(&a[0]), a[1].clone())?)),
    f("tpl", &[Str, Any], |cx, a| string(cx.runtime.tpl(cx.scope, &text(&a[0]), a[1].clone())?)),
    f("required", &[Str, Any], required),
    f("fail", &[Str], |cx, a| if cx.runtime.options.lint { string("") } else { Err(message(&text(&a[0]))) }),
    f("lookup", &[Str, Str, Str, Str], lookup),
    f("getHostByName", &[Str], |cx, a| {
        let found = cx.runtime.options.resolve.and_then(|resolve| resolve(&text(&a[0])));
        string(found.unwrap_or_default())
    }),
    f("toYaml", &[Any], |_, a| string(yaml::write(&a[0]).unwrap_or_default().trim_end_matches_once())),
    f("mustToYaml", &[Any], |_, a| {
        string(yaml::write(&a[0]).map_err(Error::Message)?.trim_end_matches_once())
    }),
    f("toYamlPretty", &[Any], |_, a| {
        string(yaml::write_pretty(&a[0]).unwrap_or_default().trim_end_matches_once())
    }),
    f("fromYaml", &[Str], |_, a| Ok(from_yaml(&text(&a[0])))),
    f("fromYamlArray", &[Str], |_, a| Ok(from_yaml_array(&text(&a[0])))),
    f("toJson", &[Any], |_, a| string(json::write(&a[0], json::Style::PLAIN).unwrap_or_default())),
    f("mustToJson", &[Any], |_, a| string(json::write(&a[0], json::Style::PLAIN).map_err(Error::Message)?)),
    f("toPrettyJson", &[Any], |_, a| string(json::write(&a[0], json::Style::PRETTY).unwrap_or_default())),
    f("mustToPrettyJson", &[Any], |_, a| {
        string(json::write(&a[0], json::Style::PRETTY).map_err(Error::Message)?)
    }),
    f("toRawJson", &[Any], |_, a| string(json::write(&a[0], json::Style::RAW).map_err(Error::Message)?)),
    f("mustToRawJson", &[Any], |_, a| string(json::write(&a[0], json::Style::RAW).map_err(Error::Message)?)),
    f("fromJson", &[Str], |_, a| Ok(from_json(&text(&a[0])))),
    f("fromJsonArray", &[Str], |_, a| Ok(from_json_array(&text(&a[0])))),
    f("mustFromJson", &[Str], |_, a| json::read(text(&a[0]).as_bytes()).map_err(Error::Message)),
    f("toToml", &[Any], |_, a| string(crate::toml::write(not_nil(&a[0])?).unwrap_or_else(|error| error))),
    f("mustToToml", &[Any], |_, a| string(crate::toml::write(not_nil(&a[0])?).map_err(Error::Message)?)),
    f("fromToml", &[Str], |_, a| Ok(crate::toml::read(&text(&a[0])).unwrap_or_else(error_map))),
];

fn not_nil(value: &Value) -> Result<&Value, Failure> {
    if value.is_nil() { Err("reflect: call of reflect.Value.Type on zero Value".into()) } else { Ok(value) }
}

/// `strings.TrimSuffix(text, "\n")`.
trait TrimOnce {
    fn trim_end_matches_once(&self) -> &str;
}

impl TrimOnce for String {
    fn trim_end_matches_once(&self) -> &str {
        self.strip_suffix('\n').unwrap_or(self)
    }
}

fn message(text: &str) -> Failure {
    Error::Message(format!("{MESSAGE_START}{text}{MESSAGE_END}"))
}

fn required(cx: &mut Cx<'_>, args: &[Value]) -> Returned {
    let missing = args[1].is_nil() || args[1].as_bytes().is_some_and(<[u8]>::is_empty);
    match (missing, cx.runtime.options.lint) {
        (false, _) => Ok(args[1].clone()),
        (true, true) => string(""),
        (true, false) => Err(message(&text(&args[0]))),
    }
}

fn lookup(cx: &mut Cx<'_>, args: &[Value]) -> Returned {
    let Some(lookup) = cx.runtime.options.lookup.clone() else {
        return Ok(Value::map(Vec::<(String, Value)>::new()));
    };
    let found = lookup.lookup(&text(&args[0]), &text(&args[1]), &text(&args[2]), &text(&args[3]));
    found.map(|json| Value::from_json(&json)).map_err(Error::Message)
}

fn error_map(message: String) -> Value {
    Value::map([("Error", Value::str(message))])
}

fn go_kind(json: &Value) -> &'static str {
    match json {
        Value::List(_) => "array",
        Value::Str(_) => "string",
        Value::Bool(_) => "bool",
        Value::Map(_) => "object",
        _ => "number",
    }
}

fn mismatch(value: &Value, wanted: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {wanted}", go_kind(value))
}

fn from_yaml(text: &str) -> Value {
    match yaml::read(text).map(|json| Value::from_json(&json)) {
        Ok(map @ Value::Map(_)) => map,
        Ok(Value::Nil) => Value::map(Vec::<(String, Value)>::new()),
        Ok(other) => {
            let reason = mismatch(&other, "map[string]interface {}");
            error_map(format!("error unmarshaling JSON: while decoding JSON: {reason}"))
        }
        Err(error) => error_map(format!("error converting YAML to JSON: {}", error.in_gos_words())),
    }
}

fn from_yaml_array(text: &str) -> Value {
    match yaml::read(text).map(|json| Value::from_json(&json)) {
        Ok(list @ Value::List(_)) => list,
        Ok(Value::Nil) => Value::list(Vec::new()),
        Ok(other) => {
            let reason = mismatch(&other, "[]interface {}");
            Value::list(vec![Value::str(format!("error unmarshaling JSON: while decoding JSON: {reason}"))])
        }
        Err(error) => {
            Value::list(vec![Value::str(format!("error converting YAML to JSON: {}", error.in_gos_words()))])
        }
    }
}

fn from_json(text: &str) -> Value {
    match json::read_partly(text.as_bytes()) {
        Ok((map @ Value::Map(_), None)) => map,
        Ok((Value::Map(map), Some(fault))) => {
            map.insert("Error", Value::str(fault.message));
            Value::Map(map)
        }
        Ok((Value::Nil, None)) => Value::map(Vec::<(String, Value)>::new()),
        Ok((_, Some(fault))) => error_map(fault.message),
        Ok((other, None)) => error_map(mismatch(&other, "map[string]interface {}")),
        Err(error) => error_map(error),
    }
}

fn from_json_array(text: &str) -> Value {
    match json::read(text.as_bytes()) {
        Ok(list @ Value::List(_)) => list,
        Ok(Value::Nil) => Value::nil_list(Elem::Any),
        Ok(other) => Value::list(vec![Value::str(mismatch(&other, "[]interface {}"))]),
        Err(error) => Value::list(vec![Value::str(error)]),
    }
}
