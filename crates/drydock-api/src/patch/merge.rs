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

/// Live-only items go first, up to the next item that both have; shared ones come where the configuration says. Live
/// items that cannot be told apart are kept as they are, or give way together to the one that is applied.
fn items(live: &[Value], config: &[Value], of: Items<'_>) -> Vec<Value> {
    let live: Vec<(Option<Element>, &Value)> = live.iter().map(|item| (of.element(item), item)).collect();
    let config: Vec<(Option<Element>, &Value)> = config.iter().map(|item| (of.element(item), item)).collect();
    let in_config =
        |element: &Option<Element>| element.is_some() && config.iter().any(|(known, _)| known == element);
    let merged = |element: &Option<Element>, wanted: &Value| {
        let mut twins = twins(&live, element);
        match (twins.next(), twins.next()) {
            (Some((_, present)), None) => merge(present, wanted, Some(of.ty)),
            _ => wanted.clone(),
        }
    };
    let mut shared =
        config.iter().map(|(element, _)| element).filter(|element| twins(&live, element).next().is_some());
    let mut next_shared = shared.next();
    let (mut left, mut right) = (live.iter().peekable(), config.iter().peekable());
    let mut done: Vec<&Option<Element>> = Vec::new();
    let mut out = Vec::with_capacity(live.len() + config.len());
    while left.peek().is_some() || right.peek().is_some() {
        if let (Some((own, _)), Some((element, wanted))) = (left.peek(), right.peek()) {
            if own.is_some() && own == element {
                out.push(merged(element, wanted));
                done.push(element);
                left.next();
                right.next();
                next_shared = shared.next();
                continue;
            }
            if in_config(own) && next_shared.is_some_and(|next| next != own) {
                left.next();
                continue;
            }
        }
        if let Some((own, item)) = left.peek() {
            if !in_config(own) {
                out.push((*item).clone());
                left.next();
                continue;
            }
            if done.contains(&own) {
                left.next();
            }
        }
        if let Some((element, wanted)) = right.next() {
            out.push(merged(element, wanted));
            done.push(element);
            if next_shared == Some(element) {
                next_shared = shared.next();
            }
        }
    }
    out
}

type Item<'v> = (Option<Element>, &'v Value);

/// All items that an identity stands for.
fn twins<'l, 'v>(
    items: &'l [Item<'v>],
    element: &'l Option<Element>,
) -> impl Iterator<Item = &'l Item<'v>> + use<'l, 'v> {
    items.iter().filter(move |(known, _)| element.is_some() && known == element)
}
