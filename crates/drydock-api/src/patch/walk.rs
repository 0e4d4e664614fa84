//! Walks values along their schema: which fields a value has, and how two values differ.
//!
//! Structures and maps are walked field by field and associative lists item by item; everything else, atomic lists and
//! maps included, is one leaf. The rules are those of structured-merge-diff, which clients' `managedFields` assume.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use drydock_kinds::schema::{Field, ListType, Shape, Type};
use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet};

/// How a value is walked at one position.
pub(super) enum Form<'v, 's> {
    Leaf,
    Fields(&'v Map<String, Value>, Type<'s>),
    Items(&'v [Value], Items<'s>),
}

/// The items of an associative list.
#[derive(Clone, Copy)]
pub(super) struct Items<'s> {
    pub(super) ty: Type<'s>,
    list: &'s ListType,
}

pub(super) fn form<'v, 's>(value: &'v Value, ty: Option<Type<'s>>) -> Form<'v, 's> {
    let Some(ty) = ty else { return Form::Leaf };
    match (ty.shape(), value) {
        (Shape::Struct | Shape::Map, Value::Object(fields)) if !ty.is_atomic() => Form::Fields(fields, ty),
        (Shape::List, Value::Array(items)) if *ty.list_type() != ListType::Atomic => match ty.items() {
            Some(item) => Form::Items(items, Items { ty: item, list: ty.list_type() }),
            None => Form::Leaf,
        },
        _ => Form::Leaf,
    }
}

/// The type of a field of a structure, or of a map's entry.
pub(super) fn field_type<'s>(ty: Type<'s>, name: &str) -> Option<Type<'s>> {
    match ty.shape() {
        Shape::Struct => ty.field(name).map(|field| field.ty),
        _ => ty.items(),
    }
}

impl Items<'_> {
    /// What identifies an item; `None` when it lacks every identifying field.
    pub(super) fn element(self, item: &Value) -> Option<Element> {
        match self.list {
            ListType::Atomic => None,
            ListType::Set => (!item.is_object() && !item.is_array() && !item.is_null())
                .then(|| Element::Value(item.to_string())),
            ListType::Map(keys) => {
                let fields: BTreeMap<String, String> = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), self.key(item, key)?.to_string())))
                    .collect();
                (item.is_object() && !fields.is_empty()).then_some(Element::Key(fields))
            }
        }
    }

    /// Why an item has no [`Items::element`], in the words of structured-merge-diff.
    pub(super) fn why_no_element(self, item: &Value) -> String {
        let what = match (self.list, item) {
            (ListType::Map(_), Value::Null) => "associative list with keys may not have a null element",
            (ListType::Map(keys), Value::Object(_)) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                let keys = keys.join(" ");
                return format!(
                    "associative list with keys has an element that omits all key fields [{keys}] \
                     (and doesn't have default values for any key fields)"
                );
            }
            (ListType::Map(_), _) => "associative list with keys may not have non-map elements",
            (_, Value::Object(_)) => "associative list without keys has an element that's a map type",
            (_, Value::Array(_)) => "not supported: associative list with lists as elements",
            _ => "associative list without keys has an element that's an explicit null",
        };
        what.to_owned()
    }

    /// An identifying field that is absent stands for its default: a port without protocol is a TCP port.
    fn key<'v>(self, item: &'v Value, key: &str) -> Option<&'v Value>
    where
        Self: 'v,
    {
        item.get(key).or_else(|| self.ty.field(key).and_then(Field::default))
    }
}

/// All fields that a value sets. Items that cannot be told apart are one field.
pub(super) fn fields_of(value: &Value, root: Type<'_>) -> FieldSet {
    let mut walk = Collect { path: Vec::new(), out: FieldSet::default() };
    walk.value(value, Some(root));
    walk.out
}

struct Collect {
    path: Vec<Element>,
    out: FieldSet,
}

impl Collect {
    fn value(&mut self, value: &Value, ty: Option<Type<'_>>) {
        match form(value, ty) {
            Form::Leaf => self.out.insert(&self.path),
            Form::Fields(fields, ty) => self.fields(fields, ty),
            Form::Items(items, of) => self.items(items, of),
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, ty: Type<'_>) {
        for (name, child) in fields {
            self.path.push(Element::field(name));
            self.value(child, field_type(ty, name));
            let is_entry = ty.shape() == Shape::Map;
            if is_entry || child.is_null() || child.as_object().is_some_and(Map::is_empty) {
                self.out.insert(&self.path);
            }
            self.path.pop();
        }
    }

    fn items(&mut self, items: &[Value], of: Items<'_>) {
        let mut groups: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
        for item in items {
            groups.entry(element_or_place(of, item)).or_default().push(item);
        }
        for (element, group) in groups {
            self.path.push(element);
            if let [item] = group.as_slice() {
                self.value(item, Some(of.ty));
            }
            self.out.insert(&self.path);
            self.path.pop();
        }
    }
}

/// How one value differs from another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Difference {
    /// Leaves out whole trees of fields.
    pub(super) fn without_trees(&self, fields: &FieldSet) -> Difference {
        Difference {
            removed: self.removed.without_trees(fields),
            modified: self.modified.without_trees(fields),
            added: self.added.without_trees(fields),
        }
    }

