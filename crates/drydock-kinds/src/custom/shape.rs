//! The type graph of a custom kind, by which patches merge and fields are owned.
//!
//! Differs from the graph of the built-in kinds in one thing: where a schema says nothing, objects are still walked
//! field by field, because that is what clients of a cluster see in `managedFields`.

use super::node::{Additional, DataType, Node};
use crate::schema::custom::{Builder, Place};
use crate::schema::{ListType, Schema, Shape};

/// The definition of the whole object.
pub(super) const ROOT: &str = "root";
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

pub(super) fn schema(root: &Node) -> Schema {
    let builder = Builder::new();
    let mut members = members(root);
    set(&mut members, "metadata", Place::builtin(OBJECT_META));
    for name in ["apiVersion", "kind"] {
        set(&mut members, name, Place::scalar(Shape::String));
    }
    builder.finish(ROOT, Place::object(members, root.open))
}

fn set(members: &mut Vec<(String, Place)>, name: &str, place: Place) {
    members.retain(|(known, _)| known != name);
    members.push((name.to_owned(), place));
}

fn members(node: &Node) -> Vec<(String, Place)> {
    let field = |(name, field): (&String, &Node)| {
        let place = place(field).with_default(field.default.clone());
        (name.clone(), place.required(node.checks.required.contains(name)))
    };
    node.properties.iter().map(field).collect()
}

fn place(node: &Node) -> Place {
    if node.int_or_string {
        return Place::scalar(Shape::IntOrString);
    }
    let place = match (node.data_type, &node.additional) {
        (Some(DataType::Object), Additional::Of(item)) => Place::map(self::place(item)),
        (Some(DataType::Object), Additional::Anything) => Place::deduced(),
        (Some(DataType::Object), _) if node.properties.is_empty() => Place::deduced(),
        (Some(DataType::Object), _) => {
            let mut members = members(node);
            if node.embedded {
                set(&mut members, "metadata", Place::builtin(OBJECT_META));
            }
            Place::object(members, node.open || node.embedded)
        }
        (Some(DataType::Array), _) => match &node.items {
            Some(item) => Place::list(self::place(item), node.list.clone()),
            None => Place::list(Place::deduced(), ListType::Atomic),
        },
        (Some(DataType::String), _) => Place::scalar(Shape::String),
        (Some(DataType::Integer), _) => Place::scalar(Shape::Integer),
        (Some(DataType::Number), _) => Place::scalar(Shape::Number),
        (Some(DataType::Boolean), _) => Place::scalar(Shape::Boolean),
        (None, _) => Place::deduced(),
    };
    if node.atomic { place.atomic() } else { place }
}
