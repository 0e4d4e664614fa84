//! `metadata.managedFields`: who owns what, decoded and encoded.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::fieldset::{Element, FieldSet, Mark};

/// More entries of the `Update` kind than this are folded together, oldest first.
const MAX_UPDATERS: usize = 10;
const FOLDED: &str = "ancient-changes";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// One owner. Appliers are the same across versions, updaters are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
    /// RFC 3339 with seconds, so that texts compare like times.
    pub(super) time: Option<String>,
    pub(super) fields: FieldSet,
}

impl Manager {
    /// What tells managers apart. Conflicts name them in the order of these texts, which clients print.
    pub(super) fn identity(&self) -> String {
        let mut text = format!("{{\"manager\":{:?},\"operation\":\"{:?}\"", self.name, self.operation);
        if self.operation == Operation::Update {
            text.push_str(&format!(",\"apiVersion\":{:?}", self.api_version));
        }
        if !self.subresource.is_empty() {
            text.push_str(&format!(",\"subresource\":{:?}", self.subresource));
        }
        text + "}"
    }

    pub(super) fn is_same(&self, other: &Manager) -> bool {
        let version = |manager: &Self| match manager.operation {
            Operation::Apply => String::new(),
            Operation::Update => manager.api_version.clone(),
        };
        (self.operation, &self.name, &self.subresource) == (other.operation, &other.name, &other.subresource)
            && version(self) == version(other)
    }

    fn decode(entry: &Value) -> Result<Self, String> {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        if text("fieldsType") != "FieldsV1" {
            return Err(format!("invalid fieldsType {:?}", text("fieldsType")));
        }
        Ok(Self {
            name: text("manager").to_owned(),
            operation,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            fields: FieldSet::from_fields_v1(entry.get("fieldsV1").unwrap_or(&Value::Null)),
        })
    }

    fn encode(self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": match self.operation { Operation::Apply => "Apply", Operation::Update => "Update" },
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.into_fields_v1(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = Value::from(self.subresource.as_str());
        }
        if let Some(time) = &self.time {
            entry["time"] = Value::from(time.as_str());
        }
        entry
    }
}

/// The owners written in an object; none when there is no such field.
pub(super) fn decode(object: &Value) -> Result<Vec<Manager>, String> {
    match object.pointer("/metadata/managedFields") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(entries)) => entries.iter().map(Manager::decode).collect(),
        Some(_) => Err("not a list".to_owned()),
    }
}

/// Writes the owners into an object, or removes the field when there are none.
pub(super) fn encode(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    managers.sort_by(|a, b| {
        let order = |m: &Manager| (m.operation, m.time.clone(), m.name.clone());
        order(a)
            .cmp(&order(b))
            .then_with(|| (&a.api_version, &a.subresource).cmp(&(&b.api_version, &b.subresource)))
    });
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if managers.is_empty() {
        metadata.remove("managedFields");
    } else {
        let entries: Vec<Value> = managers.into_iter().map(Manager::encode).collect();
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// A copy without the field, which never owns itself.
pub(super) fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    object
}

/// Whether a client asks to forget all owners, by an empty list or one empty entry.
pub(super) fn is_reset(object: &Value) -> bool {
    match object.pointer("/metadata/managedFields") {
        Some(Value::Array(entries)) => {
            let blank = |entry: &Value| entry.as_object().is_some_and(serde_json::Map::is_empty);
            entries.is_empty() || (entries.len() == 1 && entries.iter().all(blank))
        }
        _ => false,
    }
}

/// Fields that belong to the server and are never owned.
pub(super) fn unowned() -> &'static FieldSet {
    &UNOWNED
}

static UNOWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    let metadata = FieldSet::of_fields(&[
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ]);
    let metadata = (Element::field("metadata"), Mark { member: true, below: metadata });
    FieldSet::of(vec![metadata]).union(FieldSet::of_fields(&["apiVersion", "kind"]))
});

/// Folds the oldest updaters into one, so that an object touched by many stays small.
pub(super) fn cap(managers: &mut Vec<Manager>) {
    let updaters = managers.iter().filter(|manager| manager.operation == Operation::Update).count();
    let Some(surplus) = updaters.checked_sub(MAX_UPDATERS).filter(|surplus| *surplus > 0) else { return };
    let mut oldest: Vec<usize> =
        (0..managers.len()).filter(|index| managers[*index].operation == Operation::Update).collect();
    oldest.sort_by_key(|index| (managers[*index].time.clone(), managers[*index].name.clone()));
    // One more than the surplus, because what is folded leaves one entry behind.
    oldest.truncate(surplus + 1);
    oldest.sort_unstable();
    let mut folded: Option<Manager> = None;
    for index in oldest.into_iter().rev() {
        let manager = managers.remove(index);
        folded = Some(match folded {
            None => Manager { name: FOLDED.to_owned(), subresource: String::new(), ..manager },
            Some(known) => Manager {
                fields: known.fields.union(manager.fields),
                time: known.time.clone().max(manager.time),
                ..known
            },
        });
    }
    managers.extend(folded);
}
