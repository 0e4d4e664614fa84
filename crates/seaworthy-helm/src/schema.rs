//! `values.schema.json`: whether the values of a chart and its subcharts are as the author declared them.
//!
//! Drafts 4, 6, 7, 2019-09 and 2020-12; the sentences are Helm's. A schema is not trusted either: `$ref` stays within
//! the document, because a rendering must not read files or ask hosts that a chart names.

use boon::{Compiler, ErrorKind, Schemas, UrlLoader, ValidationError};
use serde_json::Value as Json;

use crate::chart::{Chart, Values};

const LOCATION: &str = "file:///values.schema.json";

/// Refuses every document but the schema itself. A URN means nothing and allows everything, as in Helm.
struct NoDocuments;

impl UrlLoader for NoDocuments {
    fn load(&self, url: &str) -> Result<Json, Box<dyn std::error::Error>> {
        if url.starts_with("urn:") {
            return Ok(Json::Bool(true));
        }
        Err(format!(
            "it refers to `{url}`, and a schema may refer to itself only; copy what is needed into `$defs`"
        )
        .into())
    }
}

/// What is wrong with the values of a chart and its subcharts, as one text; `None` when nothing is.
pub(crate) fn violations(chart: &Chart, values: &Values) -> Option<String> {
    let mut text = String::new();
    collect(chart, values, &mut text);
    (!text.is_empty()).then_some(text)
}

fn collect(chart: &Chart, values: &Values, text: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(wrong) = validate(schema, &Json::Object(values.clone()))
    {
        text.push_str(&format!("{}:\n{wrong}", chart.name()));
    }
    for subchart in &chart.dependencies {
        match values.get(subchart.name()) {
            None | Some(Json::Null) => {}
            Some(Json::Object(inner)) => collect(subchart, inner, text),
            Some(_) => text
                .push_str(&format!("{}:\ninvalid type for values: expected object (map)\n", subchart.name())),
        }
    }
}

/// Checks values against one schema.
pub(crate) fn validate(schema: &[u8], values: &Json) -> Result<(), String> {
    let schema: Json =
        serde_json::from_slice(schema).map_err(|error| format!("the schema is not JSON: {error}"))?;
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoDocuments));
    compiler.add_resource(LOCATION, schema).map_err(|error| format!("{error:#}"))?;
    let index = compiler.compile(LOCATION, &mut schemas).map_err(|error| format!("{error:#}"))?;
    schemas.validate(values, index).map_err(|error| {
        let mut lines = String::new();
        show(&error, 0, &mut lines);
        lines
    })
}

/// The tree of errors, a line each; the first line, which only names the schema, is left out.
fn show(error: &ValidationError<'_, '_>, indent: usize, text: &mut String) {
    let is_detour = error.causes.len() == 1 && matches!(error.kind, ErrorKind::Reference { .. });
    let is_root = matches!(error.kind, ErrorKind::Schema { .. });
    if !is_detour && !is_root {
        let place = quoted(&error.instance_location.to_string());
        text.push_str(&format!("{}- at {place}: {}\n", "  ".repeat(indent), sentence(&error.kind)));
    }
    let below = if is_detour || is_root { indent } else { indent + 1 };
    // Schemas are hashed inside the validator; a message that changes from run to run helps nobody.
    let mut causes: Vec<_> = error.causes.iter().collect();
    causes.sort_by_cached_key(|cause| cause.instance_location.to_string());
    causes.into_iter().for_each(|cause| show(cause, below, text));
}

