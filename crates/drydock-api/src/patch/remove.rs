//! Removes a set of fields from a value.

use drydock_kinds::schema::Type;
use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet};
use super::walk::{Form, field_type, form};

/// The value without these fields; `None` when nothing is left of a structure or list that lost its content.
pub(super) fn remove(value: &Value, fields: &FieldSet, ty: Option<Type<'_>>) -> Option<Value> {
    if fields.is_empty() {
        return Some(value.clone());
    }
    match form(value, ty) {
        Form::Leaf => Some(value.clone()),
        Form::Fields(entries, of) => {
            let kept: Map<String, Value> = entries
                .iter()
                .filter_map(|(name, child)| {
                    let element = Element::field(name);
                    let left = keep(child, &element, fields, field_type(of, name))?;
                    Some((name.clone(), left))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Form::Items(items, of) => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| match of.element(item) {
                    Some(element) => keep(item, &element, fields, Some(of.ty)),
                    None => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
    }
}

fn keep(value: &Value, element: &Element, fields: &FieldSet, ty: Option<Type<'_>>) -> Option<Value> {
    if fields.has(element) {
        return None;
    }
    // What lost all its content is still there, and whoever owns it keeps owning it.
    let emptied = || if value.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
    Some(remove(value, fields.below(element), ty).unwrap_or_else(emptied))
}
