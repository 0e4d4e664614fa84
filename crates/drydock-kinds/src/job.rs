//! Job: pods that run to completion.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR};
use crate::column::duration;
use crate::edit::{ensure, fill, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::template;
use crate::read::{flag, has_condition, list, number, text};
use crate::workload::non_negative;
use crate::{Column, Generation, KindSpec, Selectable};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

pub const KIND: KindSpec = KindSpec::namespaced::<Job>()
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .selectable(&[Selectable::at("status.successful", &["/status/succeeded"]).or("0")])
    .columns(&[
        Column::compute("Status", |job, _| Value::from(state(job))),
        Column::compute("Completions", |job, _| Value::from(completions(job))),
        Column::compute("Duration", |job, now| Value::from(run_time(job, now))),
        Column::age(),
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default(object);
    let one_pod = object["spec"].get("completions").is_none() && object["spec"].get("parallelism").is_none();
    if one_pod {
        fill_at(object, "/spec", json!({ "completions": 1 }));
    }
    let replacement = match list(object, "/spec/podFailurePolicy/rules") {
        [] => "TerminatingOrFailed",
        _ => "Failed",
    };
    let retries = if object["spec"].get("backoffLimitPerIndex").is_some() { i64::from(i32::MAX) } else { 6 };
    fill_at(
        object,
        "/spec",
        json!({
            "parallelism": 1, "backoffLimit": retries, "completionMode": "NonIndexed", "suspend": false,
            "podReplacementPolicy": replacement,
        }),
    );
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    if let (Some(labels), Some(metadata)) = (labels, object.get_mut("metadata")) {
        fill(metadata, "labels", labels);
    }
}

/// Pods of a job are found by its uid, unless the author brings a selector.
fn prepare(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, json!({}));
    if old.is_some() || flag(new, "/spec/manualSelector") {
        return;
    }
    let (uid, name) = (text(new, "/metadata/uid").to_owned(), text(new, "/metadata/name").to_owned());
    fill_at(new, "/spec/selector", json!({}));
    fill_at(new, "/spec/selector/matchLabels", json!({ UID_LABEL: uid }));
    ensure(new, "/spec/template/metadata");
    let old_labels = json!({ "controller-uid": uid, "job-name": name });
    fill_at(new, "/spec/template/metadata/labels", json!({ UID_LABEL: uid, NAME_LABEL: name }));
    fill_at(new, "/spec/template/metadata/labels", old_labels);
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = template::validate_with_selector(new, &["OnFailure", "Never"]);
    let counts =
        ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"];
    errors.extend(non_negative(new, &counts));
    let mode = text(new, "/spec/completionMode");
    if mode == "Indexed" && new["spec"].get("completions").is_none() {
        let detail = "when completion mode is Indexed";
        errors.push(FieldError::required(&path.child("completions"), detail));
    }
    let Some(old) = old else { return errors };
    errors.extend(keeps(new, old, "/spec/selector"));
    errors.extend(keeps(new, old, "/spec/completionMode"));
    if mode != "Indexed" {
        errors.extend(keeps(new, old, "/spec/completions"));
    }
    // A job that has not started may still be told where to run.
    if !flag(old, "/spec/suspend") || !text(old, "/status/startTime").is_empty() {
        errors.extend(keeps(new, old, "/spec/template"));
    }
    errors
}

fn state(job: &Value) -> &'static str {
    let conditions = [("Complete", "Complete"), ("Failed", "Failed")];
    if let Some((_, word)) = conditions.iter().find(|(condition, _)| has_condition(job, condition)) {
        return word;
    }
    if job.pointer("/metadata/deletionTimestamp").is_some() {
        return "Terminating";
    }
    let later = ["Suspended", "FailureTarget", "SuccessCriteriaMet"];
    later.into_iter().find(|condition| has_condition(job, condition)).unwrap_or("Running")
}

fn completions(job: &Value) -> String {
    let done = number(job, "/status/succeeded");
    match (job.pointer("/spec/completions"), number(job, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn run_time(job: &Value, now: Timestamp) -> String {
    let stamp = |pointer: &str| text(job, pointer).parse::<Timestamp>().ok();
    let Some(start) = stamp("/status/startTime") else { return String::new() };
    let end = stamp("/status/completionTime").unwrap_or(now);
    duration(end.as_second() - start.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_finds_its_pods_by_its_uid() {
        let mut job = json!({
            "metadata": {"name": "a", "namespace": "b", "uid": "u"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "b:1"}]}}},
        });
        default(&mut job);
        prepare(&mut job, None);
        assert_eq!(job["spec"]["selector"]["matchLabels"][UID_LABEL], "u");
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "a");
        assert_eq!(KIND.check(&job, None), []);
        let mut changed = job.clone();
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("c:1");
        let errors = KIND.check(&changed, Some(&job));
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].path, "spec.template");
    }

    #[test]
    fn a_job_may_not_restart_always() {
        let mut job = json!({
            "metadata": {"name": "a", "namespace": "b", "uid": "u"},
            "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "b:1"}]}}},
        });
        default(&mut job);
        prepare(&mut job, None);
        let errors = KIND.check(&job, None);
        assert_eq!(
            errors[0].to_string(),
            r#"spec.template.spec.restartPolicy: Unsupported value: "Always": supported values: "Never", "OnFailure""#
        );
    }
}
