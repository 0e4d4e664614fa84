//! Checks of a pod specification, in the words of a real cluster.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::names;
use crate::read::{entries, list, number, text};
use crate::schema::quantity_nano;

/// Checks a complete (defaulted) pod specification.
pub(crate) fn pod_spec(spec: &Value, path: &Path) -> Vec<FieldError> {
    let volumes = volume_names(spec);
    let mut errors = self::volumes(spec, &path.child("volumes"));
    let containers = list(spec, "/containers");
    if containers.is_empty() {
        errors.push(FieldError::required(&path.child("containers"), ""));
    }
    let mut seen = HashSet::new();
    for field in ["containers", "initContainers"] {
        for (index, each) in list(spec, &format!("/{field}")).iter().enumerate() {
            let at = path.child(field).index(index);
            errors.extend(container(each, &at, &volumes));
            let name = text(each, "/name");
            if !name.is_empty() && !seen.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
    }
    errors.extend(choice(spec, path, "restartPolicy", &["Always", "OnFailure", "Never"]));
    errors.extend(choice(
        spec,
        path,
        "dnsPolicy",
        &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"],
    ));
    errors.extend(host_port_conflicts(containers, &path.child("containers")));
    let grace = number(spec, "/terminationGracePeriodSeconds");
    if grace < 0 {
        let at = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&at, grace, "must be greater than or equal to 0"));
    }
    errors
}

fn volume_names(spec: &Value) -> HashSet<&str> {
    list(spec, "/volumes").iter().map(|volume| text(volume, "/name")).collect()
}

fn volumes(spec: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, volume) in list(spec, "/volumes").iter().enumerate() {
        let at = path.index(index);
        let name = text(volume, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if let Some(complaint) = names::label(name) {
            errors.push(FieldError::invalid(&at.child("name"), name, complaint));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        errors.extend(volume_source(volume, &at));
    }
    errors
}

fn volume_source(volume: &Value, path: &Path) -> Vec<FieldError> {
    let sources: Vec<&String> =
        entries(volume, "").map(|(key, _)| key).filter(|key| *key != "name").collect();
    match sources.as_slice() {
        [] => return vec![FieldError::required(path, "must specify a volume type")],
        [_] => {}
        [_, second, ..] => {
            return vec![FieldError::forbidden(
                &path.child(second),
                "may not specify more than 1 volume type",
            )];
        }
    }
    let needed = [
        ("secret", "secretName"),
        ("configMap", "name"),
        ("persistentVolumeClaim", "claimName"),
        ("hostPath", "path"),
    ];
    let missing = needed.into_iter().filter(|(source, field)| {
        volume.get(source).is_some_and(|source| text(source, &format!("/{field}")).is_empty())
    });
    missing.map(|(source, field)| FieldError::required(&path.child(source).child(field), "")).collect()
}

fn container(container: &Value, path: &Path, volumes: &HashSet<&str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = text(container, "/name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else if let Some(complaint) = names::label(name) {
        errors.push(FieldError::invalid(&path.child("name"), name, complaint));
    }
    let image = text(container, "/image");
    if image.is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    } else if image.trim() != image {
        let detail = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, detail));
    }
    errors.extend(choice(container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]));
    errors.extend(ports(container, &path.child("ports")));
    errors.extend(environment(container, &path.child("env")));
    errors.extend(mounts(container, &path.child("volumeMounts"), volumes));
    errors.extend(resources(container, &path.child("resources")));
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe_value) = container.get(probe) {
            errors.extend(self::probe(probe_value, &path.child(probe), probe != "readinessProbe"));
        }
    }
    errors
}

fn ports(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, port) in list(container, "/ports").iter().enumerate() {
        let at = path.index(index);
        let name = text(port, "/name");
        if !name.is_empty() {
            if let Some(complaint) = names::port_name(name) {
                errors.push(FieldError::invalid(&at.child("name"), name, complaint));
            } else if !seen.insert(name) {
                errors.push(FieldError::duplicate(&at.child("name"), name));
            }
        }
        match port.get("containerPort").and_then(Value::as_i64) {
            None | Some(0) => errors.push(FieldError::required(&at.child("containerPort"), "")),
            Some(number) => errors.extend(port_number(number, &at.child("containerPort"))),
        }
        errors.extend(choice(port, &at, "protocol", &["SCTP", "TCP", "UDP"]));
    }
    errors
}

/// A port between 1 and 65535.
pub(crate) fn port_number(number: i64, path: &Path) -> Option<FieldError> {
    let detail = "must be between 1 and 65535, inclusive";
    (!(1..=65535).contains(&number)).then(|| FieldError::invalid(path, number, detail))
}

/// A port as number or name.
pub(crate) fn port_or_name(value: &Value, path: &Path) -> Option<FieldError> {
    match value {
        Value::Number(number) => port_number(number.as_i64().unwrap_or_default(), path),
        Value::String(name) => {
            names::port_name(name).map(|complaint| FieldError::invalid(path, name.as_str(), complaint))
        }
        _ => Some(FieldError::required(path, "")),
    }
}

