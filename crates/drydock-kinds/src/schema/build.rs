//! Turns OpenAPI v3 schemas into the type graph.
//!
//! Understands what Kubernetes publishes and what a structural CustomResourceDefinition schema may say.
//! Anything it does not understand becomes [`NodeShape::Any`], which refuses nothing.

use std::collections::HashMap;

use serde_json::Value;

use super::types::{Definition, ListType, Member, Node, NodeShape, PatchStrategy, Schema, Shape};

const REFERENCE: &str = "#/components/schemas/";

/// Definitions whose meaning their schema does not tell.
const SCALARS: &[(&str, Shape)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", Shape::Quantity),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", Shape::Any),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Shape::MicroTime),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", Shape::Any),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", Shape::Time),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", Shape::Any),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", Shape::IntOrString),
];

/// Builds a schema from named definitions; references must stay among `names`, which come in the same order.
pub(super) fn schema(
    names: impl Iterator<Item = String>,
    definitions: impl Iterator<Item = (String, Value)>,
) -> Schema {
    let by_name: HashMap<String, usize> = names.enumerate().map(|(index, name)| (name, index)).collect();
    let mut schema = Schema { by_name, ..Schema::default() };
    for (index, (name, source)) in definitions.enumerate() {
        if let Some(kind) = kinds(&source) {
            schema.kinds.insert(kind, index);
        }
        let node = definition(&name, &source, &schema.by_name);
        schema.definitions.push(Definition { name: name.into_boxed_str(), node });
    }
    schema
}

/// The one kind a definition stands for; shared ones such as `DeleteOptions` list many and stand for none.
fn kinds(source: &Value) -> Option<(String, String, String)> {
    let [kind] = source.get("x-kubernetes-group-version-kind")?.as_array()?.as_slice() else { return None };
    let text = |key: &str| kind.get(key).and_then(Value::as_str).map(str::to_owned);
    Some((text("group")?, text("version")?, text("kind")?))
}

fn definition(name: &str, source: &Value, names: &HashMap<String, usize>) -> Node {
    match SCALARS.iter().find(|(scalar, _)| *scalar == name) {
        Some((_, shape)) => Node { shape: NodeShape::Scalar(*shape), atomic: None },
        None => node(source, names),
    }
}

fn node(source: &Value, names: &HashMap<String, usize>) -> Node {
    let atomic = text(source, "x-kubernetes-map-type").map(|declared| declared == "atomic");
    Node { shape: shape(source, names), atomic }
}

fn shape(source: &Value, names: &HashMap<String, usize>) -> NodeShape {
    if let Some(target) = reference(source).and_then(|name| names.get(name)) {
        return NodeShape::Reference(*target);
    }
    if source.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return NodeShape::Scalar(Shape::IntOrString);
    }
    if source.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return NodeShape::Any;
    }
    match (text(source, "type"), text(source, "format")) {
        (Some("object"), _) => object(source, names),
        (Some("array"), _) => {
            let items = source.get("items").map(|items| node(items, names)).unwrap_or_default();
            NodeShape::List(Box::new(items), list_type(source))
        }
        (Some("string"), Some("byte")) => NodeShape::Scalar(Shape::Bytes),
        (Some("string"), _) => NodeShape::Scalar(Shape::String),
        (Some("integer"), Some("int32")) => NodeShape::Scalar(Shape::Integer32),
        (Some("integer"), _) => NodeShape::Scalar(Shape::Integer),
        (Some("number"), _) => NodeShape::Scalar(Shape::Number),
        (Some("boolean"), _) => NodeShape::Scalar(Shape::Boolean),
        _ => NodeShape::Any,
    }
}

fn object(source: &Value, names: &HashMap<String, usize>) -> NodeShape {
    if let Some(Value::Object(properties)) = source.get("properties") {
        let required = strings(source.get("required"));
        let members = properties.iter().map(|(name, field)| {
            let is_required = required.contains(&name.as_str());
            (name.clone().into_boxed_str(), member(field, is_required, names))
        });
        return NodeShape::Struct(members.collect());
    }
    match source.get("additionalProperties") {
        Some(Value::Object(_)) => NodeShape::Map(Box::new(node(&source["additionalProperties"], names))),
        Some(Value::Bool(true)) => NodeShape::Map(Box::default()),
        _ => NodeShape::Any,
    }
}

fn member(field: &Value, required: bool, names: &HashMap<String, usize>) -> Member {
    let strategies = text(field, "x-kubernetes-patch-strategy").unwrap_or_default();
    Member {
        node: node(field, names),
        required,
        default: field.get("default").cloned().map(Box::new),
        merge_key: text(field, "x-kubernetes-patch-merge-key").map(Box::from),
        strategies: strategies.split(',').filter_map(strategy).collect(),
    }
}

fn strategy(name: &str) -> Option<PatchStrategy> {
    match name {
        "merge" => Some(PatchStrategy::Merge),
        "replace" => Some(PatchStrategy::Replace),
        "retainKeys" => Some(PatchStrategy::RetainKeys),
        _ => None,
    }
}

/// Lists without a list type fall back to the patch strategy, as structured merge does.
fn list_type(source: &Value) -> ListType {
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    match text(source, "x-kubernetes-list-type") {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(owned(strings(source.get("x-kubernetes-list-map-keys")))),
        Some(_) => ListType::Atomic,
        None => {
            match (text(source, "x-kubernetes-patch-strategy"), text(source, "x-kubernetes-patch-merge-key"))
            {
                (Some("merge" | "merge,retainKeys"), Some(key)) => ListType::Map(vec![key.to_owned()]),
                (Some("merge" | "merge,retainKeys"), None) => ListType::Set,
                _ => ListType::Atomic,
            }
        }
    }
}

/// References with siblings are written as `allOf` with one entry.
fn reference(source: &Value) -> Option<&str> {
    let direct = text(source, "$ref");
    let wrapped = || source.get("allOf")?.as_array()?.first().and_then(|only| text(only, "$ref"));
    direct.or_else(wrapped)?.strip_prefix(REFERENCE)
}

fn text<'a>(source: &'a Value, key: &str) -> Option<&'a str> {
    source.get(key).and_then(Value::as_str)
}

fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
