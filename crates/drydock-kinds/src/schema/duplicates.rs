//! Finds fields that a JSON body names twice, which `fieldValidation` must report.
//!
//! Runs on the raw body, because a decoded value no longer knows. Works for one level or a hundred; the depth is
//! bounded by serde_json's recursion limit.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Each duplicate once, as `duplicate field "spec.replicas"`. A body that is no JSON has none.
pub fn duplicate_fields(body: &[u8]) -> Vec<String> {
    let found = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(body);
    let seed = Position { path: String::new(), found: &found };
    match seed.deserialize(&mut reader) {
        Ok(()) => found.into_inner(),
        Err(_) => Vec::new(),
    }
}

struct Position<'f> {
    path: String,
    found: &'f RefCell<Vec<String>>,
}

impl Position<'_> {
    fn at(&self, path: String) -> Position<'_> {
        Position { path, found: self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Position<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Position<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while items.next_element_seed(self.at(format!("{}[{index}]", self.path)))?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if !seen.insert(name) {
                let line = format!("duplicate field {path:?}");
                let mut found = self.found.borrow_mut();
                if !found.contains(&line) {
                    found.push(line);
                }
            }
            fields.next_value_seed(self.at(path))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expect: &[&str]) {
        assert_eq!(duplicate_fields(body.as_bytes()), expect, "{body}");
    }

    #[test]
    fn a_field_named_twice_is_found_at_any_depth() {
        check(
            r#"{"a":1,"b":[{"c":1,"c":2,"c":3}],"a":2}"#,
            &[r#"duplicate field "b[0].c""#, r#"duplicate field "a""#],
        );
    }

    #[test]
    fn the_same_name_in_two_places_is_no_duplicate() {
        check(r#"{"a":{"x":1},"b":{"x":1}}"#, &[]);
    }

    #[test]
    fn a_broken_body_has_none() {
        check(r#"{"a":1,"a":"#, &[]);
    }
}