fn environment(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, variable) in list(container, "/env").iter().enumerate() {
        let at = path.index(index);
        let name = text(variable, "/name");
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=') {
            let detail = "a valid environment variable name must consist only of printable ASCII characters other \
                          than '='";
            errors.push(FieldError::invalid(&at.child("name"), name, detail));
        }
        let Some(source) = variable.get("valueFrom") else { continue };
        let from = at.child("valueFrom");
        match source.as_object().map_or(0, serde_json::Map::len) {
            0 => {
                let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
                errors.push(FieldError::invalid(&from, "", detail));
            }
            1 => {}
            _ => errors.push(FieldError::invalid(
                &from,
                "",
                "may not have more than one field specified at a time",
            )),
        }
        if !text(variable, "/value").is_empty() {
            errors.push(FieldError::invalid(&from, "", "may not be specified when `value` is not empty"));
        }
        for reference in ["configMapKeyRef", "secretKeyRef"] {
            let Some(reference_value) = source.get(reference) else { continue };
            for field in ["name", "key"] {
                if text(reference_value, &format!("/{field}")).is_empty() {
                    errors.push(FieldError::required(&from.child(reference).child(field), ""));
                }
            }
        }
    }
    errors
}

fn mounts(container: &Value, path: &Path, volumes: &HashSet<&str>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, mount) in list(container, "/volumeMounts").iter().enumerate() {
        let at = path.index(index);
        let (name, target) = (text(mount, "/name"), text(mount, "/mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(&at.child("name"), ""));
        } else if !volumes.contains(name) {
            errors.push(FieldError::not_found(&at.child("name"), name));
        }
        if target.is_empty() {
            errors.push(FieldError::required(&at.child("mountPath"), ""));
        } else if !seen.insert(target) {
            errors.push(FieldError::invalid(&at.child("mountPath"), target, "must be unique"));
        }
        let inner = text(mount, "/subPath");
        if inner.starts_with('/') {
            errors.push(FieldError::invalid(&at.child("subPath"), inner, "must be a relative path"));
        } else if inner.split('/').any(|part| part == "..") {
            errors.push(FieldError::invalid(&at.child("subPath"), inner, "must not contain '..'"));
        }
    }
    errors
}

fn resources(container: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let resources = &container["resources"];
    for (name, request) in entries(resources, "/requests") {
        let at = path.child("requests");
        let nano = |value: &Value| value.as_str().and_then(quantity_nano);
        if nano(request).is_some_and(|nano| nano < 0) {
            let detail = "must be greater than or equal to 0";
            errors.push(FieldError::invalid(&at.key(name), request.clone(), detail));
        }
        let limit = &resources["limits"][name];
        if let (Some(amount), Some(most)) = (nano(request), nano(limit))
            && amount > most
        {
            let most = limit.as_str().unwrap_or_default();
            let detail = format!("must be less than or equal to {name} limit of {most}");
            errors.push(FieldError::invalid(&at, request.clone(), detail));
        }
    }
    errors
}

fn probe(probe: &Value, path: &Path, one_success: bool) -> Vec<FieldError> {
    let mut errors = handler(probe, path);
    if one_success && number(probe, "/successThreshold") != 1 {
        let at = path.child("successThreshold");
        errors.push(FieldError::invalid(&at, number(probe, "/successThreshold"), "must be 1"));
    }
    for field in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold"] {
        let value = number(probe, &format!("/{field}"));
        if value < 0 {
            errors.push(FieldError::invalid(&path.child(field), value, "must be greater than or equal to 0"));
        }
    }
    errors
}

fn handler(probe: &Value, path: &Path) -> Vec<FieldError> {
    const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];
    let present: Vec<&str> = HANDLERS.into_iter().filter(|name| probe.get(*name).is_some()).collect();
    match present.as_slice() {
        [] => vec![FieldError::required(path, "must specify a handler type")],
        [one] => {
            let at = path.child(one);
            match *one {
                "exec" if list(probe, "/exec/command").is_empty() => {
                    vec![FieldError::required(&at.child("command"), "")]
                }
                "httpGet" | "tcpSocket" | "grpc" => {
                    port_or_name(&probe[*one]["port"], &at.child("port")).into_iter().collect()
                }
                _ => Vec::new(),
            }
        }
        [_, second, ..] => {
            vec![FieldError::forbidden(&path.child(second), "may not specify more than 1 handler type")]
        }
    }
}

fn host_port_conflicts(containers: &[Value], path: &Path) -> Vec<FieldError> {
    let mut seen = HashSet::new();
    let mut errors = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        for (place, port) in list(container, "/ports").iter().enumerate() {
            let host = number(port, "/hostPort");
            let key = (host, text(port, "/protocol"), text(port, "/hostIP"));
            if host != 0 && !seen.insert(key) {
                let at = path.index(index).child("ports").index(place).child("hostPort");
                errors.push(FieldError::duplicate(&at, host));
            }
        }
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
                r#"spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure""#,
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
