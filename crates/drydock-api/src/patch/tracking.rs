//! Ownership after every write that is not an apply.

use drydock_kinds::schema::Type;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::managers::{self, Manager, Operation};
use super::ownership::{excluded, take_away};
use super::walk::compare;

/// Who writes, and through which door.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// The `fieldManager` parameter, or the program name at the head of the user agent.
    pub manager: &'a str,
    /// Empty for the main resource, else `status`, `scale` ...
    pub subresource: &'a str,
    /// Top-level fields this door does not own: `KindSpec::excluded_fields`.
    pub excluded: &'a [&'a str],
}

/// Records in `new.metadata.managedFields` what this create, update or patch changed relative to `live`.
/// Call after defaulting and preparing, before validation. An unchanged object keeps its entries byte for byte.
pub fn track_update(
    live: Option<&Value>,
    new: &mut Value,
    root: Type<'_>,
    writer: Writer<'_>,
    now: Timestamp,
) {
    let nothing = Value::Object(Map::new());
    track(live, live.unwrap_or(&nothing), new, root, writer, now);
}

/// Takes the time from the entry of this writer, as the scale subresource of every cluster writes it.
pub fn forget_time(object: &mut Value, writer: Writer<'_>) {
    let Ok(mut owners) = managers::decode(object) else { return };
    for owner in &mut owners {
        if owner.name == writer.manager && owner.subresource == writer.subresource {
            owner.time = None;
        }
    }
    managers::encode(object, owners);
}

/// As [`track_update`], for a create. `blank` is what an object of this kind says before anybody has set anything: whoever creates
/// it does not own that.
pub fn track_create(blank: &Value, new: &mut Value, root: Type<'_>, writer: Writer<'_>, now: Timestamp) {
    track(None, blank, new, root, writer, now);
}

fn track(
    live: Option<&Value>,
    before: &Value,
    new: &mut Value,
    root: Type<'_>,
    writer: Writer<'_>,
    now: Timestamp,
) {
    let (mut owners, given) = owners_before(live, new, writer);
    // Objects from before the first create with owners stay without; the first apply names what is there.
    if owners.is_empty() && live.is_some() {
        return managers::encode(new, owners);
    }
    let change = compare(before, new, root).without_trees(&excluded(writer.excluded));
    let (set, removed) = change.set_and_removed();
    take_away(&mut owners, &set, &removed);
    let mine = set.difference(managers::unowned());
    if let (true, false, Some(live)) = (mine.is_empty() && removed.is_empty(), given, live) {
        new["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
        return;
    }
    if !mine.is_empty() {
        let me = Manager {
            name: if writer.manager.is_empty() { "unknown" } else { writer.manager }.to_owned(),
            operation: Operation::Update,
            api_version: new["apiVersion"].as_str().unwrap_or_default().to_owned(),
            subresource: writer.subresource.to_owned(),
            time: Some(stamp(now)),
            fields: mine,
        };
        join(&mut owners, me);
    }
    owners.retain(|manager| !manager.fields.is_empty());
    managers::cap(&mut owners);
    managers::encode(new, owners);
}

/// The owners to start from, and whether the client gave them: a full update may rewrite them, a subresource not.
fn owners_before(live: Option<&Value>, new: &Value, writer: Writer<'_>) -> (Vec<Manager>, bool) {
    let stored = || live.map(|live| managers::decode(live).unwrap_or_default()).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return (stored(), false);
    }
    if managers::is_reset(new) {
        return (Vec::new(), true);
    }
    // Entries that cannot be read are no reason to lose those that can.
    let given = managers::decode(new).unwrap_or_default();
    let same = live.is_some_and(|live| live["metadata"]["managedFields"] == new["metadata"]["managedFields"]);
    match given.is_empty() {
        true => (stored(), false),
        false => (given, !same),
    }
}

/// Adds to the entry of the same manager, or makes one.
fn join(owners: &mut Vec<Manager>, me: Manager) {
    match owners.iter_mut().find(|known| known.is_same(&me)) {
        Some(known) => {
            known.fields = std::mem::take(&mut known.fields).union(me.fields);
            known.time = me.time;
        }
        None => owners.push(me),
    }
}

