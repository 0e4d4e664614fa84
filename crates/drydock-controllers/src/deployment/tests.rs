//! Rollouts as tables: sets before, steps after.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};

use super::Observed;
use super::plan::{Plan, plan};
use super::progress::{self, News};
use super::revision::Sets;
use super::status::{find, status};

const NOW_S: i64 = 1_000_000;

/// `sets`: `template:replicas/available`, oldest first, revisions counted from 1.
/// Template `n` is the current one.
fn observed(spec: Value, sets: &str) -> Observed {
    let mut deployment = json!({
        "metadata": { "name": "web", "namespace": "ns", "uid": "d", "generation": 1 },
        "spec": { "replicas": 4, "progressDeadlineSeconds": 600, "selector": {}, "template": template("n") },
        "status": {},
    });
    merge(&mut deployment["spec"], spec);
    let desired = deployment["spec"]["replicas"].as_i64().unwrap();
    let sets: Vec<_> = sets
        .split_whitespace()
        .enumerate()
        .map(|(index, text)| Arc::new(set(text, index as i64, desired)))
        .collect();
    Observed {
        deployment: Arc::new(serde_json::from_value(deployment).unwrap()),
        sets,
        live_pods: BTreeMap::new(),
        now: Timestamp::from_second(NOW_S).unwrap(),
    }
}

fn template(name: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "c", "image": name }] } })
}

fn set(text: &str, index: i64, desired: i64) -> ReplicaSet {
    let (name, counts) = text.split_once(':').unwrap();
    let (replicas, available) = counts.split_once('/').unwrap();
    let (replicas, available): (i32, i32) = (replicas.parse().unwrap(), available.parse().unwrap());
    let mut template = template(name);
    template["metadata"]["labels"]["pod-template-hash"] = json!(name);
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("web-{name}"), "uid": name, "resourceVersion": "1",
            "creationTimestamp": Timestamp::from_second(index).unwrap().to_string(),
            "annotations": {
                "deployment.kubernetes.io/revision": (index + 1).to_string(),
                "deployment.kubernetes.io/desired-replicas": desired.to_string(),
                "deployment.kubernetes.io/max-replicas": (desired + 1).to_string(),
            },
        },
        "spec": { "replicas": replicas, "selector": {}, "template": template },
        "status": { "replicas": replicas, "readyReplicas": available, "availableReplicas": available },
    }))
    .unwrap()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

