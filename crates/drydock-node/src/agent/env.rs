//! The environment of a container, in the order in which Kubernetes builds it. Pure.
//!
//! Image, then the names of Services, then `envFrom`, then `env`; a later entry wins, and `$(NAME)` in a
//! value sees everything before it.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Service};

use super::expand::expand;
use super::fields::{self, Facts};
use super::objects::{ConfigError, Objects};

/// What the environment is built from, besides the container itself.
pub struct Sources<'a> {
    pub pod: &'a Pod,
    pub facts: &'a Facts,
    pub objects: &'a Objects,
    /// Services as seen when the container starts.
    pub services: &'a [Arc<Service>],
    pub image_env: &'a [(String, String)],
}

/// The environment, in order, each name once.
pub fn build(container: &Container, sources: &Sources<'_>) -> Result<Vec<(String, String)>, ConfigError> {
    let mut env = Ordered::default();
    for (name, value) in sources.image_env {
        env.set(name, value.clone());
    }
    // `$(NAME)` sees what Kubernetes made, not what the image brought.
    let mut visible: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in service_links(sources) {
        env.set(&name, value.clone());
        visible.insert(name, value);
    }
    for (name, value) in from_sources(container, sources.objects)? {
        env.set(&name, value.clone());
        visible.insert(name, value);
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value_of(variable, container, sources, &visible)? {
            env.set(&variable.name, value.clone());
            visible.insert(variable.name.clone(), value);
        }
    }
    Ok(env.entries)
}

#[derive(Default)]
struct Ordered {
    entries: Vec<(String, String)>,
}

impl Ordered {
    fn set(&mut self, name: &str, value: String) {
        match self.entries.iter_mut().find(|(n, _)| n == name) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((name.to_owned(), value)),
        }
    }
}

fn from_sources(container: &Container, objects: &Objects) -> Result<Vec<(String, String)>, ConfigError> {
    let mut entries = Vec::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &source.config_map_ref {
            objects.config_map(&reference.name, reference.optional == Some(true))?
        } else if let Some(reference) = &source.secret_ref {
            objects.secret(&reference.name, reference.optional == Some(true))?
        } else {
            None
        };
        for (key, value) in data.into_iter().flatten() {
            // Keys that cannot be names are skipped, and so are values that are not text.
            if let (true, Ok(value)) = (!key.contains('='), String::from_utf8(value)) {
                entries.push((format!("{prefix}{key}"), value));
            }
        }
    }
    Ok(entries)
}

/// `None`: an optional reference leads nowhere, so the variable is not set at all.
fn value_of(
    variable: &EnvVar,
    container: &Container,
    sources: &Sources<'_>,
    visible: &BTreeMap<String, String>,
) -> Result<Option<String>, ConfigError> {
    let Some(from) = &variable.value_from else {
        let text = variable.value.as_deref().unwrap_or_default();
        return Ok(Some(expand(text, |name| visible.get(name).map(String::as_str))));
    };
    if let Some(selector) = &from.field_ref {
        return fields::field(sources.pod, sources.facts, selector).map(Some);
    }
    if let Some(selector) = &from.resource_field_ref {
        return fields::resource(sources.pod, container, sources.facts, selector).map(Some);
    }
    if let Some(key) = &from.config_map_key_ref {
        let data = sources.objects.config_map(&key.name, key.optional == Some(true))?;
        return pick(data, "ConfigMap", sources, &key.name, &key.key, key.optional == Some(true));
    }
    if let Some(key) = &from.secret_key_ref {
        let data = sources.objects.secret(&key.name, key.optional == Some(true))?;
        return pick(data, "Secret", sources, &key.name, &key.key, key.optional == Some(true));
    }
    Err(ConfigError::Invalid(format!(
        "environment variable {} has a source drydock does not know",
        variable.name
    )))
}

fn pick(
    data: Option<BTreeMap<String, Vec<u8>>>,
    kind: &'static str,
    sources: &Sources<'_>,
    name: &str,
    key: &str,
    optional: bool,
) -> Result<Option<String>, ConfigError> {
    match data.and_then(|mut data| data.remove(key)) {
        Some(value) => String::from_utf8(value)
            .map(Some)
            .map_err(|_| ConfigError::Invalid(format!("key {key} in {kind} {name} is not text"))),
        None if optional => Ok(None),
        None => {
            let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
            Err(ConfigError::MissingKey { kind, name: format!("{namespace}/{name}"), key: key.to_owned() })
        }
    }
}

/// `REDIS_SERVICE_HOST` and its relatives. The API server's own are always there.
fn service_links(sources: &Sources<'_>) -> Vec<(String, String)> {
    let spec = sources.pod.spec.as_ref();
    let all = spec.and_then(|s| s.enable_service_links).unwrap_or(true);
    let namespace = sources.pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut links = Vec::new();
    let mut services: Vec<&Arc<Service>> = sources.services.iter().collect();
    services.sort_by_key(|s| (s.metadata.namespace.clone(), s.metadata.name.clone()));
    for service in services {
        let name = service.metadata.name.as_deref().unwrap_or_default();
        let of_pod = service.metadata.namespace.as_deref() == Some(namespace) && all;
        let master = service.metadata.namespace.as_deref() == Some("default") && name == "kubernetes";
        if of_pod || master {
            links.extend(links_of(name, service));
        }
    }
    links
}

