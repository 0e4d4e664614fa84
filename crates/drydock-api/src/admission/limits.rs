//! LimitRanger: what single pods and claims of a namespace get by default and may ask for.

use std::collections::BTreeSet;

use drydock_kinds::resources::{Amounts, amounts, of, total};
use kubernetes_quantity::Quantity;
use serde_json::{Value, json};

use super::{all, forbidden, items};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

fn ranges(cx: &Cx) -> Result<Vec<Value>, ApiError> {
    all(cx, &format!("core/limitranges/{}/", cx.path.namespace.as_deref().unwrap_or("")))
}

/// Fills in what containers leave out.
pub(super) fn mutate(cx: &Cx, pod: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_some() || !cx.kind.is("", "pods") {
        return Ok(());
    }
    for range in ranges(cx)? {
        set_defaults(pod, &range);
    }
    Ok(())
}

fn set_defaults(pod: &mut Value, range: &Value) {
    let mut notes = Vec::new();
    for limit in items(&range["spec"], "limits").iter().filter(|limit| limit["type"] == "Container") {
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or("").to_owned();
                for (side, source) in [("requests", "defaultRequest"), ("limits", "default")] {
                    let set = fill_side(container, side, &limit[source]);
                    if !set.is_empty() {
                        notes.push(format!(
                            "{} {} for {word} {name}",
                            set.join(", "),
                            side.trim_end_matches('s')
                        ));
                    }
                }
            }
        }
    }
    if !notes.is_empty()
        && let Some(metadata) = meta::of_mut(pod)
    {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        annotations[ANNOTATION] = format!("LimitRanger plugin set: {}", notes.join("; ")).into();
    }
}

fn fill_side(container: &mut Value, side: &str, defaults: &Value) -> Vec<String> {
    let mut set = Vec::new();
    for (name, amount) in defaults.as_object().into_iter().flatten() {
        if container["resources"][side].get(name).is_none() {
            container["resources"][side][name] = amount.clone();
            set.push(name.clone());
        }
    }
    set
}

pub(super) fn validate(cx: &Cx, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let is_pod = cx.kind.is("", "pods");
    let is_settled = is_pod && cx.path.subresource != "resize";
    if (old.is_some() && is_settled) || old.is_some_and(meta::is_deleting) {
        return Ok(());
    }
    for range in ranges(cx)? {
        let mut complaints = BTreeSet::new();
        for limit in items(&range["spec"], "limits") {
            match (is_pod, limit["type"].as_str().unwrap_or("")) {
                (true, "Container") => {
                    let containers = items(&object["spec"], "containers").iter();
                    for container in containers.chain(items(&object["spec"], "initContainers")) {
                        let asked =
                            Asked { requests: of(container, "requests"), limits: of(container, "limits") };
                        complaints.extend(asked.complaints(limit, "Container"));
                    }
                }
                (true, "Pod") => {
                    let [requests, limits] = ["requests", "limits"].map(|side| total(&object["spec"], side));
                    complaints.extend(Asked { requests, limits }.complaints(limit, "Pod"));
                }
                (false, "PersistentVolumeClaim") => {
                    let requests = amounts(object, "/spec/resources/requests");
                    complaints.extend(claim_complaints(limit, &requests));
                }
                _ => {}
            }
        }
        let complaints: Vec<String> = complaints.into_iter().collect();
        match complaints.as_slice() {
            [] => {}
            [one] => return Err(forbidden(cx, object, one)),
            several => return Err(forbidden(cx, object, &format!("[{}]", several.join(", ")))),
        }
    }
    Ok(())
}

/// What a container or pod asks for.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

impl Asked {
    fn complaints(&self, limit: &Value, what: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (name, bound) in amounts(limit, "/min") {
            found.extend(self.below(&name, bound, what));
        }
        for (name, bound) in amounts(limit, "/max") {
            found.extend(self.above(&name, bound, what));
        }
        for (name, bound) in amounts(limit, "/maxLimitRequestRatio") {
            found.extend(self.ratio(&name, bound, what));
        }
        found
    }

    fn below(&self, name: &str, bound: Quantity, what: &str) -> Option<String> {
        let start = format!("minimum {name} usage per {what} is {bound}");
        match (self.requests.get(name), self.limits.get(name)) {
            (None, _) => Some(format!("{start}.  No request is specified")),
            (Some(request), _) if *request < bound => Some(format!("{start}, but request is {request}")),
            (_, Some(limit)) if *limit < bound => Some(format!("{start}, but limit is {limit}")),
            _ => None,
        }
    }

