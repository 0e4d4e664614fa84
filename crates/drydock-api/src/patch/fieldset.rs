//! Sets of fields, and their written form in `managedFields` (`FieldsV1`).
//!
//! A set is a tree of path elements in which some positions are members. Owning a list does not mean owning its items,
//! nor the other way round, so membership is kept for each position on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

/// One step of a path. Values are kept as JSON text, which makes them comparable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    Field(String),
    /// An item of a list, by the fields that identify it.
    Key(BTreeMap<String, String>),
    /// An item of a set.
    Value(String),
    Index(i64),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet(BTreeMap<Element, Entry>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    member: bool,
    below: FieldSet,
}

static EMPTY: FieldSet = FieldSet(BTreeMap::new());

impl FieldSet {
    pub(super) fn is_empty(&self) -> bool {
        self.0.values().all(|entry| !entry.member && entry.below.is_empty())
    }

    pub(super) fn insert(&mut self, path: &[Element]) {
        let [first, rest @ ..] = path else { return };
        let entry = self.0.entry(first.clone()).or_default();
        match rest {
            [] => entry.member = true,
            rest => entry.below.insert(rest),
        }
    }

    /// Whether this very position is a member.
    pub(super) fn has(&self, element: &Element) -> bool {
        self.0.get(element).is_some_and(|entry| entry.member)
    }

    /// What the set says about positions below `element`.
    pub(super) fn below(&self, element: &Element) -> &FieldSet {
        self.0.get(element).map_or(&EMPTY, |entry| &entry.below)
    }

    /// The same set with other members at this level and other branches.
    pub(super) fn rebuilt(
        &self,
        mut change: impl FnMut(&Element, bool, &FieldSet) -> (bool, FieldSet),
    ) -> FieldSet {
        let entries = self.0.iter().map(|(element, entry)| {
            let (member, below) = change(element, entry.member, &entry.below);
            (element.clone(), Entry { member, below })
        });
        FieldSet(entries.collect())
    }

    pub(super) fn union(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |a, b| a || b)
    }

    pub(super) fn intersection(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |a, b| a && b)
    }

    pub(super) fn difference(&self, other: &FieldSet) -> FieldSet {
        self.combine(other, |a, b| a && !b)
    }

    /// As [`FieldSet::difference`], and members of `other` take all below them along.
    pub(super) fn without_trees(&self, other: &FieldSet) -> FieldSet {
        let kept = self.0.iter().filter(|(element, _)| !other.has(element)).map(|(element, entry)| {
            let below = entry.below.without_trees(other.below(element));
            (element.clone(), Entry { member: entry.member, below })
        });
        FieldSet(kept.collect()).trimmed()
    }

    fn combine(&self, other: &FieldSet, keep: fn(bool, bool) -> bool) -> FieldSet {
        let elements: BTreeSet<&Element> = self.0.keys().chain(other.0.keys()).collect();
        let mut out = BTreeMap::new();
        for element in elements {
            let member = keep(self.has(element), other.has(element));
            let below = self.below(element).combine(other.below(element), keep);
            if member || !below.0.is_empty() {
                out.insert(element.clone(), Entry { member, below });
            }
        }
        FieldSet(out)
    }

    fn trimmed(mut self) -> FieldSet {
        self.0.retain(|_, entry| entry.member || !entry.below.is_empty());
        self
    }

    /// All members as paths.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect_paths("", &mut out);
        out
    }

    fn collect_paths(&self, prefix: &str, out: &mut Vec<String>) {
        for (element, entry) in &self.0 {
            if entry.member {
                out.push(format!("{prefix}{element}"));
            }
        }
        for (element, entry) in &self.0 {
            entry.below.collect_paths(&format!("{prefix}{element}"), out);
        }
    }

    pub(super) fn to_fields_v1(&self) -> Value {
        let mut out = Map::new();
        for (element, entry) in &self.0 {
            let Value::Object(mut below) = entry.below.to_fields_v1() else { continue };
            if below.is_empty() && !entry.member {
                continue;
            }
            if entry.member && !below.is_empty() {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            out.insert(element.to_key(), Value::Object(below));
        }
        Value::Object(out)
    }

    /// Keys of kinds unknown here are ignored, as a later version may have put them there.
    pub(super) fn from_fields_v1(value: &Value) -> FieldSet {
        let mut out = BTreeMap::new();
        for (key, below) in value.as_object().into_iter().flatten() {
            let Some(element) = Element::from_key(key) else { continue };
            let below_set = FieldSet::from_fields_v1(below);
            let member = below_set.0.is_empty() || below.get(".").is_some();
            out.insert(element, Entry { member, below: below_set });
        }
        FieldSet(out)
    }
}

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    fn to_key(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let pairs =
                    fields.iter().map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
                format!("k:{{{}}}", pairs.collect::<Vec<_>>().join(","))
            }
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn from_key(key: &str) -> Option<Self> {
        match key.split_once(':')? {
            ("f", name) => Some(Self::field(name)),
            ("k", fields) => {
                let Ok(Value::Object(fields)) = serde_json::from_str(fields) else { return None };
                Some(Self::Key(fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()))
            }
            ("v", value) => {
                serde_json::from_str::<Value>(value).ok().map(|value| Self::Value(value.to_string()))
            }
            ("i", index) => index.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

/// As conflicts name fields: `.spec.containers[name="a"].image`.
impl fmt::Display for Element {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(out, ".{name}"),
            Self::Key(fields) => {
                let pairs = fields.iter().map(|(name, value)| format!("{name}={value}"));
                write!(out, "[{}]", pairs.collect::<Vec<_>>().join(","))
            }
            Self::Value(value) => write!(out, "[={value}]"),
            Self::Index(index) => write!(out, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(fields: Value) -> FieldSet {
        FieldSet::from_fields_v1(&fields)
    }

    #[test]
    fn the_written_form_survives_a_round_trip() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}, "f:finalizers": {"v:\"x/y\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        });
        assert_eq!(set(fields.clone()).to_fields_v1(), fields);
    }

    #[test]
    fn paths_read_like_conflicts() {
        let fields = set(
            json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:name": {}}}, "f:set": {"v:1": {}}}}),
        );
        assert_eq!(fields.paths(), [r#".spec.ports[port=80,protocol="TCP"].name"#, ".spec.set[=1]"]);
    }

    #[test]
    fn owning_a_parent_is_not_owning_its_children() {
        let parent = set(json!({"f:a": {}}));
        let child = set(json!({"f:a": {"f:b": {}}}));
        assert_eq!(child.difference(&parent), child);
        assert_eq!(parent.difference(&child), parent);
        assert!(parent.intersection(&child).is_empty());
        assert_eq!(parent.union(&child).to_fields_v1(), json!({"f:a": {".": {}, "f:b": {}}}));
        assert!(child.without_trees(&parent).is_empty());
    }

    #[test]
    fn unknown_keys_are_ignored() {
        assert_eq!(set(json!({"x:new": {}, "f:a": {}})).paths(), [".a"]);
    }
}
