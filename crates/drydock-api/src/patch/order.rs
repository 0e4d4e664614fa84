//! The order of list items after a strategic merge: the patch's wishes first, then the live order.

use serde_json::Value;

/// How items of one list are told apart: by a merge key, or by themselves when they are plain values.
#[derive(Clone, Copy)]
pub(super) struct Identity<'k>(pub(super) Option<&'k str>);

impl Identity<'_> {
    pub(super) fn same(self, a: &Value, b: &Value) -> bool {
        match self.0 {
            Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
            None => a == b,
        }
    }

    fn place(self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter().position(|known| self.same(known, item))
    }
}

/// Puts `merged` into the order of `wanted`; items that it does not name keep their relative order in `live`.
pub(super) fn arrange(
    merged: Vec<Value>,
    wanted: &[Value],
    live: &[Value],
    identity: Identity<'_>,
) -> Vec<Value> {
    let (mut named, others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| identity.place(wanted, item).is_some());
    named.sort_by_key(|item| identity.place(wanted, item));
    interleave(others, named, live, identity)
}

/// Each item that only the server has goes before the first named item that the live list has behind it.
fn interleave(others: Vec<Value>, named: Vec<Value>, live: &[Value], identity: Identity<'_>) -> Vec<Value> {
    let mut out = Vec::with_capacity(others.len() + named.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        let place = identity.place(live, &item);
        let goes_before = |other: &Value| match (identity.place(live, other), place) {
            (Some(other), Some(place)) => other < place,
            _ => false,
        };
        while let Some(other) = others.next_if(goes_before) {
            out.push(other);
        }
        out.push(item);
    }
    out.extend(others);
    out
}
