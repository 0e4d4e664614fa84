//! A structural schema, parsed once per served version into a tree that pruning, defaulting and checking walk.
//!
//! Parsing never fails: what a CustomResourceDefinition may say is decided when it is written (see
//! `customresourcedefinition::schema`), and what it may not say is left out here.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

use super::cel::Rule;
use super::formats::Format;
use super::pattern;
use crate::schema::ListType;

/// One position of a structural schema.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) data_type: Option<DataType>,
    pub(crate) int_or_string: bool,
    pub(crate) nullable: bool,
    /// `x-kubernetes-preserve-unknown-fields`
    pub(crate) open: bool,
    /// `x-kubernetes-embedded-resource`
    pub(crate) embedded: bool,
    pub(crate) default: Option<Value>,
    pub(crate) list: ListType,
    /// Owned as one piece by server-side apply.
    pub(crate) atomic: bool,
    pub(crate) properties: BTreeMap<String, Node>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) checks: Checks,
    /// `x-kubernetes-validations`
    pub(crate) rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub(crate) has_rules: bool,
}

/// What fields beyond the named ones an object may have.
#[derive(Debug, Clone, Default)]
pub(crate) enum Additional {
    #[default]
    Unsaid,
    Anything,
    Of(Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataType {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

/// What values must satisfy beyond their type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checks {
    pub(crate) format: Option<Format>,
    pub(crate) number_format: Option<NumberFormat>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Number>,
    pub(crate) length: Range,
    pub(crate) items: Range,
    pub(crate) properties: Range,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) choices: Option<Vec<Value>>,
    pub(crate) required: Vec<String>,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberFormat {
    Int32,
    Int64,
    Float,
    Double,
}

#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) limit: Number,
    pub(crate) exclusive: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) source: String,
    pub(crate) regex: Regex,
}

impl DataType {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "object" => Self::Object,
            "array" => Self::Array,
            "string" => Self::String,
            "integer" => Self::Integer,
            "number" => Self::Number,
            "boolean" => Self::Boolean,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

impl NumberFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Double => "double",
        }
    }
}

impl Node {
    pub(crate) fn parse(schema: &Value) -> Self {
        let flag = |key: &str| schema[key] == true;
        let data_type = schema["type"].as_str().and_then(DataType::parse);
        let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
        let mut node = Self {
            data_type,
            rules: rules.filter_map(|rule| Rule::compile(rule).ok()).collect(),
            has_rules: false,
            int_or_string: flag("x-kubernetes-int-or-string"),
            nullable: flag("nullable"),
            open: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            default: schema.get("default").cloned(),
            list: list_type(schema),
            atomic: schema["x-kubernetes-map-type"] == "atomic",
            properties: fields(&schema["properties"]),
            additional: match &schema["additionalProperties"] {
                Value::Bool(true) => Additional::Anything,
                inner @ Value::Object(_) => Additional::Of(Box::new(Self::parse(inner))),
                _ => Additional::Unsaid,
            },
            items: schema["items"].is_object().then(|| Box::new(Self::parse(&schema["items"]))),
            checks: Checks::parse(schema, data_type),
        };
        node.has_rules = !node.rules.is_empty() || node.children().any(|child| child.has_rules);
        node
    }

    fn children(&self) -> impl Iterator<Item = &Node> {
        let additional = match &self.additional {
            Additional::Of(node) => Some(&**node),
            _ => None,
        };
        self.properties.values().chain(self.items.as_deref()).chain(additional)
    }

    /// The schema of a field, named or additional.
    pub(crate) fn field(&self, name: &str) -> Option<&Node> {
        self.properties.get(name).or(match &self.additional {
            Additional::Of(node) => Some(node),
            _ => None,
        })
    }
}

impl Checks {
    fn parse(schema: &Value, data_type: Option<DataType>) -> Self {
        let name = schema["format"].as_str().unwrap_or("");
        let number = |key: &str| match &schema[key] {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        };
        let bound = |limit: &str, exclusive: &str| {
            number(limit).map(|limit| Bound { limit, exclusive: schema[exclusive] == true })
        };
        let range = |min: &str, max: &str| Range { min: schema[min].as_i64(), max: schema[max].as_i64() };
        let nodes = |key: &str| schema[key].as_array().into_iter().flatten().map(Node::parse).collect();
        let required = schema["required"].as_array().into_iter().flatten();
        Self {
            format: match data_type {
                None | Some(DataType::String) => Format::parse(name),
                _ => None,
            },
            number_format: match (data_type, name) {
                (Some(DataType::Integer), "int32") => Some(NumberFormat::Int32),
                (Some(DataType::Integer), "int64") => Some(NumberFormat::Int64),
                (Some(DataType::Number), "float") => Some(NumberFormat::Float),
                (Some(DataType::Number), "double") => Some(NumberFormat::Double),
                _ => None,
            },
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: number("multipleOf"),
            length: range("minLength", "maxLength"),
            items: range("minItems", "maxItems"),
            properties: range("minProperties", "maxProperties"),
            pattern: schema["pattern"].as_str().and_then(compiled),
            choices: schema["enum"].as_array().cloned(),
            required: required.filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
            all_of: nodes("allOf"),
            any_of: nodes("anyOf"),
            one_of: nodes("oneOf"),
            not: schema["not"].is_object().then(|| Box::new(Node::parse(&schema["not"]))),
        }
    }
}

fn compiled(source: &str) -> Option<Pattern> {
    let regex = pattern::compile(source).ok().filter(|_| !source.is_empty())?;
    Some(Pattern { source: source.to_owned(), regex })
}

fn fields(properties: &Value) -> BTreeMap<String, Node> {
    let fields = properties.as_object().into_iter().flatten();
    fields.map(|(name, schema)| (name.clone(), Node::parse(schema))).collect()
}

fn list_type(schema: &Value) -> ListType {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListType::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            ListType::Map(keys.filter_map(|key| Some(key.as_str()?.to_owned())).collect())
        }
        _ => ListType::Atomic,
    }
}
