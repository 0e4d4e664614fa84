//! Job: pods that run to completion.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, SELECTOR};
use crate::column::duration;
use crate::edit::{each, ensure, fill, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::{template, warnings};
use crate::read::{flag, has_condition, list, number, text};
use crate::rules;
use crate::{Column, Generation, KindSpec, Selectable};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const NAME_LABEL: &str = "batch.kubernetes.io/job-name";
const LONGEST_LABEL: usize = 63;
const MOST_INDEXED: i64 = 100_000;

pub const KIND: KindSpec = KindSpec::namespaced::<Job>()
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate)
    .warn_with(|object| {
        [warnings::name(object), warnings::of(object, "/spec/template/spec", "spec.template.spec")].concat()
    })
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
    let replacement =
        if object["spec"].get("podFailurePolicy").is_some() { "Failed" } else { "TerminatingOrFailed" };
    for rule in each(object, "/spec/podFailurePolicy/rules") {
        each(rule, "/onPodConditions").for_each(|condition| fill(condition, "status", "True"));
    }
    let retries = if object["spec"].get("backoffLimitPerIndex").is_some() { i64::from(i32::MAX) } else { 6 };
    fill_at(
        object,
        "/spec",
        json!({
            "parallelism": 1, "backoffLimit": retries, "completionMode": "NonIndexed", "suspend": false,
            "podReplacementPolicy": replacement, "manualSelector": false,
        }),
    );
}

/// Pods of a job are found by its uid, unless the author brings a selector.
fn prepare(new: &mut Value, old: Option<&Value>) {
    start_status(new, old, json!({}));
    if old.is_none() && !flag(new, "/spec/manualSelector") {
        select_by_uid(new);
    }
    // A job without labels of its own has those of its pods; a name too long for one is the pods' trouble alone.
    let own = new.pointer("/metadata/labels").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    let fits = text(new, "/metadata/name").len() <= LONGEST_LABEL;
    let labels = new.pointer("/spec/template/metadata/labels").filter(|_| !own && fits).cloned();
    if let (Some(labels), Some(metadata)) = (labels, new.get_mut("metadata")) {
        metadata["labels"] = labels;
    }
}

fn select_by_uid(new: &mut Value) {
    let (uid, name) = (text(new, "/metadata/uid").to_owned(), text(new, "/metadata/name").to_owned());
    fill_at(new, "/spec/selector", json!({}));
    fill_at(new, "/spec/selector/matchLabels", json!({ UID_LABEL: uid }));
    ensure(new, "/spec/template");
    ensure(new, "/spec/template/metadata");
    let labels = json!({ UID_LABEL: uid, NAME_LABEL: name, "controller-uid": uid, "job-name": name });
    fill_at(new, "/spec/template/metadata/labels", labels);
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = selector_errors(new, &path);
    errors.extend(check_spec(&new["spec"], &path));
    let labels = new.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    if new["spec"].get("selector").is_none() || !template::matches(&new["spec"]["selector"], labels) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("template.metadata.labels"), labels.clone(), detail));
    }
    let Some(old) = old else { return errors };
    errors.extend(changed_completions(new, old, &path.child("completions")));
    errors.extend(keeps(new, old, "/spec/selector"));
    errors.extend(keeps(new, &with_what_may_change(new, old), "/spec/template"));
    errors.extend(keeps(new, old, "/spec/completionMode"));
    for field in
        ["/spec/podFailurePolicy", "/spec/backoffLimitPerIndex", "/spec/managedBy", "/spec/successPolicy"]
    {
        errors.extend(keeps(new, old, field));
    }
    errors
}

/// Only an indexed job may grow or shrink, and then with the number of its pods.
fn changed_completions(new: &Value, old: &Value, path: &Path) -> Option<FieldError> {
    let changed = keeps(new, old, "/spec/completions");
    if text(new, "/spec/completionMode") != "Indexed" {
        return changed;
    }
    let wanted = new.pointer("/spec/completions").filter(|_| changed.is_some())?;
    let detail = "can only be modified in tandem with spec.parallelism";
    (wanted != &new["spec"]["parallelism"]).then(|| FieldError::invalid(path, wanted.clone(), detail))
}

/// The stored job as it would be after every change that is allowed: one that has not started may still be told where
/// to run, and with how much.
fn with_what_may_change(new: &Value, old: &Value) -> Value {
    let mut allowed = old.clone();
    if !flag(old, "/spec/suspend") || !text(old, "/status/startTime").is_empty() {
        return allowed;
    }
    let copy = |allowed: &mut Value, pointer: &str, field: &str| {
        let value = new.pointer(&format!("{pointer}/{field}")).cloned();
        if let Some(fields) = allowed.pointer_mut(pointer).and_then(Value::as_object_mut) {
            match value {
                Some(value) => drop(fields.insert(field.to_owned(), value)),
                None => drop(fields.remove(field)),
            }
        }
    };
    for field in ["annotations", "labels"] {
        copy(&mut allowed, "/spec/template/metadata", field);
    }
    for field in ["affinity", "nodeSelector", "tolerations", "schedulingGates"] {
        copy(&mut allowed, "/spec/template/spec", field);
    }
    for list_of in ["containers", "initContainers"] {
        let count = list(new, &format!("/spec/template/spec/{list_of}")).len();
        for index in 0..count {
            copy(&mut allowed, &format!("/spec/template/spec/{list_of}/{index}"), "resources");
        }
    }
    allowed
}