pub(super) fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_kinds::schema::Schema;
    use serde_json::json;

    fn writer<'a>(manager: &'a str, subresource: &'a str) -> Writer<'a> {
        let excluded: &[&str] = if subresource == "status" { &["spec"] } else { &["status"] };
        Writer { manager, subresource, excluded }
    }

    fn deployment(spec: Value, status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "b"}, "spec": spec, "status": status})
    }

    fn write(live: Option<&Value>, mut new: Value, by: Writer<'_>, second: i64) -> Value {
        let root = Schema::builtin().kind("apps", "v1", "Deployment").expect("a schema");
        let now = Timestamp::from_second(second).expect("a time");
        if let Some(live) = live {
            new["metadata"] = live["metadata"].clone();
        }
        track_update(live, &mut new, root, by, now);
        new
    }

    fn owned(object: &Value, index: usize) -> &Value {
        &object["metadata"]["managedFields"][index]["fieldsV1"]
    }

    #[test]
    fn a_create_owns_what_it_set_as_a_cluster_writes_it() {
        let spec = json!({
            "replicas": 1,
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}], "resources": {}}]},
            },
        });
        let created = write(None, deployment(spec, json!({})), writer("kubectl-create", ""), 0);
        assert_eq!(
            *owned(&created, 0),
            json!({"f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                        ".": {}, "f:image": {}, "f:name": {}, "f:resources": {},
                        "f:ports": {".": {}, "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                    }}},
                },
            }}),
        );
        let entry = &created["metadata"]["managedFields"][0];
        assert_eq!(entry["operation"], "Update");
        assert_eq!(entry["time"], "1970-01-01T00:00:00Z");
    }

    #[test]
    fn an_update_takes_over_only_what_it_changed() {
        let first =
            write(None, deployment(json!({"replicas": 1, "paused": true}), json!({})), writer("a", ""), 0);
        let second = write(
            Some(&first),
            deployment(json!({"replicas": 2, "paused": true}), json!({})),
            writer("b", ""),
            1,
        );
        assert_eq!(*owned(&second, 0), json!({"f:spec": {"f:paused": {}}}));
        assert_eq!(*owned(&second, 1), json!({"f:spec": {"f:replicas": {}}}));
    }

    #[test]
    fn a_removed_field_has_no_owner() {
        let first =
            write(None, deployment(json!({"replicas": 1, "paused": true}), json!({})), writer("a", ""), 0);
        let second = write(Some(&first), deployment(json!({"replicas": 1}), json!({})), writer("b", ""), 1);
        assert_eq!(second["metadata"]["managedFields"].as_array().map(Vec::len), Some(1));
        assert_eq!(*owned(&second, 0), json!({"f:spec": {"f:replicas": {}}}));
    }

    #[test]
    fn an_unchanged_object_keeps_its_entries() {
        let first = write(None, deployment(json!({"replicas": 1}), json!({})), writer("a", ""), 0);
        assert_eq!(write(Some(&first), first.clone(), writer("b", ""), 9), first);
    }

    #[test]
    fn the_status_is_owned_through_its_own_door() {
        let first = write(None, deployment(json!({"replicas": 1}), json!({})), writer("a", ""), 0);
        let second = write(
            Some(&first),
            deployment(json!({"replicas": 1}), json!({"replicas": 1})),
            writer("ctl", "status"),
            1,
        );
        let entry = &second["metadata"]["managedFields"][1];
        assert_eq!(
            (&entry["subresource"], &entry["fieldsV1"]),
            (&json!("status"), &json!({"f:status": {"f:replicas": {}}}))
        );
    }

    #[test]
    fn an_empty_list_forgets_all_owners() {
        let first = write(None, deployment(json!({"replicas": 1}), json!({})), writer("a", ""), 0);
        let mut new = first.clone();
        new["metadata"]["managedFields"] = json!([{}]);
        let root = Schema::builtin().kind("apps", "v1", "Deployment").expect("a schema");
        track_update(Some(&first), &mut new, root, writer("a", ""), Timestamp::UNIX_EPOCH);
        assert_eq!(new["metadata"].get("managedFields"), None);
    }

    #[test]
    fn many_updaters_are_folded() {
        let mut object = write(None, deployment(json!({"replicas": 0}), json!({})), writer("first", ""), 0);
        for step in 1..30 {
            let label = format!("l{step}");
            let mut next = object.clone();
            next["metadata"]["labels"][label.as_str()] = json!("x");
            let root = Schema::builtin().kind("apps", "v1", "Deployment").expect("a schema");
            let name = format!("m{step}");
            let now = Timestamp::from_second(step).expect("a time");
            track_update(Some(&object), &mut next, root, writer(&name, ""), now);
            object = next;
        }
        let entries = object["metadata"]["managedFields"].as_array().expect("entries");
        assert_eq!(entries.len(), 10);
        assert!(entries.iter().any(|entry| entry["manager"] == "ancient-changes"));
    }
}
