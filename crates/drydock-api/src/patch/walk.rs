//! Walks values along their schema: which fields a value has, and how two values differ.
//!
//! Structures and maps are walked field by field and associative lists item by item; everything else, atomic lists and
//! maps included, is one leaf. The rules are those of structured-merge-diff, which clients' `managedFields` assume.

use std::sync::LazyLock;

use drydock_kinds::schema::{Field, ListType, Shape, Type};
use serde_json::{Map, Value};

use super::fieldset::{Element, FieldSet, Mark};

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
                let fields: Vec<(String, String)> = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), self.key(item, key)?.to_string())))
                    .collect();
                (item.is_object() && !fields.is_empty()).then(|| Element::key(fields))
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
    set_by(value, Some(root)).below
}

fn set_by(value: &Value, ty: Option<Type<'_>>) -> Mark {
    let marks = match form(value, ty) {
        Form::Leaf => return Mark::member(),
        Form::Fields(fields, ty) => {
            fields.iter().map(|(name, child)| set_by_field(name, child, ty)).collect()
        }
        Form::Items(items, of) => {
            let groups = groups(items.iter().map(|item| (element_or_place(of, item), item)).collect());
            let marks = groups.into_iter().map(|(element, group)| {
                let below = match group.as_slice() {
                    [item] => set_by(item, Some(of.ty)).below,
                    _ => FieldSet::default(),
                };
                (element, Mark { member: true, below })
            });
            marks.collect()
        }
    };
    Mark { member: false, below: FieldSet::of(marks) }
}

fn set_by_field(name: &str, child: &Value, ty: Type<'_>) -> (Element, Mark) {
    let mut mark = set_by(child, field_type(ty, name));
    let is_entry = ty.shape() == Shape::Map;
    mark.member |= is_entry || child.is_null() || child.as_object().is_some_and(Map::is_empty);
    (Element::field(name), mark)
}

/// Items by what identifies them, in that order; those of one group in their own.
fn groups<T>(mut items: Vec<(Element, T)>) -> Vec<(Element, Vec<T>)> {
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut groups: Vec<(Element, Vec<T>)> = Vec::with_capacity(items.len());
    for (element, item) in items {
        match groups.last_mut() {
            Some((last, group)) if *last == element => group.push(item),
            _ => groups.push((element, vec![item])),
        }
    }
    groups
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
    pub(super) fn without_trees(self, fields: &FieldSet) -> Difference {
        Difference {
            removed: self.removed.without_trees(fields),
            modified: self.modified.without_trees(fields),
            added: self.added.without_trees(fields),
        }
    }

    /// What the new value sets anew, and what it no longer has.
    pub(super) fn set_and_removed(self) -> (FieldSet, FieldSet) {
        (self.modified.union(self.added), self.removed)
    }
}

static NO_FIELDS: LazyLock<Value> = LazyLock::new(|| Value::Object(Map::new()));
static NULL: Value = Value::Null;

/// How two objects differ. The owners of fields are no fields that anybody owns: `managedFields` is passed over.
pub(super) fn compare(old: &Value, new: &Value, root: Type<'_>) -> Difference {
    let Change { removed, modified, added } = Place::Object.value(Some(old), Some(new), Some(root));
    Difference { removed: removed.below, modified: modified.below, added: added.below }
}

/// How two values differ at one position and below it.
#[derive(Default)]
struct Change {
    removed: Mark,
    modified: Mark,
    added: Mark,
}

/// The changes of the positions below one.
#[derive(Default)]
struct Changes {
    removed: Vec<(Element, Mark)>,
    modified: Vec<(Element, Mark)>,
    added: Vec<(Element, Mark)>,
}

impl Changes {
    fn push(&mut self, element: impl Fn() -> Element, change: Change) {
        let Change { removed, modified, added } = change;
        for (all, mark) in
            [(&mut self.removed, removed), (&mut self.modified, modified), (&mut self.added, added)]
        {
            if !mark.is_nothing() {
                all.push((element(), mark));
            }
        }
    }

    fn below(self) -> Change {
        let mark = |marks| Mark { member: false, below: FieldSet::of(marks) };
        Change { removed: mark(self.removed), modified: mark(self.modified), added: mark(self.added) }
    }
}

/// Where in the object a comparison is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Object,
    Metadata,
    Below,
}

