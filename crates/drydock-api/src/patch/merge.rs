//! Merges an applied configuration into the live object, field by field along the schema.
//!
//! What the configuration says wins; what it does not mention stays. Lists keep the configuration's order for items
//! that both have, and the live order for the rest.

use drydock_kinds::schema::Type;
use serde_json::{Map, Value};

use super::fieldset::Element;
use super::walk::{Form, Items, field_type, form};

pub(super) fn merge(live: &Value, config: &Value, ty: Option<Type<'_>>) -> Value {
    match (form(live, ty), form(config, ty)) {
        (Form::Fields(live, of), Form::Fields(config, _)) => Value::Object(fields(live, config, of)),
        (Form::Items(live, of), Form::Items(config, _)) => Value::Array(items(live, config, of)),
        _ => config.clone(),
    }
}

fn fields(live: &Map<String, Value>, config: &Map<String, Value>, ty: Type<'_>) -> Map<String, Value> {
    let mut out = live.clone();
    for (name, wanted) in config {
        let merged = match live.get(name) {
            Some(present) => merge(present, wanted, field_type(ty, name)),
            None => wanted.clone(),
        };
        out.insert(name.clone(), merged);
    }
    out
}

fn items(live: &[Value], config: &[Value], of: Items<'_>) -> Vec<Value> {
    let live: Vec<(Option<Element>, &Value)> = live.iter().map(|item| (of.element(item), item)).collect();
    let config: Vec<(Option<Element>, &Value)> = config.iter().map(|item| (of.element(item), item)).collect();
    let in_live =
        |element: &Option<Element>| live.iter().find(|(known, _)| element.is_some() && known == element);
    let in_config =
        |element: &Option<Element>| element.is_some() && config.iter().any(|(known, _)| known == element);
    let mut rest = live.iter().peekable();
    let mut out = Vec::with_capacity(live.len() + config.len());
    for (index, (element, wanted)) in config.iter().enumerate() {
        // Live-only items go first, up to the next item that both have; shared ones come where the configuration says.
        let next =
            config[index..].iter().map(|(element, _)| element).find(|element| in_live(element).is_some());
        while let Some((own, item)) = rest.next_if(|(own, _)| Some(own) != next || own.is_none()) {
            if !in_config(own) {
                out.push((*item).clone());
            }
        }
        match in_live(element) {
            Some((_, present)) => {
                rest.next_if(|(own, _)| own == element);
                out.push(merge(present, wanted, Some(of.ty)));
            }
            None => out.push((*wanted).clone()),
        }
    }
    out.extend(rest.filter(|(own, _)| !in_config(own)).map(|(_, item)| (*item).clone()));
    out
}
