//! StatefulSet: pods with stable names and claims of their own.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, ratio};
use crate::edit::{each, ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::persistentvolumeclaim;
use crate::pod::{template, warnings};
use crate::read::{list, number, text};
use crate::rules::{self, check_if_present};
use crate::workload::{non_negative, share};
use crate::{Column, Generation, KindSpec, NameRule};

/// The only parts of a specification that an update may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub const KIND: KindSpec = KindSpec::namespaced::<StatefulSet>()
    .short_names(&["sts"])
    .categories(&["all"])
    .with_status()
    .with_scale()
    .generation(Generation::Spec)
    .named(NameRule::Label)
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, json!({ "replicas": 0, "availableReplicas": 0 })))
    .validate_with(validate)
    .warn_with(|object| warnings::of(object, "/spec/template/spec", "spec.template.spec"))
    .columns(&[
        Column::compute("Ready", |object, _| ratio(object, "/status/readyReplicas", "/spec/replicas")),
        Column::age(),
        CONTAINERS,
        IMAGES,
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default(object);
    fill_at(
        object,
        "/spec",
        json!({
            "replicas": 1, "podManagementPolicy": "OrderedReady", "revisionHistoryLimit": 10, "updateStrategy": {},
            "serviceName": "", "persistentVolumeClaimRetentionPolicy": {},
        }),
    );
    fill_at(object, "/spec/updateStrategy", json!({ "type": "RollingUpdate" }));
    if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
        fill_at(object, "/spec/updateStrategy/rollingUpdate", json!({ "partition": 0 }));
    }
    let retain = json!({ "whenDeleted": "Retain", "whenScaled": "Retain" });
    fill_at(object, "/spec/persistentVolumeClaimRetentionPolicy", retain);
    for claim in each(object, "/spec/volumeClaimTemplates") {
        fill_at(
            claim,
            "",
            json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": { "phase": "Pending" } }),
        );
        fill_at(claim, "/spec", json!({ "volumeMode": "Filesystem" }));
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let management = text(new, "/spec/podManagementPolicy");
    if !["OrderedReady", "Parallel"].contains(&management) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        errors.push(FieldError::invalid(&path.child("podManagementPolicy"), management, detail));
    }
    let strategy = text(new, "/spec/updateStrategy/type");
    if !["RollingUpdate", "OnDelete"].contains(&strategy) {
        let detail = "must be 'RollingUpdate' or 'OnDelete'";
        let rolling = json!(new["spec"]["updateStrategy"].get("rollingUpdate"));
        let shown = [("Type", strategy.into()), ("RollingUpdate", rolling)];
        errors.push(FieldError::invalid(&path.child("updateStrategy"), strategy, detail).showing(&shown));
    }
    errors
        .extend(update_strategy(&new["spec"]["updateStrategy"], &path.child("updateStrategy.rollingUpdate")));
    let retention = path.child("persistentVolumeClaimRetentionPolicy");
    for field in ["whenDeleted", "whenScaled"] {
        let policy = &new["spec"]["persistentVolumeClaimRetentionPolicy"];
        errors.extend(template::choice(policy, &retention, field, &["Retain", "Delete"]));
    }
    errors.extend(non_negative(new, &["replicas", "minReadySeconds"]));
    let start = number(new, "/spec/ordinals/start");
    if start < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&path.child("ordinals.start"), start, detail));
    }
    errors.extend(template::validate_with_selector(
        &with_claims_as_volumes(new),
        "statefulset",
        "StatefulSet",
    ));
    errors.extend(check_if_present(rules::label, &new["spec"], "serviceName", &path));
    if old.is_none() {
        for (index, claim) in list(new, "/spec/volumeClaimTemplates").iter().enumerate() {
            let at = path.child("volumeClaimTemplates").index(index).child("spec");
            errors.extend(persistentvolumeclaim::check_spec(&claim["spec"], &at));
        }
    }
    if old.is_some_and(|old| fixed_part(new) != fixed_part(old)) {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                      'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                      'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden(&path, detail));
    }
    errors
}

fn update_strategy(strategy: &Value, path: &Path) -> Vec<FieldError> {
    let Some(rolling) = strategy.get("rollingUpdate") else { return Vec::new() };
    let (partition, most) = (number(rolling, "/partition"), rolling.get("maxUnavailable"));
    if text(strategy, "/type") == "OnDelete" {
        let detail = "only allowed for updateStrategy 'RollingUpdate'";
        let shown = [("Partition", rolling["partition"].clone()), ("MaxUnavailable", json!(most))];
        return vec![FieldError::invalid(path, Value::Null, detail).showing(&shown)];
    }
    let detail = "must be greater than or equal to 0";
    let negative = (partition < 0).then(|| FieldError::invalid(&path.child("partition"), partition, detail));
    negative
        .into_iter()
        .chain(most.map(|most| share(most, &path.child("maxUnavailable"))).into_iter().flatten())
        .collect()
}

/// Mounts may name claim templates, which become volumes of each pod.
fn with_claims_as_volumes(object: &Value) -> Value {
    let mut object = object.clone();
    let claims: Vec<Value> = list(&object, "/spec/volumeClaimTemplates")
        .iter()
        .map(|claim| {
            let name = text(claim, "/metadata/name");
            json!({ "name": name, "persistentVolumeClaim": { "claimName": name } })
        })
        .collect();
    let shadowed = |volume: &Value| claims.iter().any(|claim| claim["name"] == volume["name"]);
    if let Some(spec) = object.pointer_mut("/spec/template/spec").filter(|spec| spec.is_object()) {
        let own: Vec<Value> =
            list(spec, "/volumes").iter().filter(|volume| !shadowed(volume)).cloned().collect();
        spec["volumes"] = Value::from([own, claims].concat());
    }
    object
}

fn fixed_part(object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|key, _| !MUTABLE.contains(&key.as_str()));
    }
    for claim in each(&mut spec, "/volumeClaimTemplates") {
        claim["status"] = Value::Null;
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(change: fn(&mut Value)) -> Value {
        let mut object = json!({
            "metadata": {"name": "db", "namespace": "b"},
            "spec": {
                "serviceName": "db",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "a", "image": "b:1", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]},
                },
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            },
        });
        change(&mut object);
        default(&mut object);
        object
    }

    #[track_caller]
    fn check(change: fn(&mut Value), expect: usize) {
        let errors = KIND.check(&set(change), Some(&set(|_| {})));
        assert_eq!(errors.len(), expect, "{errors:?}");
    }

    #[test]
    fn mounts_may_name_claim_templates() {
        check(|_| {}, 0);
    }

    #[test]
    fn replicas_and_template_may_change() {
        check(|set| set["spec"]["replicas"] = json!(3), 0);
        check(|set| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("c:2"), 0);
    }

    #[test]
    fn claims_and_service_name_may_not_change() {
        check(|set| set["spec"]["serviceName"] = json!("x"), 1);
        check(
            |set| {
                set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] =
                    json!("2Gi")
            },
            1,
        );
    }
}