fn shown(plan: &Plan) -> String {
    let create =
        plan.create.iter().map(|set| format!("new={}", set.spec.as_ref().unwrap().replicas.unwrap()));
    let update = plan.update.iter().filter_map(|update| {
        let name = update.set.metadata.name.as_deref().unwrap().trim_start_matches("web-").to_owned();
        Some(format!("{name}={}", update.replicas?))
    });
    let delete = plan.delete.iter().map(|set| format!("-{}", set.metadata.name.as_deref().unwrap()));
    create.chain(update).chain(delete).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(spec: Value, sets: &str, expect: &str) {
    assert_eq!(shown(&plan(&observed(spec, sets))), expect);
}

#[test]
fn a_new_deployment_gets_a_set_of_full_size() {
    check(json!({}), "", "new=4");
}

#[test]
fn a_rollout_starts_with_the_surge_only() {
    check(json!({}), "a:4/4", "new=1");
}

#[test]
fn old_pods_go_as_far_as_unavailability_allows() {
    // 25 % of 4: one more than wanted, one less than wanted.
    check(json!({}), "a:4/4 n:1/0", "a=3");
}

#[test]
fn the_new_set_grows_into_the_room_old_pods_leave() {
    check(json!({}), "a:3/3 n:1/0", "n=2");
}

#[test]
fn the_last_old_pods_go_when_the_new_ones_are_available() {
    check(json!({}), "a:1/1 n:4/4", "a=0");
}

#[test]
fn without_unavailability_old_pods_wait_for_new_ones() {
    let careful = json!({ "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } } });
    check(careful.clone(), "a:4/4 n:1/0", "");
    check(careful, "a:4/4 n:1/1", "a=3");
}

#[test]
fn broken_old_pods_go_first() {
    check(json!({}), "a:2/0 b:3/3", "new=0");
    check(json!({}), "a:2/0 b:3/3 n:0/0", "a=0");
}

#[test]
fn an_undo_makes_the_old_set_the_current_one_with_a_new_revision() {
    let observed = observed(json!({}), "n:0/0 b:4/4");
    let plan = plan(&observed);
    assert_eq!(shown(&plan), "n=1");
    assert_eq!(plan.update[0].annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(plan.update[0].annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(plan.revision.as_deref(), Some("3"));
}

#[test]
fn scaling_a_settled_deployment_changes_its_only_set() {
    let mut observed = observed(json!({}), "n:4/4");
    Arc::make_mut(&mut observed.deployment).spec.as_mut().unwrap().replicas = Some(7);
    assert_eq!(shown(&plan(&observed)), "n=7");
}

#[test]
fn scaling_in_the_middle_of_a_rollout_keeps_the_proportions() {
    let mut observed = observed(json!({}), "a:3/3 n:2/1");
    Arc::make_mut(&mut observed.deployment).spec.as_mut().unwrap().replicas = Some(8);
    assert_eq!(shown(&plan(&observed)), "a=6 n=4");
}

#[test]
fn scaling_to_zero_empties_every_set() {
    let mut observed = observed(json!({}), "a:3/3 n:2/1");
    Arc::make_mut(&mut observed.deployment).spec.as_mut().unwrap().replicas = Some(0);
    assert_eq!(shown(&plan(&observed)), "a=0 n=0");
}

#[test]
fn recreate_stops_the_old_waits_for_their_end_and_then_starts_the_new() {
    let recreate = json!({ "strategy": { "type": "Recreate" } });
    check(recreate.clone(), "a:4/4", "a=0");
    let mut stopping = observed(recreate.clone(), "a:0/0");
    stopping.live_pods.insert("a".into(), 1);
    assert_eq!(shown(&plan(&stopping)), "");
    check(recreate, "a:0/0", "new=4");
}

#[test]
fn a_paused_deployment_starts_no_rollout() {
    check(json!({ "paused": true }), "a:4/4", "");
}

#[test]
fn old_sets_beyond_the_history_limit_go_once_the_rollout_is_complete() {
    let mut observed = observed(json!({ "revisionHistoryLimit": 1 }), "a:0/0 b:0/0 n:4/4");
    assert_eq!(shown(&plan(&observed)), "");
    let complete = status(&observed, &Sets::of(&observed), None);
    Arc::make_mut(&mut observed.deployment).status = Some(complete);
    assert_eq!(shown(&plan(&observed)), "-web-a");
}

/// Conditions after a pass, as `Type=Status/Reason`; `age_s` since the rollout last moved.
#[track_caller]
fn check_status(sets: &str, before: Option<(&str, i64)>, news: Option<News>, expect: &str) {
    let mut observed = observed(json!({}), sets);
    if let Some((reason, age_s)) = before {
        let moved = Timestamp::from_second(NOW_S - age_s).unwrap().to_string();
        let counts = status(&observed, &Sets::of(&observed), None);
        let deployment = Arc::make_mut(&mut observed.deployment);
        let mut value = serde_json::to_value(counts).unwrap();
        value["conditions"] = json!([{
            "type": "Progressing", "status": "True", "reason": reason,
            "lastUpdateTime": moved, "lastTransitionTime": moved,
        }]);
        deployment.status = Some(serde_json::from_value(value).unwrap());
    }
    let status = status(&observed, &Sets::of(&observed), news.as_ref());
    let shown = ["Available", "Progressing"].map(|type_| {
        let condition = find(&status, type_);
        condition.map_or(format!("{type_}=none"), |c| {
            format!("{type_}={}/{}", c.status, c.reason.clone().unwrap_or_default())
        })
    });
    assert_eq!(shown.join(" "), expect);
}

#[test]
fn a_created_set_is_news() {
    let news = Some(News::Created("web-n".into()));
    check_status(
        "n:4/0",
        Some(("NewReplicaSetCreated", 0)),
        news,
        "Available=False/MinimumReplicasUnavailable Progressing=True/NewReplicaSetCreated",
    );
}

#[test]
fn a_complete_rollout_says_that_the_new_set_is_available() {
    check_status(
        "a:0/0 n:4/4",
        Some(("ReplicaSetUpdated", 5)),
        None,
        "Available=True/MinimumReplicasAvailable Progressing=True/NewReplicaSetAvailable",
    );
}

#[test]
fn a_rollout_that_does_not_move_runs_out_of_time() {
    check_status(
        "a:3/3 n:2/0",
        Some(("ReplicaSetUpdated", 601)),
        None,
        "Available=True/MinimumReplicasAvailable Progressing=False/ProgressDeadlineExceeded",
    );
}

#[test]
fn a_rollout_within_its_time_stays_as_it_is_and_is_looked_at_again_at_the_deadline() {
    check_status(
        "a:3/3 n:2/0",
        Some(("ReplicaSetUpdated", 100)),
        None,
        "Available=True/MinimumReplicasAvailable Progressing=True/ReplicaSetUpdated",
    );
    let mut observed = observed(json!({}), "a:3/3 n:2/0");
    let news = News::Created("web-n".into());
    let status = status(&observed, &Sets::of(&observed), Some(&news));
    Arc::make_mut(&mut observed.deployment).status = Some(status.clone());
    assert_eq!(progress::deadline(&observed, &status).map(|left| left.as_secs()), Some(601));
}

#[test]
fn a_failed_creation_is_told_with_its_reason() {
    let news = Some(News::CreateFailed("no".into()));
    check_status(
        "",
        None,
        news,
        "Available=False/MinimumReplicasUnavailable Progressing=False/ReplicaSetCreateError",
    );
}