fn links_of(name: &str, service: &Service) -> Vec<(String, String)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let ip = spec.cluster_ip.as_deref().unwrap_or_default();
    if ip.is_empty() || ip == "None" {
        return Vec::new();
    }
    let prefix = name.to_ascii_uppercase().replace('-', "_");
    let mut links = vec![(format!("{prefix}_SERVICE_HOST"), ip.to_owned())];
    for (at, port) in spec.ports.iter().flatten().enumerate() {
        let number = port.port;
        if at == 0 {
            links.push((format!("{prefix}_SERVICE_PORT"), number.to_string()));
        }
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let name = name.to_ascii_uppercase().replace('-', "_");
            links.push((format!("{prefix}_SERVICE_PORT_{name}"), number.to_string()));
        }
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        let url = format!("{}://{ip}:{number}", protocol.to_ascii_lowercase());
        if at == 0 {
            links.push((format!("{prefix}_PORT"), url.clone()));
        }
        let base = format!("{prefix}_PORT_{number}_{}", protocol.to_ascii_uppercase());
        links.push((base.clone(), url));
        links.push((format!("{base}_PROTO"), protocol.to_ascii_lowercase()));
        links.push((format!("{base}_PORT"), number.to_string()));
        links.push((format!("{base}_ADDR"), ip.to_owned()));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn objects() -> Objects {
        let config_map = json!({"metadata": {"name": "cm"}, "data": {"MODE": "prod", "URL": "$(MODE)"}});
        let secret = json!({"metadata": {"name": "sec"}, "data": {"password": "aHVudGVyMg=="}});
        Objects::of(
            vec![serde_json::from_value(config_map).unwrap()],
            vec![serde_json::from_value(secret).unwrap()],
        )
    }

    #[track_caller]
    fn check(container: Value, expect: &str) {
        let mut container = container;
        container["name"] = json!("c");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-0", "namespace": "shop"}, "spec": {"containers": [container]}}))
        .unwrap();
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "my-db", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.5", "ports": [{"name": "sql", "port": 5432}]}}))
        .unwrap();
        let sources = Sources {
            pod: &pod,
            facts: &Facts::default(),
            objects: &objects(),
            services: &[Arc::new(service)],
            image_env: &[("PATH".into(), "/bin".into()), ("MODE".into(), "image".into())],
        };
        let shown = match build(&pod.spec.as_ref().unwrap().containers[0], &sources) {
            Ok(env) => {
                let own = env.iter().filter(|(n, _)| !n.starts_with("MY_DB_PORT"));
                own.map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expect);
    }

    const BASE: &str = "MY_DB_SERVICE_HOST=10.96.0.5 MY_DB_SERVICE_PORT=5432 MY_DB_SERVICE_PORT_SQL=5432";

    #[test]
    fn the_image_comes_first_and_services_are_named() {
        check(json!({}), &format!("PATH=/bin MODE=image {BASE}"));
    }
    #[test]
    fn env_wins_over_env_from_and_both_over_the_image() {
        check(
            json!({"envFrom": [{"configMapRef": {"name": "cm"}, "prefix": "X_"}, {"configMapRef": {"name": "cm"}}],
                   "env": [{"name": "X_MODE", "value": "dev"}]}),
            &format!("PATH=/bin MODE=prod {BASE} X_MODE=dev X_URL=$(MODE) URL=$(MODE)"),
        );
    }
    #[test]
    fn values_see_what_was_set_before_them() {
        check(
            json!({"env": [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
                           {"name": "URL", "value": "db://:$(PW)@$(MY_DB_SERVICE_HOST)/$(LATER)"},
                           {"name": "LATER", "value": "x"}]}),
            &format!("PATH=/bin MODE=image {BASE} PW=hunter2 URL=db://:hunter2@10.96.0.5/$(LATER) LATER=x"),
        );
    }
    #[test]
    fn a_missing_object_is_named() {
        check(json!({"envFrom": [{"configMapRef": {"name": "gone"}}]}), "configmap \"gone\" not found");
        check(json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), "secret \"gone\" not found");
    }
    #[test]
    fn a_missing_key_is_named() {
        check(
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "user"}}}]}),
            "couldn't find key user in Secret shop/sec",
        );
    }
    #[test]
    fn optional_references_may_lead_nowhere() {
        check(
            json!({"envFrom": [{"secretRef": {"name": "gone", "optional": true}}],
                   "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "k", "optional": true}}}]}),
            &format!("PATH=/bin MODE=image {BASE}"),
        );
    }
}
