//! Sets of fields, and their written form in `managedFields` (`FieldsV1`).
//!
//! A set is a tree of path elements in which some positions are members. Owning a list does not mean owning its items,
//! nor the other way round, so membership is kept for each position on its own. Every write builds and combines such
//! sets, so they are sorted lists, built bottom-up ([`FieldSet::of`]) and combined in place.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;
use std::slice;

use serde_json::{Map, Value};

/// One step of a path. Values are kept as JSON text, which makes them comparable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Element {
    /// As it is written: `f:` and the name.
    Field(String),
    /// An item of a list, by the fields that identify it, sorted by name.
    Key(Vec<(String, String)>),
    /// An item of a set.
    Value(String),
    Index(i64),
}

/// Sorted by element, without positions that say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSet(Vec<(Element, Mark)>);

/// What a set says about one position and all below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) member: bool,
    pub(super) below: FieldSet,
}

static EMPTY: FieldSet = FieldSet(Vec::new());
const FIELD: &str = "f:";

impl Mark {
    pub(super) fn member() -> Self {
        Self { member: true, below: FieldSet::default() }
    }

    pub(super) fn is_nothing(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    /// The set of these positions, each named once.
    pub(super) fn of(mut marks: Vec<(Element, Mark)>) -> Self {
        marks.retain(|(_, mark)| !mark.is_nothing());
        marks.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self(marks)
    }

    /// Some top-level fields.
    pub(super) fn of_fields(names: &[&str]) -> Self {
        Self::of(names.iter().map(|name| (Element::field(name), Mark::member())).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, element: &Element) -> Option<&Mark> {
        let at = self.0.binary_search_by(|(known, _)| known.cmp(element)).ok()?;
        self.0.get(at).map(|(_, mark)| mark)
    }

    /// Whether this very position is a member.
    pub(super) fn has(&self, element: &Element) -> bool {
        self.get(element).is_some_and(|mark| mark.member)
    }

    /// What the set says about positions below `element`.
    pub(super) fn below(&self, element: &Element) -> &FieldSet {
        self.get(element).map_or(&EMPTY, |mark| &mark.below)
    }

    /// The same set with other members at this level and other branches.
    pub(super) fn rebuilt(&self, mut change: impl FnMut(&Element, &Mark) -> Mark) -> FieldSet {
        Self::of(self.0.iter().map(|(element, mark)| (element.clone(), change(element, mark))).collect())
    }

    pub(super) fn union(self, other: FieldSet) -> FieldSet {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => return other,
            (_, true) => return self,
            _ => {}
        }
        let mut out = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut left, mut right) = (self.0.into_iter().peekable(), other.0.into_iter().peekable());
        while let (Some((a, _)), Some((b, _))) = (left.peek(), right.peek()) {
            match a.cmp(b) {
                Ordering::Less => out.extend(left.next()),
                Ordering::Greater => out.extend(right.next()),
                Ordering::Equal => {
                    out.extend(left.next().zip(right.next()).map(|((element, a), (_, b))| {
                        (element, Mark { member: a.member || b.member, below: a.below.union(b.below) })
                    }));
                }
            }
        }
        out.extend(left);
        out.extend(right);
        FieldSet(out)
    }

    pub(super) fn intersection(mut self, other: &FieldSet) -> FieldSet {
        self.combine(other, |mark, other| {
            mark.member &= other.member;
            mark.below = std::mem::take(&mut mark.below).intersection(&other.below);
        });
        self
    }

    pub(super) fn difference(mut self, other: &FieldSet) -> FieldSet {
        self.subtract(other);
        self
    }

    /// [`FieldSet::difference`] in place.
    pub(super) fn subtract(&mut self, other: &FieldSet) {
        if other.is_empty() {
            return;
        }
        self.combine(other, |mark, other| {
            mark.member &= !other.member;
            mark.below.subtract(&other.below);
        });
    }

    /// As [`FieldSet::difference`], and members of `other` take all below them along.
    pub(super) fn without_trees(mut self, other: &FieldSet) -> FieldSet {
        self.combine(other, |mark, other| {
            let below = std::mem::take(&mut mark.below);
            match other.member {
                true => mark.member = false,
                false => mark.below = below.without_trees(&other.below),
            }
        });
        self
    }

    /// Changes each position by what `other` says about it, and drops those about which nothing is left to say.
    fn combine(&mut self, other: &FieldSet, change: impl Fn(&mut Mark, &Mark)) {
        let nothing = Mark::default();
        let mut others = other.0.iter().peekable();
        self.0.retain_mut(|(element, mark)| {
            change(mark, find(&mut others, element).unwrap_or(&nothing));
            !mark.is_nothing()
        });
    }