    /// What the new value sets anew.
    pub(super) fn set(&self) -> FieldSet {
        self.modified.union(&self.added)
    }
}

static NO_FIELDS: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
static NULL: Value = Value::Null;

pub(super) fn compare(old: &Value, new: &Value, root: Type<'_>) -> Difference {
    let mut walk = Compare { path: Vec::new(), out: Difference::default() };
    walk.value(Some(old), Some(new), Some(root));
    walk.out
}

struct Compare {
    path: Vec<Element>,
    out: Difference,
}

impl Compare {
    fn value<'v>(&mut self, old: Option<&'v Value>, new: Option<&'v Value>, ty: Option<Type<'_>>) {
        if let (Some(old), Some(new)) = (old, new)
            && old == new
        {
            return;
        }
        // A null has no content, but is there.
        let content =
            |value: Option<&'v Value>| value.filter(|value| !value.is_null()).map(|value| form(value, ty));
        match (content(old), content(new)) {
            (Some(Form::Fields(a, of)), Some(Form::Fields(b, _))) => self.fields(Some(a), Some(b), of),
            (Some(Form::Fields(a, of)), None) if !a.is_empty() => self.fields(Some(a), None, of),
            (None, Some(Form::Fields(b, of))) if !b.is_empty() => self.fields(None, Some(b), of),
            (Some(Form::Items(a, of)), Some(Form::Items(b, _))) => self.items(a, b, of),
            (Some(Form::Items(a, of)), None) if !a.is_empty() => self.items(a, &[], of),
            (None, Some(Form::Items(b, of))) if !b.is_empty() => self.items(&[], b, of),
            _ => return self.leaf(old, new),
        }
        match (old, new) {
            (None, _) => self.out.added.insert(&self.path),
            (_, None) => self.out.removed.insert(&self.path),
            _ => {}
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let changed = match (old, new) {
            (None, _) => &mut self.out.added,
            (_, None) => &mut self.out.removed,
            _ => &mut self.out.modified,
        };
        changed.insert(&self.path);
    }

    fn fields(&mut self, old: Option<&Map<String, Value>>, new: Option<&Map<String, Value>>, ty: Type<'_>) {
        let in_old = old.into_iter().flat_map(Map::keys);
        let only_new =
            new.into_iter().flat_map(Map::keys).filter(|name| old.is_none_or(|old| !old.contains_key(*name)));
        for name in in_old.chain(only_new) {
            let before = old.and_then(|fields| present(fields, ty, name));
            let after = new.and_then(|fields| present(fields, ty, name));
            self.path.push(Element::field(name));
            self.value(before, after, field_type(ty, name));
            self.path.pop();
        }
    }

    fn items(&mut self, old: &[Value], new: &[Value], of: Items<'_>) {
        let mut groups: BTreeMap<Element, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for item in old {
            groups.entry(element_or_place(of, item)).or_default().0.push(item);
        }
        for item in new {
            groups.entry(element_or_place(of, item)).or_default().1.push(item);
        }
        for (element, (before, after)) in groups {
            self.path.push(element);
            match (before.as_slice(), after.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.value(before.first().copied(), after.first().copied(), Some(of.ty))
                }
                // Items that cannot be told apart are compared as one piece.
                (a, b) if a == b => {}
                (_, [only]) => {
                    self.value(None, Some(only), Some(of.ty));
                    self.out.removed.insert(&self.path);
                }
                ([only], _) => {
                    self.value(Some(only), None, Some(of.ty));
                    self.out.added.insert(&self.path);
                }
                ([], _) => self.out.added.insert(&self.path),
                (_, []) => self.out.removed.insert(&self.path),
                _ => self.out.modified.insert(&self.path),
            }
            self.path.pop();
        }
    }
}

/// Stored objects may hold an item without keys; it must not be lost, only compared coarsely.
fn element_or_place(of: Items<'_>, item: &Value) -> Element {
    of.element(item).unwrap_or_else(|| Element::Value(item.to_string()))
}

/// A field as Go would hold it: structures that are no pointers are always there, required lists are null when absent.
/// Without this, every create would claim containers that nobody set.
fn present<'v>(fields: &'v Map<String, Value>, ty: Type<'_>, name: &str) -> Option<&'v Value> {
    fields.get(name).or_else(|| {
        let field = if ty.shape() == Shape::Struct { ty.field(name) } else { None }?;
        match field.default() {
            Some(Value::Object(_)) => Some(&*NO_FIELDS),
            _ if field.is_required() && matches!(field.ty.shape(), Shape::List | Shape::Map) => Some(&NULL),
            _ => None,
        }
    })
}

/// Adds the structure fields that lead to members, which field sets usually leave out.
pub(super) fn with_named_parents(set: &FieldSet, ty: Option<Type<'_>>) -> FieldSet {
    let Some(ty) = ty else { return set.clone() };
    set.rebuilt(|element, member, below| {
        let (named, child) = match element {
            Element::Field(name) => {
                let is_field = ty.shape() == Shape::Struct && ty.field(name).is_some();
                (is_field && !below.is_empty(), field_type(ty, name))
            }
            _ => (false, ty.items()),
        };
        (member || named, with_named_parents(below, child))
    })
}