fn sentence(kind: &ErrorKind<'_, '_>) -> String {
    use ErrorKind as K;
    match kind {
        K::Group | K::Schema { .. } | K::Reference { .. } => "validation failed".into(),
        K::ContentSchema => "'contentSchema' failed".into(),
        K::PropertyName { prop } => format!("invalid propertyName {}", quoted(prop)),
        K::RefCycle { url, kw_loc1, kw_loc2 } => {
            format!("both {kw_loc1} and {kw_loc2} resolve to {url:?} causing reference cycle")
        }
        K::FalseSchema => "false schema".into(),
        K::Type { got, want } => {
            let want: Vec<String> = want.iter().map(|kind| kind.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        K::Enum { want } => match want.iter().any(|value| value.is_object() || value.is_array()) {
            true => "'enum' failed".into(),
            false if want.len() == 1 => format!("value must be {}", display(&want[0])),
            false => format!("value must be one of {}", joined(want.iter().map(display))),
        },
        K::Const { want } if want.is_object() || want.is_array() => "'const' failed".into(),
        K::Const { want } => format!("value must be {}", display(want)),
        K::Format { got, want, err } => format!("{} is not valid {want}: {err}", display(got)),
        K::MinProperties { got, want } => format!("minProperties: got {got}, want {want}"),
        K::MaxProperties { got, want } => format!("maxProperties: got {got}, want {want}"),
        K::AdditionalProperties { got } => {
            format!("additional properties {} not allowed", joined(got.iter().map(|name| quoted(name))))
        }
        K::Required { want } if want.len() == 1 => format!("missing property {}", quoted(want[0])),
        K::Required { want } => {
            format!("missing properties {}", joined(want.iter().map(|name| quoted(name))))
        }
        K::Dependency { prop, missing } | K::DependentRequired { prop, missing } => {
            let missing = joined(missing.iter().map(|name| quoted(name)));
            format!("properties {missing} required, if {} exists", quoted(prop))
        }
        K::MinItems { got, want } => format!("minItems: got {got}, want {want}"),
        K::MaxItems { got, want } => format!("maxItems: got {got}, want {want}"),
        K::Contains => "no items match contains schema".into(),
        K::MinContains { got, want } if got.is_empty() => {
            format!("min {want} items required to match contains schema, but none matched")
        }
        K::MinContains { got, want } => {
            format!(
                "min {want} items required to match contains schema, but matched {} items at {}",
                got.len(),
                spaced(got)
            )
        }
        K::MaxContains { got, want } => {
            format!(
                "max {want} items required to match contains schema, but matched {} items at {}",
                got.len(),
                spaced(got)
            )
        }
        K::UniqueItems { got: [first, second] } => format!("items at {first} and {second} are equal"),
        K::AdditionalItems { got } => format!("last {got} additionalItem(s) not allowed"),
        K::MinLength { got, want } => format!("minLength: got {got}, want {want}"),
        K::MaxLength { got, want } => format!("maxLength: got {got}, want {want}"),
        K::Pattern { got, want } => format!("{} does not match pattern {}", quoted(got), quoted(want)),
        K::ContentEncoding { want, err } => format!("value is not {} encoded: {err}", quoted(want)),
        K::ContentMediaType { want, err, .. } => format!("value is not of mediatype {}: {err}", quoted(want)),
        K::Minimum { got, want } => format!("minimum: got {}, want {}", number(got), number(want)),
        K::Maximum { got, want } => format!("maximum: got {}, want {}", number(got), number(want)),
        K::ExclusiveMinimum { got, want } => {
            format!("exclusiveMinimum: got {}, want {}", number(got), number(want))
        }
        K::ExclusiveMaximum { got, want } => {
            format!("exclusiveMaximum: got {}, want {}", number(got), number(want))
        }
        K::MultipleOf { got, want } => format!("multipleOf: got {}, want {}", number(got), number(want)),
        K::Not => "'not' failed".into(),
        K::AllOf => "'allOf' failed".into(),
        K::AnyOf => "'anyOf' failed".into(),
        K::OneOf(None) => "'oneOf' failed, none matched".into(),
        K::OneOf(Some((first, second))) => format!("'oneOf' failed, subschemas {first}, {second} matched"),
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn spaced(items: &[usize]) -> String {
    items.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// Values read from files are floats; whole ones are shown without a fraction and with separators, as Go's
/// message printer shows them.
fn number(number: &serde_json::Number) -> String {
    let float = number.as_f64().unwrap_or(f64::NAN);
    let text =
        if float.fract() == 0.0 && float.abs() < 1e15 { format!("{float:.0}") } else { number.to_string() };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find(['.', 'e']).unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (position, digit) in whole.chars().enumerate() {
        if position > 0 && (whole.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

fn display(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        Json::Array(_) | Json::Object(_) => "value".into(),
        Json::Null => "<nil>".into(),
        Json::Number(n) if n.as_f64().is_some_and(|f| f.fract() == 0.0 && f.abs() < 1e15) => {
            format!("{:.0}", n.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let quoted = seaworthy_template::gofmt::quote(text.as_bytes()).replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{}'", quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&quoted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(schema: Json, values: Json, expected: &str) {
        let found =
            validate(schema.to_string().as_bytes(), &values).map_or_else(|wrong| wrong, |()| String::new());
        assert_eq!(found, expected);
    }

    #[test]
    fn what_fits_is_silent_and_what_does_not_names_place_and_wish() {
        let schema =
            json!({"properties": {"port": {"type": "integer", "maximum": 65535}}, "required": ["name"]});
        check(schema.clone(), json!({"name": "a", "port": 80.0}), "");
        check(
            schema.clone(),
            json!({"port": "80"}),
            "- at '': missing property 'name'\n- at '/port': got string, want integer\n",
        );
        check(
            schema,
            json!({"name": 1, "port": 70000.0}),
            "- at '/port': maximum: got 70,000, want 65,535\n",
        );
    }

    #[test]
    fn a_schema_cannot_make_us_read_files_or_ask_hosts() {
        for url in ["http://127.0.0.1:1/s.json", "file:///etc/passwd", "other.json"] {
            let wrong = validate(json!({"$ref": url}).to_string().as_bytes(), &json!({})).unwrap_err();
            assert!(wrong.contains("refer to itself only"), "{wrong}");
        }
    }

    #[test]
    fn references_within_the_document_are_followed() {
        let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"p": {"type": "string"}},
            "properties": {"a": {"$ref": "#/definitions/p"}}});
        check(schema, json!({"a": true}), "- at '/a': got boolean, want string\n");
    }

    #[test]
    fn a_schema_that_is_none_is_an_error_and_not_a_pass() {
        assert!(validate(b"{", &json!({})).is_err());
        assert!(validate(br#"{"type": 5}"#, &json!({})).is_err());
        assert!(validate(br##"{"$ref": "#"}"##, &json!({})).is_err());
    }
}