    /// All members as paths.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.collect_paths("", &mut out);
        out
    }

    fn collect_paths(&self, prefix: &str, out: &mut Vec<String>) {
        let members = self.0.iter().filter(|(_, mark)| mark.member);
        out.extend(members.map(|(element, _)| format!("{prefix}{element}")));
        for (element, mark) in self.0.iter().filter(|(_, mark)| !mark.below.is_empty()) {
            mark.below.collect_paths(&format!("{prefix}{element}"), out);
        }
    }

    pub(super) fn into_fields_v1(self) -> Value {
        Value::Object(
            self.0.into_iter().map(|(element, mark)| (element.into_key(), mark.into_value())).collect(),
        )
    }

    /// Keys of kinds unknown here are ignored, as a later version may have put them there.
    pub(super) fn from_fields_v1(value: &Value) -> FieldSet {
        let fields = value.as_object().into_iter().flatten();
        let marks = fields.filter_map(|(key, below)| {
            let element = Element::from_key(key)?;
            let set = FieldSet::from_fields_v1(below);
            Some((element, Mark { member: set.is_empty() || below.get(".").is_some(), below: set }))
        });
        FieldSet::of(marks.collect())
    }
}

/// What a set says about `element`, where elements are asked for in order.
fn find<'s>(marks: &mut Peekable<slice::Iter<'s, (Element, Mark)>>, element: &Element) -> Option<&'s Mark> {
    while marks.next_if(|(known, _)| known < element).is_some() {}
    marks.next_if(|(known, _)| known == element).map(|(_, mark)| mark)
}

impl Mark {
    fn into_value(self) -> Value {
        let Value::Object(mut below) = self.below.into_fields_v1() else { return Value::Null };
        if self.member && !below.is_empty() {
            below.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(below)
    }
}

impl Element {
    pub(super) fn field(name: &str) -> Self {
        Self::Field([FIELD, name].concat())
    }

    /// An item by the fields that identify it.
    pub(super) fn key(mut fields: Vec<(String, String)>) -> Self {
        fields.sort_unstable();
        Self::Key(fields)
    }

    /// The name, if it is a field.
    pub(super) fn as_field(&self) -> Option<&str> {
        match self {
            Self::Field(key) => key.strip_prefix(FIELD),
            _ => None,
        }
    }

    fn into_key(self) -> String {
        match self {
            Self::Field(key) => key,
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
            ("f", _) => Some(Self::Field(key.to_owned())),
            ("k", fields) => {
                let Ok(Value::Object(fields)) = serde_json::from_str(fields) else { return None };
                Some(Self::key(fields.into_iter().map(|(name, value)| (name, value.to_string())).collect()))
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
            Self::Field(key) => write!(out, ".{}", key.strip_prefix(FIELD).unwrap_or(key)),
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
        assert_eq!(set(fields.clone()).into_fields_v1(), fields);
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
        assert_eq!(child.clone().difference(&parent), child);
        assert_eq!(parent.clone().difference(&child), parent);
        assert!(parent.clone().intersection(&child).is_empty());
        assert_eq!(
            parent.clone().union(child.clone()).into_fields_v1(),
            json!({"f:a": {".": {}, "f:b": {}}})
        );
        assert!(child.without_trees(&parent).is_empty());
    }

    #[test]
    fn unknown_keys_are_ignored() {
        assert_eq!(set(json!({"x:new": {}, "f:a": {}})).paths(), [".a"]);
    }

    #[test]
    fn sets_are_combined_position_by_position() {
        let a = set(json!({"f:a": {}, "f:b": {".": {}, "f:x": {}}, "f:d": {"f:y": {}}}));
        let b = set(json!({"f:b": {"f:x": {}}, "f:c": {}, "f:d": {}}));
        let both = json!({"f:a": {}, "f:b": {".": {}, "f:x": {}}, "f:c": {}, "f:d": {".": {}, "f:y": {}}});
        assert_eq!(a.clone().union(b.clone()), set(both.clone()));
        assert_eq!(b.clone().union(a.clone()), set(both));
        assert_eq!(a.clone().intersection(&b).into_fields_v1(), json!({"f:b": {"f:x": {}}}));
        assert_eq!(
            a.clone().difference(&b).into_fields_v1(),
            json!({"f:a": {}, "f:b": {}, "f:d": {"f:y": {}}})
        );
        assert_eq!(a.without_trees(&b).into_fields_v1(), json!({"f:a": {}, "f:b": {}}));
    }
}
