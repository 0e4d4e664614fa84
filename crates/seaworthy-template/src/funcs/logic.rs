//! Defaults, emptiness and types.

use super::{Function, f, string, text, v, yes};
use crate::value::Param::{Any, Bool, Str};
use crate::value::Value;

pub const TABLE: &[Function] = &[
    v("default", &[Any], Any, |_, a| match a.get(1) {
        Some(given) if !is_empty(given) => Ok(given.clone()),
        _ => Ok(a[0].clone()),
    }),
    f("empty", &[Any], |_, a| yes(is_empty(&a[0]))),
    v("coalesce", &[], Any, |_, a| {
        Ok(a.iter().find(|value| !is_empty(value)).cloned().unwrap_or(Value::Nil))
    }),
    v("all", &[], Any, |_, a| yes(a.iter().all(|value| !is_empty(value)))),
    v("any", &[], Any, |_, a| yes(a.iter().any(|value| !is_empty(value)))),
    f("ternary", &[Any, Any, Bool], |_, a| Ok(if a[2].truth() { a[0].clone() } else { a[1].clone() })),
    f("typeOf", &[Any], |_, a| string(a[0].type_name())),
    f("typeIs", &[Str, Any], |_, a| yes(text(&a[0]) == a[1].type_name())),
    f("typeIsLike", &[Str, Any], |_, a| {
        let (wanted, found) = (text(&a[0]), a[1].type_name());
        yes(wanted == found || format!("*{wanted}") == found)
    }),
    f("kindOf", &[Any], |_, a| string(a[0].kind())),
    f("kindIs", &[Str, Any], |_, a| yes(text(&a[0]) == a[1].kind())),
    f("deepEqual", &[Any, Any], |_, a| yes(a[0].deep_equal(&a[1]))),
    f("hello", &[], |_, _| string("Hello!")),
];

/// Sprig's `empty`: Go's untrue, structs never.
pub fn is_empty(value: &Value) -> bool {
    !value.truth()
}
