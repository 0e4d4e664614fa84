//! Server-side apply: merges what a manager wants into the live object and gives up what it no longer wants.
//!
//! A manager owns exactly the fields of its last configuration. Fields that it dropped are removed unless someone else
//! owns them; fields that others own with other values are conflicts, unless the request forces.

use std::borrow::Cow;

use drydock_kinds::schema::Type;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::conflict::Conflicts;
use super::fieldset::FieldSet;
use super::last_applied;
use super::managers::{self, Manager, Operation};
use super::merge::merge;
use super::ownership::{conflicts, excluded, take_away};
use super::remove::remove;
use super::sound;
use super::tracking::{Writer, stamp};
use super::walk::{compare, fields_of, with_named_parents};

/// Who owned the fields of an object that nobody applied before.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The one manager that may have applied from the client before.
const KUBECTL: &str = "kubectl";

/// One apply request.
#[derive(Debug, Clone, Copy)]
pub struct Apply<'a> {
    /// The stored object; `None` creates it.
    pub live: Option<&'a Value>,
    /// The applied configuration, complete with `apiVersion`, `kind` and `metadata.name`.
    pub config: &'a Value,
    pub root: Type<'a>,
    pub writer: Writer<'a>,
    /// Takes fields over from other managers instead of reporting a conflict.
    pub force: bool,
    pub now: Timestamp,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ApplyError {
    /// Answer 409 with one cause per conflict.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// Answer 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsInConfig,
    /// Answer 500, as every API server does.
    #[error("{0}")]
    BadConfig(String),
}

/// The object after the apply, `managedFields` included. Equal to `live` when nothing changes: then do not write.
///
/// May hold nulls and empty maps where the configuration does; decoding it into its kind drops them.
pub fn apply(request: Apply<'_>) -> Result<Value, ApplyError> {
    let config = checked_config(&request)?;
    let mut owners = owners_before(&request)?;
    let live = request.live.map_or_else(|| json!({}), managers::without_owners);
    let mut me = me(&request, &config)?;
    let last = take_previous(&mut owners, &me);
    let mut merged = merge(&live, &config, Some(request.root));
    if let Some(last) = last.as_ref().filter(|last| !last.fields.is_empty()) {
        let still_owned = owners.iter().fold(me.fields.clone(), |all, owner| all.union(owner.fields.clone()));
        merged = prune(merged, &last.fields, &still_owned, request.root);
    }
    let change = compare(&live, &merged, request.root).without_trees(&excluded(request.writer.excluded));
    let (set, removed) = change.set_and_removed();
    check_conflicts(&request, &live, &owners, &set)?;
    take_away(&mut owners, &set, &removed);
    me.fields.subtract(managers::unowned());
    without_nulls(&mut merged);
    let same_object = request.live.is_some() && merged == live;
    let same_fields = last.as_ref().is_some_and(|last| last.fields == me.fields);
    if request.writer.manager == KUBECTL {
        last_applied::refresh(&mut merged, &config);
    }
    if let Some(stored) = request.live.filter(|_| same_fields && merged == live) {
        return Ok(stored.clone());
    }
    // The time of an entry is that of its last change to the object: sharing a field is none.
    me.time = if same_object { last.and_then(|last| last.time) } else { Some(stamp(request.now)) };
    owners.push(me);
    managers::encode(&mut merged, owners);
    Ok(merged)
}

/// `kubectl apply --server-side` may take over what `kubectl apply` set before it, everybody else needs force.
fn check_conflicts(
    request: &Apply<'_>,
    live: &Value,
    owners: &[Manager],
    set: &FieldSet,
) -> Result<(), ApplyError> {
    if request.force {
        return Ok(());
    }
    let mut contested = Cow::Borrowed(set);
    if request.writer.manager == KUBECTL
        && let Some(allowed) = last_applied::untouched_fields(live, request.root)
    {
        contested.to_mut().subtract(&allowed);
    }
    let conflicts = conflicts(owners, &contested);
    if conflicts.is_empty() { Ok(()) } else { Err(ApplyError::Conflicts(Conflicts(conflicts))) }
}

/// Drops nulls, which stand for fields that are not there, and what pruning left empty-handed.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, child| !child.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

