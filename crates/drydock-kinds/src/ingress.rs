//! Ingress: which host and path lead to which Service.

use k8s_openapi::api::networking::v1::Ingress;
use serde_json::{Value, json};

use crate::cells::or_none;
use crate::edit::{ensure, start_status};
use crate::field::{FieldError, Path};
use crate::names;
use crate::read::{list, number, text};
use crate::{Column, Generation, KindSpec};

const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];

pub const KIND: KindSpec = KindSpec::namespaced::<Ingress>()
    .short_names(&["ing"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(|object| {
        ensure(object, "/spec");
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
            errors.push(FieldError::invalid(&path, json!([]), detail));
        }
        None => {}
    }
    for (index, rule) in rules.iter().enumerate() {
        errors.extend(validate_rule(rule, &path.child("rules").index(index)));
    }
    errors
}

fn validate_rule(rule: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let host = text(rule, "/host");
    let name = host.strip_prefix("*.").unwrap_or(host);
    if let Some(complaint) = names::subdomain(name).filter(|_| !host.is_empty()) {
        errors.push(FieldError::invalid(&path.child("host"), host, complaint));
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

fn validate_path(entry: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (kind, route) = (text(entry, "/pathType"), text(entry, "/path"));
    let rooted = route.starts_with('/');
    match kind {
        "" => errors.push(FieldError::required(&path.child("pathType"), "pathType must be specified")),
        "Exact" | "Prefix" if !rooted => {
            errors.push(FieldError::invalid(&path.child("path"), route, "must be an absolute path"));
        }
        "ImplementationSpecific" if !route.is_empty() && !rooted => {
            errors.push(FieldError::invalid(&path.child("path"), route, "must be an absolute path"));
        }
        kind if !PATH_TYPES.contains(&kind) => {
            errors.push(FieldError::not_supported(&path.child("pathType"), kind, &PATH_TYPES));
        }
        _ => {}
    }
    errors.extend(validate_backend(&entry["backend"], &path.child("backend")));
    errors
}

fn validate_backend(backend: &Value, path: &Path) -> Vec<FieldError> {
    if backend.get("resource").is_some() {
        return Vec::new();
    }
    let at = path.child("service");
    if text(backend, "/service/name").is_empty() {
        return vec![FieldError::required(&at.child("name"), "")];
    }
    let port = &backend["service"]["port"];
    match (text(port, "/name").is_empty(), number(port, "/number")) {
        (true, 0) => vec![FieldError::required(path, "port name or number is required")],
        (false, 1..) => vec![FieldError::invalid(path, "", "cannot set both port name & port number")],
        _ => Vec::new(),
    }
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
