//! Checks of a pod specification, in the words of a real cluster.
//!
//! Start at [`pod_spec`]. What a place may hold is checked in a file of its own: `container`, `volume`, `probe`,
//! `scheduling`, `security`.

mod container;
mod probe;
mod scheduling;
mod security;
mod volume;

use std::collections::HashSet;

use serde_json::{Value, json};

pub(crate) use self::container::{port_number, port_or_name};
pub(crate) use self::volume::{class as volume_class, one_source};
use crate::field::{FieldError, Path};
use crate::read::{flag, list, number, text, texts};
use crate::rules::{self, check, check_if_present};
use crate::{meta, names};

/// What containers are checked against besides themselves.
pub(super) struct Context<'s> {
    spec: &'s Value,
    volumes: HashSet<&'s str>,
    grace_s: i64,
}

const GRACE_S: i64 = 30;
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;

/// Checks a complete (defaulted) pod specification.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> Vec<FieldError> {
    let grace = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(GRACE_S);
    let volumes = list(spec, "/volumes").iter().map(|volume| text(volume, "/name")).collect();
    let context = Context { spec, volumes, grace_s: grace };
    let mut errors = volume::all(spec, &path.child("volumes"));
    errors.extend(containers(&context, path));
    errors.extend(host_ports(spec, path));
    errors.extend(choice(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"]));
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.extend(choice(spec, path, "dnsPolicy", &policies));
    errors.extend(meta::labels(spec, "/nodeSelector", &path.child("nodeSelector")));
    errors.extend(security::pod(spec, &path.child("securityContext")));
    errors.extend(scheduling::affinity(spec, &path.child("affinity")));
    errors.extend(dns(spec, &path.child("dnsConfig")));
    errors.extend(gates(spec, path));
    errors.extend(scheduling::spread(spec, &path.child("topologySpreadConstraints")));
    errors.extend(check_if_present(rules::subdomain, spec, "serviceAccountName", path));
    errors.extend(check_if_present(rules::subdomain, spec, "nodeName", path));
    if let Some(seconds) = spec.get("activeDeadlineSeconds").and_then(Value::as_i64)
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let detail = "must be between 1 and 2147483647, inclusive";
        errors.push(FieldError::invalid(&path.child("activeDeadlineSeconds"), seconds, detail));
    }
    for field in ["hostname", "subdomain"] {
        errors.extend(check_if_present(rules::label, spec, field, path));
    }
    errors.extend(scheduling::tolerations(spec, &path.child("tolerations")));
    errors.extend(host_aliases(spec, &path.child("hostAliases")));
    for field in ["priorityClassName", "runtimeClassName"] {
        errors.extend(check_if_present(rules::subdomain, spec, field, path));
    }
    errors.extend(choice(spec, path, "preemptionPolicy", &["PreemptLowerPriority", "Never"]));
    errors.extend(system(spec, path));
    errors.extend(claims(spec, &path.child("resourceClaims")));
    errors
}

fn containers(context: &Context<'_>, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    let mut unique = |container: &Value, at: &Path| {
        let name = text(container, "/name").to_owned();
        let duplicate = !name.is_empty() && !seen.insert(name.clone());
        duplicate.then(|| FieldError::duplicate(&at.child("name"), name))
    };
    let main = list(context.spec, "/containers");
    if main.is_empty() {
        errors.push(FieldError::required(&path.child("containers"), ""));
    }
    for (index, each) in main.iter().enumerate() {
        let at = path.child("containers").index(index);
        errors.extend(container::check(each, &at, context));
        errors.extend(unique(each, &at));
    }
    for (index, each) in list(context.spec, "/initContainers").iter().enumerate() {
        let at = path.child("initContainers").index(index);
        errors.extend(container::check(each, &at, context));
        errors.extend(container::check_init(each, &at));
        errors.extend(unique(each, &at));
    }
    errors
}

/// Ports of the machine: each once, and with the machine's network the same inside and outside.
fn host_ports(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    let mut errors = Vec::new();
    let host_network = flag(spec, "/hostNetwork");
    for (index, container) in list(spec, "/containers").iter().enumerate() {
        for (place, port) in list(container, "/ports").iter().enumerate() {
            let at = path.child("containers").index(index).child("ports").index(place).child("hostPort");
            let host = number(port, "/hostPort");
            let key = format!("{}/{}/{host}", text(port, "/protocol"), text(port, "/hostIP"));
            if host != 0 && !seen.insert(key.clone()) {
                errors.push(FieldError::duplicate(&at, key));
            }
            if host_network && host != 0 && host != number(port, "/containerPort") {
                let detail = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&at, host, detail));
            }
        }
    }
    errors
}