impl Place {
    /// The place of a field, unless it is passed over.
    fn of_field(self, name: &str) -> Option<Place> {
        match (self, name) {
            (Place::Object, "metadata") => Some(Place::Metadata),
            (Place::Metadata, "managedFields") => None,
            _ => Some(Place::Below),
        }
    }

    fn value<'v>(self, old: Option<&'v Value>, new: Option<&'v Value>, ty: Option<Type<'_>>) -> Change {
        if self == Place::Below
            && let (Some(old), Some(new)) = (old, new)
            && old == new
        {
            return Change::default();
        }
        // A null has no content, but is there.
        let content =
            |value: Option<&'v Value>| value.filter(|value| !value.is_null()).map(|value| form(value, ty));
        let mut change = match (content(old), content(new)) {
            (Some(Form::Fields(a, of)), Some(Form::Fields(b, _))) => self.fields(Some(a), Some(b), of),
            (Some(Form::Fields(a, of)), None) if !a.is_empty() => self.fields(Some(a), None, of),
            (None, Some(Form::Fields(b, of))) if !b.is_empty() => self.fields(None, Some(b), of),
            (Some(Form::Items(a, of)), Some(Form::Items(b, _))) => items(a, b, of),
            (Some(Form::Items(a, of)), None) if !a.is_empty() => items(a, &[], of),
            (None, Some(Form::Items(b, of))) if !b.is_empty() => items(&[], b, of),
            _ => return leaf(old, new),
        };
        change.added.member |= old.is_none();
        change.removed.member |= old.is_some() && new.is_none();
        change
    }

    fn fields(
        self,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        ty: Type<'_>,
    ) -> Change {
        let in_old = old.into_iter().flat_map(Map::keys);
        let only_new =
            new.into_iter().flat_map(Map::keys).filter(|name| old.is_none_or(|old| !old.contains_key(*name)));
        let mut changes = Changes::default();
        for name in in_old.chain(only_new) {
            let Some(place) = self.of_field(name) else { continue };
            let before = old.and_then(|fields| present(fields, ty, name));
            let after = new.and_then(|fields| present(fields, ty, name));
            let change = place.value(before, after, field_type(ty, name));
            changes.push(|| Element::field(name), change);
        }
        changes.below()
    }
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Change {
    let (changed, nothing) = (Mark::member(), Change::default());
    match (old, new) {
        // Equal only where the whole object is one leaf.
        (Some(old), Some(new)) if old == new => nothing,
        (None, _) => Change { added: changed, ..nothing },
        (_, None) => Change { removed: changed, ..nothing },
        _ => Change { modified: changed, ..nothing },
    }
}

fn items(old: &[Value], new: &[Value], of: Items<'_>) -> Change {
    let sided = old.iter().map(|item| (false, item)).chain(new.iter().map(|item| (true, item)));
    let mut changes = Changes::default();
    for (element, group) in
        groups(sided.map(|(is_new, item)| (element_or_place(of, item), (is_new, item))).collect())
    {
        let (before, after) = group.split_at(group.partition_point(|(is_new, _)| !is_new));
        changes.push(|| element.clone(), group_change(before, after, of.ty));
    }
    changes.below()
}

/// Items that cannot be told apart are compared as one piece.
fn group_change(before: &[(bool, &Value)], after: &[(bool, &Value)], ty: Type<'_>) -> Change {
    let value = |old: Option<&(bool, &Value)>, new: Option<&(bool, &Value)>| {
        Place::Below.value(old.map(|(_, item)| *item), new.map(|(_, item)| *item), Some(ty))
    };
    let (mut change, changed) = (Change::default(), Mark::member());
    match (before, after) {
        ([] | [_], [] | [_]) => return value(before.first(), after.first()),
        (a, b) if a.iter().map(|(_, item)| item).eq(b.iter().map(|(_, item)| item)) => {}
        (_, [only]) => {
            change = value(None, Some(only));
            change.removed.member = true;
        }
        ([only], _) => {
            change = value(Some(only), None);
            change.added.member = true;
        }
        ([], _) => change.added = changed,
        (_, []) => change.removed = changed,
        _ => change.modified = changed,
    }
    change
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
    set.rebuilt(|element, mark| {
        let (named, child) = match element.as_field() {
            Some(name) => {
                let is_field = ty.shape() == Shape::Struct && ty.field(name).is_some();
                (is_field && !mark.below.is_empty(), field_type(ty, name))
            }
            None => (false, ty.items()),
        };
        Mark { member: mark.member || named, below: with_named_parents(&mark.below, child) }
    })
}