/// The configuration without what this door does not write.
fn checked_config(request: &Apply<'_>) -> Result<Value, ApplyError> {
    let mut config = request.config.clone();
    let Some(fields) = config.as_object_mut() else {
        return Err(ApplyError::BadConfig("an applied configuration must be an object".to_owned()));
    };
    for name in request.writer.excluded {
        fields.remove(*name);
    }
    match config.pointer("/metadata/managedFields") {
        None => Ok(config),
        Some(Value::Null) => Ok(managers::without_owners(&config)),
        Some(_) => Err(ApplyError::ManagedFieldsInConfig),
    }
}

/// The stored owners; an object without any gets one for all that is there, so that the first apply can conflict.
fn owners_before(request: &Apply<'_>) -> Result<Vec<Manager>, ApplyError> {
    let Some(live) = request.live else { return Ok(Vec::new()) };
    let unreadable = |why| ApplyError::BadConfig(format!("metadata.managedFields is not readable: {why}"));
    let owners = managers::decode(live).map_err(unreadable)?;
    if !owners.is_empty() {
        return Ok(owners);
    }
    let there = compare(&json!({}), live, request.root).without_trees(&excluded(request.writer.excluded));
    let (fields, _) = there.set_and_removed();
    Ok(vec![Manager {
        name: BEFORE_FIRST_APPLY.to_owned(),
        operation: Operation::Update,
        api_version: api_version(request.config),
        subresource: request.writer.subresource.to_owned(),
        time: Some(stamp(request.now)),
        fields: fields.difference(managers::unowned()),
    }])
}

fn me(request: &Apply<'_>, config: &Value) -> Result<Manager, ApplyError> {
    let unsound = |why| {
        ApplyError::BadConfig(format!("failed to create typed patch object ({}): {why}", name_of(config)))
    };
    sound::check(config, request.root).map_err(unsound)?;
    let fields = fields_of(config, request.root);
    Ok(Manager {
        name: if request.writer.manager.is_empty() { "unknown" } else { request.writer.manager }.to_owned(),
        operation: Operation::Apply,
        api_version: api_version(config),
        subresource: request.writer.subresource.to_owned(),
        time: None,
        fields,
    })
}

/// `default/web; apps/v1, Kind=Deployment`
fn name_of(config: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&config["apiVersion"]);
    let group_version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
    let metadata = &config["metadata"];
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    format!("{namespace}/{name}; {group_version}, Kind={}", text(&config["kind"]))
}

fn api_version(object: &Value) -> String {
    object["apiVersion"].as_str().unwrap_or_default().to_owned()
}

fn take_previous(owners: &mut Vec<Manager>, me: &Manager) -> Option<Manager> {
    let index = owners.iter().position(|owner| owner.is_same(me))?;
    Some(owners.remove(index))
}