/// The selector is the server's business, unless the author says otherwise.
fn selector_errors(new: &Value, path: &Path) -> Vec<FieldError> {
    let at = path.child("selector");
    let Some(selector) = new["spec"].get("selector") else { return vec![FieldError::required(&at, "")] };
    let mut errors = crate::selector::labels(Some(selector), &at);
    let uid = text(new, "/metadata/uid");
    if !flag(new, "/spec/manualSelector") {
        let generated = json!({ "matchLabels": { UID_LABEL: uid } });
        let older = json!({ "matchLabels": { "controller-uid": uid } });
        if *selector != generated && *selector != older {
            errors.push(FieldError::invalid(&at, selector.clone(), "`selector` not auto-generated"));
        }
        let labels = &new["spec"]["template"]["metadata"]["labels"];
        let own = [("controller-uid", uid), ("job-name", text(new, "/metadata/name"))];
        for (key, wanted) in own.into_iter().filter(|(key, wanted)| labels[*key] != *wanted) {
            let at = path.child("template.metadata.labels").key(key);
            errors.push(FieldError::invalid(&at, labels.clone(), format!("must be '{wanted}'")));
        }
    }
    errors
}

/// What holds for the specification of a job wherever it stands.
pub(crate) fn check_spec(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let count = |field: &str| spec.get(field).and_then(Value::as_i64);
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for field in counts {
        if let Some(value) = count(field).filter(|value| *value < 0) {
            errors.push(FieldError::invalid(&path.child(field), value, "must be greater than or equal to 0"));
        }
    }
    if let Some(name) = spec.get("managedBy").and_then(Value::as_str) {
        errors.extend(rules::check(rules::domain_path, name, &path.child("managedBy")));
    }
    errors.extend(template::choice(spec, path, "completionMode", &["NonIndexed", "Indexed"]));
    errors.extend(check_mode(spec, path));
    for (index, rule) in list(spec, "/podFailurePolicy/rules").iter().enumerate() {
        errors.extend(failure_rule(rule, &path.child("podFailurePolicy.rules").index(index)));
    }
    errors.extend(template::choice(spec, path, "podReplacementPolicy", &["Failed", "TerminatingOrFailed"]));
    errors.extend(template::validate_any(&spec["template"], &path.child("template")));
    let at = path.child("template.spec.restartPolicy");
    match text(spec, "/template/spec/restartPolicy") {
        "" | "Always" => errors.push(FieldError::required(&at, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(&at, other, &["OnFailure", "Never"])),
    }
    if spec.get("podFailurePolicy").is_some() && text(spec, "/template/spec/restartPolicy") != "Never" {
        let policy = text(spec, "/template/spec/restartPolicy");
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(&at, policy, detail));
    }
    errors
}

/// Fields that mean something only for pods with an index.
fn check_mode(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if text(spec, "/completionMode") == "Indexed" {
        if spec.get("completions").is_none() {
            errors.push(FieldError::required(&path.child("completions"), "when completion mode is Indexed"));
        }
        let parallelism = number(spec, "/parallelism");
        if parallelism > MOST_INDEXED {
            let detail =
                format!("must be less than or equal to {MOST_INDEXED} when completion mode is Indexed");
            errors.push(FieldError::invalid(&path.child("parallelism"), parallelism, detail));
        }
        return errors;
    }
    if spec.get("maxFailedIndexes").is_some() && spec.get("backoffLimitPerIndex").is_none() {
        let detail = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&path.child("backoffLimitPerIndex"), detail));
    }
    let detail = "requires indexed completion mode";
    for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
        if let Some(value) = spec.get(field) {
            errors.push(FieldError::invalid(&path.child(field), value.clone(), detail));
        }
    }
    if let Some(policy) = spec.get("successPolicy") {
        let rules = list(policy, "/rules").iter().map(|rule| {
            json!({ "SucceededCount": rule["succeededCount"], "SucceededIndexes": rule["succeededIndexes"] })
        });
        let shown = json!({ "Rules": rules.collect::<Vec<_>>() });
        errors.push(FieldError::invalid(&path.child("successPolicy"), shown, detail));
    }
    errors
}

fn failure_rule(rule: &Value, path: &Path) -> Vec<FieldError> {
    let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
    let mut errors: Vec<FieldError> = template::choice(rule, path, "action", &actions).into_iter().collect();
    let conditions = !list(rule, "/onPodConditions").is_empty();
    match (rule.get("onExitCodes"), conditions) {
        (None, false) => {
            let mut error = FieldError::invalid(path, "", "");
            error.value = None;
            error.detail = "specifying one of OnExitCodes and OnPodConditions is required".to_owned();
            errors.push(error);
        }
        (Some(codes), _) if text(codes, "/operator") == "In" => {
            for (index, _) in list(codes, "/values").iter().enumerate().filter(|(_, code)| **code == 0) {
                let at = path.child("onExitCodes.values").index(index);
                errors.push(FieldError::invalid(&at, 0, "must not be 0 for the In operator"));
            }
        }
        _ => {}
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
            r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#
        );
    }
}
