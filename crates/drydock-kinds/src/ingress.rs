//! Ingress: which host and path lead to which Service.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use crate::cells::or_none;
use crate::edit::{drop_blank, each, ensure, start_status};
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::read::{list, number, text, texts};
use crate::rules::{self, check, check_if_present, check_required};
use crate::{Column, Generation, KindSpec};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

pub const KIND: KindSpec = KindSpec::namespaced::<Ingress>()
    .short_names(&["ing"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(|object| {
        ensure(object, "/spec");
        for rule in each(object, "/spec/rules") {
            each(rule, "/http/paths").for_each(|path| drop_blank(path, "path"));
        }
    })
    .prepare_with(|new, old| start_status(new, old, json!({ "loadBalancer": {} })))
    .validate_with(validate)
    .columns(&[
        Column::compute("Class", |object, _| or_none(text(object, "/spec/ingressClassName"))),
        Column::compute("Hosts", |object, _| Value::from(hosts(object))),
        Column::compute("Address", |object, _| Value::from(address(object))),
        Column::compute("Ports", |object, _| {
            Value::from(if list(object, "/spec/tls").is_empty() { "80" } else { "80, 443" })
        }),
        Column::age(),
    ]);

fn hosts(object: &Value) -> String {
    const SHOWN: usize = 3;
    let rules = list(object, "/spec/rules");
    let named: Vec<&str> =
        rules.iter().map(|rule| text(rule, "/host")).filter(|host| !host.is_empty()).take(SHOWN).collect();
    match (named.len(), rules.len()) {
        (0, _) => "*".to_owned(),
        (SHOWN, all) if all > SHOWN => format!("{} + {} more...", named.join(","), all - SHOWN),
        _ => named.join(","),
    }
}

fn address(object: &Value) -> String {
    let entry =
        |entry| [text(entry, "/ip"), text(entry, "/hostname")].into_iter().find(|text| !text.is_empty());
    list(object, "/status/loadBalancer/ingress").iter().filter_map(entry).collect::<Vec<_>>().join(",")
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let rules = list(new, "/spec/rules");
    match new.pointer("/spec/defaultBackend") {
        Some(backend) => errors.extend(validate_backend(backend, &path.child("defaultBackend"))),
        None if rules.is_empty() => {
            let detail = "either `defaultBackend` or `rules` must be specified";
            errors.push(FieldError::invalid(&path, Value::Null, detail));
        }
        None => {}
    }
    for (index, rule) in rules.iter().enumerate() {
        errors.extend(validate_rule(rule, &path.child("rules").index(index)));
    }
    for (index, tls) in list(new, "/spec/tls").iter().enumerate() {
        let at = path.child("tls").index(index);
        for (place, host) in texts(tls, "/hosts").enumerate() {
            errors.extend(check(host_rule(host), host, &at.child("hosts").index(place)));
        }
        errors.extend(check_if_present(rules::subdomain, tls, "secretName", &at));
    }
    errors.extend(check_if_present(rules::subdomain, &new["spec"], "ingressClassName", &path));
    errors
}

fn host_rule(host: &str) -> rules::Rule {
    if host.contains('*') { rules::wildcard } else { rules::subdomain }
}

fn validate_rule(rule: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let host = text(rule, "/host");
    if host.parse::<IpAddr>().is_ok() {
        errors.push(FieldError::invalid(&path.child("host"), host, "must be a DNS name, not an IP address"));
    } else if !host.is_empty() {
        errors.extend(check(host_rule(host), host, &path.child("host")));
    }
    let Some(http) = rule.get("http") else { return errors };
    let at = path.child("http.paths");
    if list(http, "/paths").is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    for (index, entry) in list(http, "/paths").iter().enumerate() {
        errors.extend(validate_path(entry, &at.index(index)));
    }
    errors
}

/// What a path of fixed meaning may not hold, and how it may not end.
const BAD_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const BAD_ENDS: [&str; 2] = ["/..", "/."];

fn validate_path(entry: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (kind, route) = (text(entry, "/pathType"), text(entry, "/path"));
    let at = path.child("path");
    let absolute = |errors: &mut Vec<FieldError>| {
        if !route.starts_with('/') {
            errors.push(FieldError::invalid(&at, route, "must be an absolute path"));
        }
    };
    match kind {
        "" => errors.push(FieldError::required(&path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" => {
            absolute(&mut errors);
            if !route.is_empty() {
                let bad = BAD_SEQUENCES.iter().filter(|bad| route.contains(**bad));
                errors.extend(
                    bad.map(|bad| FieldError::invalid(&at, route, format!("must not contain '{bad}'"))),
                );
                let ends = BAD_ENDS.iter().filter(|end| route.ends_with(**end));
                errors.extend(
                    ends.map(|end| FieldError::invalid(&at, route, format!("cannot end with '{end}'"))),
                );
            }
        }
        "ImplementationSpecific" if !route.is_empty() => absolute(&mut errors),
        "ImplementationSpecific" => {}
        kind => errors.push(FieldError::not_supported(&path.child("pathType"), kind, &PATH_TYPES)),
    }
    errors.extend(validate_backend(&entry["backend"], &path.child("backend")));
    errors
}

fn validate_backend(backend: &Value, path: &Path) -> Vec<FieldError> {
    let service = backend.get("service");
    match (backend.get("resource"), service) {
        (Some(_), Some(_)) => {
            return vec![FieldError::invalid(path, "", "cannot set both resource and service backends")];
        }
        (Some(_), None) => return Vec::new(),
        (None, None) => {
            return vec![FieldError::invalid(path, "", "resource or service backend is required")];
        }
        (None, Some(_)) => {}
    }
    let at = path.child("service");
    let mut errors = check_required(rules::label, &backend["service"], "name", &at);
    let port = &backend["service"]["port"];
    let (name, port_number) = (text(port, "/name"), number(port, "/number"));
    match (name.is_empty(), port_number) {
        (true, 0) => errors.push(FieldError::required(path, "port name or number is required")),
        (true, number) => errors.extend(template::port_number(number, &at.child("port.number"))),
        (false, 0) => errors.extend(check(rules::port_name, name, &at.child("port.name"))),
        (false, _) => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(entry: Value) -> Value {
        json!({"metadata": {"name": "a", "namespace": "b"}, "spec": {"rules": [{"host": "todo.localhost", "http": {"paths": [entry]}}]}})
    }

    #[track_caller]
    fn check(entry: Value, expect: &[&str]) {
        let texts: Vec<String> =
            KIND.check(&ingress(entry), None).iter().map(|error| error.to_string()).collect();
        assert_eq!(texts, expect);
    }

    #[test]
    fn a_path_needs_a_type_and_a_backend() {
        let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
        check(json!({"path": "/", "pathType": "Prefix", "backend": backend}), &[]);
        check(
            json!({"path": "/", "backend": backend}),
            &["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
        );
        check(
            json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web"}}}),
            &["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
        );
    }
}