    fn above(&self, name: &str, bound: Quantity, what: &str) -> Option<String> {
        let start = format!("maximum {name} usage per {what} is {bound}");
        match (self.limits.get(name), self.requests.get(name)) {
            (None, _) => Some(format!("{start}.  No limit is specified")),
            (Some(limit), _) if *limit > bound => Some(format!("{start}, but limit is {limit}")),
            (_, Some(request)) if *request > bound => Some(format!("{start}, but request is {request}")),
            _ => None,
        }
    }

    fn ratio(&self, name: &str, bound: Quantity, what: &str) -> Option<String> {
        let start = format!("{name} max limit to request ratio per {what} is {bound}");
        let given = |amounts: &Amounts| amounts.get(name).copied().filter(|amount| !amount.is_zero());
        match (given(&self.requests), given(&self.limits)) {
            (None, _) => Some(format!("{start}, but no request is specified or request is 0")),
            (_, None) => Some(format!("{start}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let ratio = limit.nano() as f64 / request.nano() as f64;
                let most = bound.nano() as f64 / 1e9;
                (ratio > most).then(|| format!("{start}, but provided ratio is {ratio:.6}"))
            }
        }
    }
}

fn claim_complaints(limit: &Value, requests: &Amounts) -> Vec<String> {
    let what = "PersistentVolumeClaim";
    let asked = Asked { requests: requests.clone(), limits: Amounts::new() };
    let mut found: Vec<String> = amounts(limit, "/min")
        .into_iter()
        .filter_map(|(name, bound)| asked.below(&name, bound, what))
        .collect();
    for (name, bound) in amounts(limit, "/max") {
        let start = format!("maximum {name} usage per {what} is {bound}");
        match requests.get(&name) {
            None => found.push(format!("{start}.  No request is specified")),
            Some(request) if *request > bound => found.push(format!("{start}, but request is {request}")),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(limit: Value, resources: Value, expect: &[&str]) {
        let container = json!({ "resources": resources });
        let asked = Asked { requests: of(&container, "requests"), limits: of(&container, "limits") };
        assert_eq!(asked.complaints(&limit, "Container"), expect);
    }

    #[test]
    fn a_minimum_holds_for_requests_and_limits() {
        let limit = json!({"min": {"cpu": "100m"}});
        check(
            limit.clone(),
            json!({}),
            &["minimum cpu usage per Container is 100m.  No request is specified"],
        );
        let small = json!({"requests": {"cpu": "50m"}});
        check(limit.clone(), small, &["minimum cpu usage per Container is 100m, but request is 50m"]);
        check(limit, json!({"requests": {"cpu": "100m"}}), &[]);
    }

    #[test]
    fn a_maximum_needs_a_limit() {
        let limit = json!({"max": {"memory": "1Gi"}});
        check(
            limit.clone(),
            json!({}),
            &["maximum memory usage per Container is 1Gi.  No limit is specified"],
        );
        let large = json!({"limits": {"memory": "2Gi"}});
        check(limit, large, &["maximum memory usage per Container is 1Gi, but limit is 2Gi"]);
    }

    #[test]
    fn the_ratio_of_limit_to_request_is_bounded() {
        let limit = json!({"maxLimitRequestRatio": {"cpu": "2"}});
        let wide = json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}});
        check(
            limit,
            wide,
            &["cpu max limit to request ratio per Container is 2, but provided ratio is 10.000000"],
        );
    }

    #[test]
    fn defaults_are_filled_in_and_written_down() {
        let mut pod = json!({"metadata": {}, "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1"}}}]}});
        let item = json!({"type": "Container", "default": {"cpu": "2", "memory": "1Gi"}, "defaultRequest": {"cpu": "1"}});
        set_defaults(&mut pod, &json!({"spec": {"limits": [item]}}));
        let resources = &pod["spec"]["containers"][0]["resources"];
        assert_eq!(resources, &json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}));
        assert_eq!(
            pod["metadata"]["annotations"][ANNOTATION],
            "LimitRanger plugin set: cpu request for container a; memory limit for container a"
        );
    }
}
