//! Deployment: replicas of a pod template, replaced step by step when the template changes.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR, ratio};
use crate::edit::{ensure, fill_at, start_without_status};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::{template, warnings};
use crate::read::{number, text};
use crate::workload;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<Deployment>()
    .short_names(&["deploy"])
    .categories(&["all"])
    .with_status()
    .with_scale()
    .generation(Generation::SpecAndAnnotations)
    .default_with(default)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .warn_with(|object| {
        [warnings::name(object), warnings::of(object, "/spec/template/spec", "spec.template.spec")].concat()
    })
    .columns(&[
        Column::compute("Ready", |object, _| ratio(object, "/status/readyReplicas", "/spec/replicas")),
        Column::number("Up-to-date", "/status/updatedReplicas"),
        Column::number("Available", "/status/availableReplicas"),
        Column::age(),
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default(object);
    fill_at(
        object,
        "/spec",
        json!({
            "replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600, "strategy": {},
        }),
    );
    fill_at(object, "/spec/strategy", json!({ "type": "RollingUpdate" }));
    if text(object, "/spec/strategy/type") == "RollingUpdate" {
        let quarter = json!({ "maxUnavailable": "25%", "maxSurge": "25%" });
        fill_at(object, "/spec/strategy/rollingUpdate", quarter);
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = workload::non_negative(new, &["replicas"]);
    errors.extend(template::validate_with_selector(new, "deployment", "ReplicaSet"));
    errors.extend(strategy(&new["spec"]["strategy"], &path.child("strategy")));
    errors.extend(workload::non_negative(new, &["minReadySeconds", "revisionHistoryLimit"]));
    errors.extend(workload::non_negative(new, &["progressDeadlineSeconds"]));
    let (deadline, ready) =
        (number(new, "/spec/progressDeadlineSeconds"), number(new, "/spec/minReadySeconds"));
    if deadline <= ready {
        let at = path.child("progressDeadlineSeconds");
        errors.push(FieldError::invalid(&at, deadline, "must be greater than minReadySeconds"));
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/spec/selector")));
    errors
}

fn strategy(strategy: &Value, path: &Path) -> Vec<FieldError> {
    let rolling = strategy.get("rollingUpdate");
    match text(strategy, "/type") {
        "Recreate" if rolling.is_some() => vec![FieldError::forbidden(
            &path.child("rollingUpdate"),
            "may not be specified when strategy `type` is 'Recreate'",
        )],
        "Recreate" => Vec::new(),
        "RollingUpdate" => {
            rolling.map(|rolling| step(rolling, &path.child("rollingUpdate"))).unwrap_or_default()
        }
        other => {
            let shown = [("Type", other.into()), ("RollingUpdate", json!(rolling))];
            vec![FieldError::not_supported(path, other, &["Recreate", "RollingUpdate"]).showing(&shown)]
        }
    }
}

fn step(rolling: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(workload::share(&rolling["maxUnavailable"], &path.child("maxUnavailable")));
    errors.extend(workload::count_or_percent(&rolling["maxSurge"], &path.child("maxSurge")));
    if errors.is_empty()
        && ["maxUnavailable", "maxSurge"].iter().all(|field| workload::is_nothing(&rolling[*field]))
    {
        let detail = "may not be 0 when `maxSurge` is 0";
        errors.push(FieldError::invalid(
            &path.child("maxUnavailable"),
            rolling["maxUnavailable"].clone(),
            detail,
        ));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(patch: Value) -> Value {
        let mut object = json!({
            "metadata": {"name": "a", "namespace": "b"},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "a", "image": "b:1"}]},
                },
            },
        });
        for (pointer, value) in crate::read::entries(&patch, "") {
            let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
            object.pointer_mut(parent).expect("a parent")[key] = value.clone();
        }
        default(&mut object);
        object
    }

    #[track_caller]
    fn check(patch: Value, expect: &[&str]) {
        let errors = KIND.check(&deployment(patch), Some(&deployment(json!({}))));
        let texts: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn a_plain_deployment_is_complete_and_sound() {
        let object = deployment(json!({}));
        assert_eq!(object["spec"]["strategy"]["rollingUpdate"]["maxSurge"], "25%");
        assert_eq!(object["spec"]["template"]["spec"]["restartPolicy"], "Always");
        assert_eq!(object["spec"]["template"]["spec"].get("enableServiceLinks"), None);
        check(json!({}), &[]);
    }

    #[test]
    fn a_missing_image_is_named_with_its_path() {
        check(
            json!({"/spec/template/spec/containers": [{"name": "a"}]}),
            &["spec.template.spec.containers[0].image: Required value"],
        );
    }

    #[test]
    fn the_selector_must_select_the_template() {
        check(
            json!({"/spec/template/metadata/labels": {"app": "x"}}),
            &[
                r#"spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`"#,
            ],
        );
    }

    #[test]
    fn the_selector_never_changes() {
        check(
            json!({"/spec/selector": {"matchLabels": {"app": "x"}}, "/spec/template/metadata/labels": {"app": "x"}}),
            &[r#"spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable"#],
        );
    }

    #[test]
    fn a_rollout_that_cannot_move_is_refused() {
        check(
            json!({"/spec/strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}),
            &[
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
            ],
        );
    }

    #[test]
    fn recreate_takes_no_steps() {
        let object = deployment(json!({"/spec/strategy": {"type": "Recreate"}}));
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    }
}
