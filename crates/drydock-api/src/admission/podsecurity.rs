//! PodSecurity: pods keep to the level that their namespace's labels name; workloads are warned about their templates.
//!
//! Nobody is exempt. The rules themselves are `drydock_kinds::podsecurity`.

use std::collections::BTreeMap;

use drydock_kinds::podsecurity::{Grade, Level, Policy, details, reasons};
use drydock_store::List;
use serde_json::Value;

use super::{find, forbidden, items};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

pub(super) const KINDS: &[(&str, &str)] = &[
    ("", "namespaces"),
    ("", "pods"),
    ("", "podtemplates"),
    ("", "replicationcontrollers"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
];

/// Pods that are looked at when a namespace asks for more than before.
const MOST_PODS: usize = 3000;
const PREFIX: &str = "pod-security.kubernetes.io/";

pub(super) fn validate(cx: &Cx, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if cx.kind.is("", "namespaces") {
        return validate_namespace(cx, new, old);
    }
    let is_pod = cx.kind.is("", "pods");
    if is_pod && old.is_some_and(|old| !changes_much(new, old)) {
        return Ok(());
    }
    let Some(namespace) = &cx.path.namespace else { return Ok(()) };
    let Some(namespace) = find(cx, &format!("core/namespaces//{namespace}"))? else { return Ok(()) };
    let (policy, _) = Policy::of(&namespace["metadata"]["labels"]);
    let template = if is_pod { new } else { template(cx, new) };
    if template["spec"].is_null() {
        return Ok(());
    }
    let told = |grade: &Grade, verb: &str| {
        let found = grade.judge(&template["metadata"], &template["spec"]);
        (!found.is_empty()).then(|| format!("{verb} PodSecurity \"{grade}\": {}", details(&found)))
    };
    if is_pod && let Some(why) = told(&policy.enforce, "violates") {
        return Err(forbidden(cx, new, &why));
    }
    if is_pod {
        cx.warnings.annotate(&format!("{PREFIX}enforce-policy"), &policy.enforce.to_string());
    }
    if let Some(why) = told(&policy.audit, "would violate") {
        cx.warnings.annotate(&format!("{PREFIX}audit-violations"), &why);
    }
    if let Some(why) = told(&policy.warn, "would violate") {
        cx.warnings.add(why);
    }
    Ok(())
}

fn template<'v>(cx: &Cx, object: &'v Value) -> &'v Value {
    match cx.kind.plural() {
        "podtemplates" => &object["template"],
        "cronjobs" => &object["spec"]["jobTemplate"]["spec"]["template"],
        _ => &object["spec"]["template"],
    }
}

/// Of a pod that exists, only images and further containers can change what it may do.
fn changes_much(new: &Value, old: &Value) -> bool {
    let of = |pod: &Value, list: &str| {
        let containers = items(&pod["spec"], list).iter();
        containers.map(|one| (one["name"].clone(), one["image"].clone())).collect::<Vec<_>>()
    };
    ["containers", "initContainers", "ephemeralContainers"].iter().any(|list| of(new, list) != of(old, list))
}

fn validate_namespace(cx: &Cx, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let (policy, errors) = Policy::of(&new["metadata"]["labels"]);
    let (before, known) = old.map(|old| Policy::of(&old["metadata"]["labels"])).unzip();
    if !errors.is_empty() && known.is_none_or(|known| known != errors) {
        return Err(ApiError::invalid(&cx.kind, meta::name(new), &errors));
    }
    let Some(before) = before else { return Ok(()) };
    let (grade, before) = (policy.enforce, before.enforce);
    let relaxed = grade.version == before.version && grade.level <= before.level;
    if grade != before && grade.level != Level::Privileged && !relaxed {
        warn_of_pods(cx, meta::name(new), &grade)?;
    }
    Ok(())
}

/// Says which pods are there already that would be refused from now on, one line per sort of them.
fn warn_of_pods(cx: &Cx, namespace: &str, grade: &Grade) -> Result<(), ApiError> {
    let prefix = format!("core/pods/{namespace}/");
    let page = cx.server.store.list(List { prefix: &prefix, limit: Some(MOST_PODS + 1), ..List::default() });
    let pods = page.map_err(|error| ApiError::internal(error.to_string()))?.items;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in pods.iter().take(MOST_PODS) {
        let pod = stored::decode(&item.entry)?.value;
        let violations = grade.judge(&pod["metadata"], &pod["spec"]);
        if !violations.is_empty() {
            found.entry(reasons(&violations)).or_default().push(meta::name(&pod).to_owned());
        }
    }
    if pods.len() > MOST_PODS {
        let many = format!("the first {MOST_PODS} of more than {MOST_PODS} existing pods");
        cx.warnings.add(format!("new PodSecurity enforce level only checked against {many}"));
    }
    if found.is_empty() {
        return Ok(());
    }
    let what = "violate the new PodSecurity enforce level";
    cx.warnings.add(format!("existing pods in namespace {namespace:?} {what} \"{grade}\""));
    let mut lines: Vec<String> = found.iter().map(|(why, names)| line(names, why)).collect();
    lines.sort_unstable();
    lines.into_iter().for_each(|line| cx.warnings.add(line));
    Ok(())
}

/// The first of the pods, how many more there are, and what they do.
fn line(names: &[String], why: &str) -> String {
    let first = names.iter().min().map(String::as_str).unwrap_or_default();
    match names.len() {
        0 | 1 => format!("{first}: {why}"),
        2 => format!("{first} (and 1 other pod): {why}"),
        many => format!("{first} (and {} other pods): {why}", many - 1),
    }
}
