//! Laws that every patch must keep, tried on many generated objects. A failure prints its seed.

use drydock_kinds::schema::{Schema, Type};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Apply, Writer, apply, strategic_merge, track_update};

const ROUNDS: u64 = 200;

/// A small generator (SplitMix64): the same seed gives the same object everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn word(&mut self) -> String {
        ["a", "b", "c", "d"][self.roll(4) as usize].to_owned()
    }

    fn some(&mut self, mut make: impl FnMut(&mut Self) -> Value) -> Vec<Value> {
        (0..self.roll(4)).map(|_| make(self)).collect()
    }

    fn object(&mut self) -> Value {
        let mut spec = json!({});
        if self.roll(2) == 0 {
            spec["replicas"] = json!(self.roll(3));
        }
        if self.roll(2) == 0 {
            spec["strategy"] = json!({ "type": self.word(), "rollingUpdate": { "maxSurge": self.roll(3) } });
        }
        let containers = unique(self.some(Self::container), "name");
        spec["template"] = json!({ "spec": { "containers": containers }, "metadata": { "labels": { self.word(): self.word() } } });
        let finalizers = unique(self.some(|dice| json!(dice.word())), "");
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x", "finalizers": finalizers }, "spec": spec })
    }

    fn container(&mut self) -> Value {
        let env = unique(self.some(|dice| json!({ "name": dice.word(), "value": dice.word() })), "name");
        let ports = unique(self.some(|dice| json!({ "containerPort": dice.roll(3) + 1 })), "containerPort");
        json!({ "name": self.word(), "image": self.word(), "env": env, "ports": ports, "args": self.some(|dice| json!(dice.word())) })
    }
}

fn unique(items: Vec<Value>, key: &str) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for item in items {
        let same = |known: &Value| if key.is_empty() { *known == item } else { known[key] == item[key] };
        if !out.iter().any(same) {
            out.push(item);
        }
    }
    out
}

fn root() -> Type<'static> {
    Schema::builtin().kind("apps", "v1", "Deployment").expect("a schema")
}

fn apply_as(live: Option<&Value>, config: &Value, manager: &str, second: i64) -> Value {
    let writer = Writer { manager, subresource: "", excluded: &["status"] };
    let now = Timestamp::from_second(second).expect("a time");
    apply(Apply { live, config, root: root(), writer, force: true, now }).expect("a forced apply")
}

#[track_caller]
fn for_all(law: impl Fn(&mut Dice) -> bool) {
    for seed in 0..ROUNDS {
        assert!(law(&mut Dice(seed)), "seed {seed}");
    }
}

#[test]
fn applying_twice_is_applying_once() {
    for_all(|dice| {
        let (other, config) = (dice.object(), dice.object());
        let live = apply_as(None, &other, "other", 1);
        let once = apply_as(Some(&live), &config, "me", 2);
        apply_as(Some(&once), &config, "me", 3) == once
    });
}

#[test]
fn a_forced_apply_makes_every_applied_field_true() {
    for_all(|dice| {
        let (other, config) = (dice.object(), dice.object());
        let live = apply_as(None, &other, "other", 1);
        let after = apply_as(Some(&live), &config, "me", 2);
        holds(&after["spec"], &config["spec"])
    });
}

/// Everything in `wanted` is in `object`; list items are found by name, port or value.
fn holds(object: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Object(fields) => fields.iter().all(|(name, value)| {
            let empty = value.as_array().is_some_and(Vec::is_empty);
            empty || holds(&object[name.as_str()], value)
        }),
        Value::Array(items) => {
            let known = object.as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().all(|item| known.iter().any(|candidate| holds(candidate, item)))
        }
        other => object == other,
    }
}

#[test]
fn an_applier_that_lets_go_leaves_nothing_behind() {
    for_all(|dice| {
        let (mine, theirs) = (dice.object(), dice.object());
        let alone = apply_as(None, &theirs, "they", 1);
        // I come second, so all that only I set must go with me.
        let both = apply_as(Some(&alone), &mine, "me", 2);
        let nothing = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x" } });
        let after = apply_as(Some(&both), &nothing, "me", 3);
        let owners = after["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        owners.iter().all(|owner| owner["manager"] == "they")
    });
}

#[test]
fn applying_back_restores_the_object() {
    for_all(|dice| {
        let (first, second) = (dice.object(), dice.object());
        let start = apply_as(None, &first, "me", 1);
        let changed = apply_as(Some(&start), &second, "me", 2);
        let back = apply_as(Some(&changed), &first, "me", 3);
        sorted(&back["spec"]) == sorted(&start["spec"])
    });
}

/// Associative lists may come back in another order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted = fields.iter().map(|(name, value)| (name.clone(), sorted(value)));
            Value::Object(sorted.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) if items.iter().all(Value::is_object) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty)
}

#[test]
fn an_update_to_the_same_object_changes_no_owner() {
    for_all(|dice| {
        let live = apply_as(None, &dice.object(), "other", 1);
        let mut same = live.clone();
        let writer = Writer { manager: "me", subresource: "", excluded: &["status"] };
        track_update(Some(&live), &mut same, root(), writer, Timestamp::UNIX_EPOCH);
        same == live
    });
}

#[test]
fn every_changed_field_has_exactly_one_updater() {
    for_all(|dice| {
        let writer = |manager| Writer { manager, subresource: "", excluded: &["status"] };
        let (mut first, mut second) = (dice.object(), dice.object());
        track_update(None, &mut first, root(), writer("a"), Timestamp::UNIX_EPOCH);
        track_update(Some(&first), &mut second, root(), writer("b"), Timestamp::UNIX_EPOCH);
        let sets: Vec<super::fieldset::FieldSet> = super::managers::decode(&second)
            .expect("readable owners")
            .into_iter()
            .map(|manager| manager.fields)
            .collect();
        sets.len() < 2 || sets[0].clone().intersection(&sets[1]).is_empty()
    });
}

#[test]
fn an_empty_strategic_patch_changes_nothing() {
    for_all(|dice| {
        let object = dice.object();
        strategic_merge(&object, &json!({}), root()) == Ok(object)
    });
}

#[test]
fn a_strategic_patch_twice_is_the_patch_once() {
    for_all(|dice| {
        let (object, patch) = (dice.object(), dice.object());
        let once = strategic_merge(&object, &patch, root()).expect("a sound patch");
        strategic_merge(&once, &patch, root()) == Ok(once)
    });
}

#[test]
fn a_strategic_patch_makes_its_fields_true() {
    for_all(|dice| {
        let (object, patch) = (dice.object(), dice.object());
        let after = strategic_merge(&object, &patch, root()).expect("a sound patch");
        holds(&after["spec"], &patch["spec"])
    });
}