fn dns(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let servers: Vec<&str> = texts(spec, "/dnsConfig/nameservers").collect();
    if text(spec, "/dnsPolicy") == "None" {
        if spec.get("dnsConfig").is_none() {
            return vec![FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None")];
        }
        if servers.is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            return vec![FieldError::required(&path.child("nameservers"), detail)];
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        let detail = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(FieldError::invalid(&path.child("nameservers"), json!(servers), detail));
    }
    for (index, server) in servers.iter().enumerate() {
        errors.extend(check(rules::ip, server, &path.child("nameservers").index(index)));
    }
    let searches: Vec<&str> = texts(spec, "/dnsConfig/searches").collect();
    if searches.len() > MAX_SEARCHES {
        let detail = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(FieldError::invalid(&path.child("searches"), json!(searches), detail));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.extend(check(rules::search_path, search, &path.child("searches").index(index)));
    }
    for (index, option) in list(spec, "/dnsConfig/options").iter().enumerate() {
        if text(option, "/name").is_empty() {
            errors.push(FieldError::required(&path.child("options").index(index), "must not be empty"));
        }
    }
    errors
}

fn gates(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, gate) in list(spec, "/readinessGates").iter().enumerate() {
        let at = path.child("readinessGates").index(index).child("conditionType");
        errors.extend(check(rules::qualified, text(gate, "/conditionType"), &at));
    }
    let mut seen = HashSet::new();
    for (index, gate) in list(spec, "/schedulingGates").iter().enumerate() {
        let at = path.child("schedulingGates").index(index);
        let name = text(gate, "/name");
        errors.extend(check(rules::qualified, name, &at));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at, name));
        }
    }
    errors
}

fn host_aliases(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, alias) in list(spec, "/hostAliases").iter().enumerate() {
        let at = path.index(index);
        errors.extend(check(rules::ip, text(alias, "/ip"), &at.child("ip")));
        for (place, name) in texts(alias, "/hostnames").enumerate() {
            errors.extend(check(rules::subdomain, name, &at.child("hostnames").index(place)));
        }
    }
    errors
}

/// The operating system, and what excludes one another on it.
fn system(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(system) = spec.get("os") {
        let name = text(system, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("os").child("name"), "cannot be empty"));
        } else if !["linux", "windows"].contains(&name) {
            errors.push(FieldError::not_supported(&path.child("os"), name, &["linux", "windows"]));
        }
    }
    if flag(spec, "/hostNetwork") && spec.get("hostUsers").is_some_and(|users| users == false) {
        errors.push(FieldError::forbidden(&path.child("hostNetwork"), "when `hostUsers` is false"));
    }
    errors
}

fn claims(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, claim) in list(spec, "/resourceClaims").iter().enumerate() {
        let at = path.index(index);
        let name = text(claim, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if let Some(complaint) = names::label(name) {
            errors.push(FieldError::invalid(&at.child("name"), name, complaint));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        let sources = ["resourceClaimName", "resourceClaimTemplateName"];
        if sources.iter().all(|source| claim.get(*source).is_none()) {
            let detail = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            let shown = json!({ "Name": name, "ResourceClaimName": null, "ResourceClaimTemplateName": null });
            errors.push(FieldError::invalid(&at, shown, detail));
        }
    }
    errors
}

/// What only a pod is checked for, not a template.
pub(crate) fn new_pod(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !list(spec, "/ephemeralContainers").is_empty() {
        errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    if !list(spec, "/schedulingGates").is_empty() && !text(spec, "/nodeName").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden(&path.child("nodeName"), detail));
    }
    errors
}

/// A field that, when present, must hold one of a few words.
pub(crate) fn choice(parent: &Value, path: &Path, field: &str, words: &[&str]) -> Option<FieldError> {
    let word = parent.get(field)?.as_str()?;
    (!words.contains(&word)).then(|| FieldError::not_supported(&path.child(field), word, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(spec: Value, expect: &[&str]) {
        let errors = pod_spec(&spec, &Path::root("spec.template.spec"));
        let texts: Vec<String> = errors.iter().map(|error| error.to_string()).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn a_container_needs_a_name_and_an_image() {
        check(
            json!({"containers": [{}]}),
            &[
                "spec.template.spec.containers[0].name: Required value",
                "spec.template.spec.containers[0].image: Required value",
            ],
        );
    }

    #[test]
    fn a_pod_needs_a_container() {
        check(json!({}), &["spec.template.spec.containers: Required value"]);
    }

    #[test]
    fn a_mount_needs_its_volume() {
        check(
            json!({"containers": [{"name": "a", "image": "b", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}]}),
            &[r#"spec.template.spec.containers[0].volumeMounts[0].name: Not found: "x""#],
        );
    }

    #[test]
    fn a_request_above_its_limit_is_invalid() {
        check(
            json!({"containers": [{"name": "a", "image": "b", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "500m"}}}]}),
            &[
                r#"spec.template.spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 500m"#,
            ],
        );
    }

    #[test]
    fn a_policy_outside_the_list_is_unsupported() {
        check(
            json!({"containers": [{"name": "a", "image": "b"}], "restartPolicy": "Sometimes"}),
            &[
                r#"spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#,
            ],
        );
    }

    #[test]
    fn a_probe_needs_exactly_one_handler() {
        check(
            json!({"containers": [{"name": "a", "image": "b", "readinessProbe": {"successThreshold": 1}}]}),
            &["spec.template.spec.containers[0].readinessProbe: Required value: must specify a handler type"],
        );
    }
}