/// Removes what the manager applied last time and nobody owns any more.
fn prune(merged: Value, last: &FieldSet, owned: &FieldSet, root: Type<'_>) -> Value {
    let named = |set: &FieldSet| with_named_parents(set, Some(root));
    let (last, owned) = (named(last), named(owned));
    let all = named(&fields_of(&merged, root));
    let left = remove(&merged, &last, Some(root)).unwrap_or_else(|| json!({}));
    let left = named(&fields_of(&left, root));
    // First what fell away with a parent although someone owns it comes back, then what was never ours to remove.
    let gone = all.clone().difference(&left.union(owned));
    let left = remove(&merged, &gone, Some(root)).unwrap_or_else(|| json!({}));
    let left = named(&fields_of(&left, root));
    let gone = all.difference(&left).intersection(&last);
    remove(&merged, &gone, Some(root)).unwrap_or_else(|| json!({}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_kinds::schema::Schema;

    /// Applies step by step: manager, configuration without identity, whether to force.
    struct World {
        kind: (&'static str, &'static str, &'static str),
        live: Option<Value>,
        second: i64,
    }

    impl World {
        fn of(group: &'static str, version: &'static str, kind: &'static str) -> Self {
            Self { kind: (group, version, kind), live: None, second: 0 }
        }

        fn apply(&mut self, manager: &str, config: Value, force: bool) -> Result<(), ApplyError> {
            let (group, version, kind) = self.kind;
            let root = Schema::builtin().kind(group, version, kind).expect("a schema");
            let mut config = config;
            config["apiVersion"] =
                json!(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") });
            config["kind"] = json!(kind);
            config["metadata"]["name"] = json!("a");
            self.second += 1;
            let now = Timestamp::from_second(self.second).expect("a time");
            let writer = Writer { manager, subresource: "", excluded: &["status"] };
            self.live =
                Some(apply(Apply { live: self.live.as_ref(), config: &config, root, writer, force, now })?);
            Ok(())
        }

        #[track_caller]
        fn ok(&mut self, manager: &str, config: Value) -> &mut Self {
            assert_eq!(self.apply(manager, config, false), Ok(()));
            self
        }

        #[track_caller]
        fn refused(&mut self, manager: &str, config: Value, expect: &str) -> &mut Self {
            let error = self.apply(manager, config, false).expect_err("a refusal");
            assert_eq!(error.to_string(), expect);
            self
        }

        #[track_caller]
        fn has(&mut self, pointer: &str, expect: Value) -> &mut Self {
            let live = self.live.as_ref().expect("an object");
            assert_eq!(live.pointer(pointer).unwrap_or(&Value::Null), &expect, "{pointer} in {live:#}");
            self
        }

        #[track_caller]
        fn owners(&mut self, expect: &[&str]) -> &mut Self {
            let live = self.live.as_ref().expect("an object");
            let names: Vec<&str> = live["metadata"]["managedFields"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|entry| entry["manager"].as_str())
                .collect();
            assert_eq!(names, expect);
            self
        }
    }

    fn deployment() -> World {
        World::of("apps", "v1", "Deployment")
    }

    fn containers(list: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": list}}}})
    }

    #[test]
    fn what_is_applied_is_there_and_owned() {
        deployment()
            .ok("helm", json!({"spec": {"replicas": 2}}))
            .has("/spec/replicas", json!(2))
            .has("/metadata/managedFields/0/operation", json!("Apply"))
            .has("/metadata/managedFields/0/fieldsV1", json!({"f:spec": {"f:replicas": {}}}));
    }

    #[test]
    fn applying_the_same_again_changes_nothing_not_even_the_time() {
        let mut world = deployment();
        world.ok("helm", containers(json!([{"name": "c", "image": "i"}])));
        let before = world.live.clone();
        world.ok("helm", containers(json!([{"name": "c", "image": "i"}])));
        assert_eq!(world.live, before);
    }

    #[test]
    fn a_field_that_is_no_longer_applied_is_removed() {
        deployment()
            .ok("helm", json!({"spec": {"replicas": 2, "paused": true}}))
            .ok("helm", json!({"spec": {"replicas": 2}}))
            .has("/spec", json!({"replicas": 2}));
    }

    #[test]
    fn a_list_item_that_is_no_longer_applied_is_removed() {
        deployment()
            .ok("helm", containers(json!([{"name": "c", "image": "i"}, {"name": "d", "image": "j"}])))
            .ok("helm", containers(json!([{"name": "d", "image": "j"}])))
            .has("/spec/template/spec/containers", json!([{"name": "d", "image": "j"}]));
    }

    #[test]
    fn another_value_for_an_owned_field_is_a_conflict() {
        deployment()
            .ok("helm", json!({"spec": {"replicas": 2}}))
            .refused(
                "kubectl",
                json!({"spec": {"replicas": 3}}),
                r#"Apply failed with 1 conflict: conflict with "helm": .spec.replicas"#,
            )
            .has("/spec/replicas", json!(2));
    }

    #[test]
    fn several_conflicts_are_grouped_by_owner() {
        deployment().ok("helm", json!({"spec": {"replicas": 2, "paused": true}})).refused(
            "kubectl",
            json!({"spec": {"replicas": 3, "paused": false}}),
            "Apply failed with 2 conflicts: conflicts with \"helm\":\n- .spec.paused\n- .spec.replicas",
        );
    }

    #[test]
    fn force_takes_the_field_over() {
        let mut world = deployment();
        world.ok("helm", json!({"spec": {"replicas": 2}}));
        assert_eq!(world.apply("kubectl", json!({"spec": {"replicas": 3}}), true), Ok(()));
        world.has("/spec/replicas", json!(3)).owners(&["kubectl"]);
    }

    #[test]
    fn the_same_value_is_shared_and_survives_one_owner() {
        deployment()
            .ok("a", json!({"spec": {"replicas": 2, "paused": true}}))
            .ok("b", json!({"spec": {"replicas": 2}}))
            .owners(&["b", "a"])
            .ok("a", json!({"spec": {"paused": true}}))
            .has("/spec/replicas", json!(2))
            .ok("b", json!({}))
            .has("/spec", json!({"paused": true}))
            .owners(&["a"]);
    }

    #[test]
    fn a_field_of_an_updater_stays_when_an_applier_leaves() {
        let mut world = deployment();
        world.ok("helm", containers(json!([{"name": "c", "image": "i"}])));
        let mut new = world.live.clone().expect("an object");
        new["spec"]["template"]["spec"]["containers"][0]["tty"] = json!(true);
        let root = Schema::builtin().kind("apps", "v1", "Deployment").expect("a schema");
        let writer = Writer { manager: "edit", subresource: "", excluded: &["status"] };
        let now = Timestamp::from_second(50).expect("a time");
        super::super::track_update(world.live.as_ref(), &mut new, root, writer, now);
        world.live = Some(new);
        world
            .ok("helm", containers(json!([{"name": "c"}])))
            .has("/spec/template/spec/containers", json!([{"name": "c", "tty": true}]));
    }

    #[test]
    fn a_port_without_protocol_is_the_tcp_port() {
        World::of("", "v1", "Service")
            .ok("helm", json!({"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "http"}]}}))
            .ok("helm", json!({"spec": {"ports": [{"port": 80, "name": "web"}, {"port": 80, "protocol": "UDP", "name": "quic"}]}}))
            .has("/spec/ports/0/name", json!("web"))
            .has("/spec/ports/1/name", json!("quic"))
            .has("/spec/ports/2", Value::Null);
    }

    #[test]
    fn an_atomic_list_is_owned_as_a_whole() {
        deployment()
            .ok("a", containers(json!([{"name": "c", "command": ["x"]}])))
            .refused(
                "b",
                containers(json!([{"name": "c", "command": ["x", "y"]}])),
                r#"Apply failed with 1 conflict: conflict with "a": .spec.template.spec.containers[name="c"].command"#,
            );
    }

    #[test]
    fn a_set_merges_its_values() {
        let finalizers = |list: Value| json!({"metadata": {"finalizers": list}});
        deployment()
            .ok("a", finalizers(json!(["a/x"])))
            .ok("b", finalizers(json!(["b/y"])))
            .has("/metadata/finalizers", json!(["a/x", "b/y"]))
            .ok("a", finalizers(json!([])))
            .has("/metadata/finalizers", json!(["b/y"]));
    }

    #[test]
    fn the_status_is_not_applied_through_the_main_door() {
        deployment()
            .ok("a", json!({"spec": {"replicas": 1}, "status": {"replicas": 5}}))
            .has("/status", Value::Null);
    }

    #[test]
    fn an_object_nobody_owns_conflicts_with_its_past() {
        let mut world = deployment();
        world.live = Some(
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": 1}}),
        );
        world
            .refused(
                "helm",
                json!({"spec": {"replicas": 2}}),
                r#"Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#,
            )
            .ok("helm", json!({"spec": {"replicas": 1}}))
            .owners(&["helm", "before-first-apply"]);
    }

    #[test]
    fn a_configuration_may_not_bring_owners() {
        deployment().refused(
            "a",
            json!({"metadata": {"managedFields": []}}),
            "metadata.managedFields must be nil",
        );
    }

    #[test]
    fn two_items_with_one_key_are_refused() {
        deployment().refused(
            "a",
            containers(json!([{"name": "c"}, {"name": "c"}])),
            r#"failed to create typed patch object (/a; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="c"]"#,
        );
    }

    #[test]
    fn items_of_others_keep_their_place() {
        deployment()
            .ok("a", containers(json!([{"name": "1"}, {"name": "2"}, {"name": "3"}])))
            .ok("b", containers(json!([{"name": "2"}, {"name": "9"}])))
            .has(
                "/spec/template/spec/containers",
                json!([{"name": "1"}, {"name": "2"}, {"name": "3"}, {"name": "9"}]),
            );
    }
}
