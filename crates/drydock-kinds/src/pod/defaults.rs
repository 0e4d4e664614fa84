//! What an author of a pod specification may leave out.

use serde_json::{Value, json};

use crate::edit::{drop_blank, each, fill, fill_at};
use crate::read::{entries, flag, number, text};

/// File mode 0644, as decimal numbers carry it.
const DEFAULT_MODE: i64 = 0o644;

/// Completes a pod specification; safe to run again.
pub(crate) fn pod_spec(spec: &mut Value) {
    for field in ["schedulerName", "dnsPolicy", "restartPolicy"] {
        drop_blank(spec, field);
    }
    fill_at(
        spec,
        "",
        json!({
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
            "securityContext": {}, "terminationGracePeriodSeconds": 30,
        }),
    );
    mirror_service_account(spec);
    each(spec, "/initContainers").for_each(container);
    each(spec, "/containers").for_each(container);
    each(spec, "/ephemeralContainers").for_each(container);
    each(spec, "/volumes").for_each(volume);
}

/// The old name of the field is still written, because old clients read it.
fn mirror_service_account(spec: &mut Value) {
    for (from, to) in [("serviceAccountName", "serviceAccount"), ("serviceAccount", "serviceAccountName")] {
        if let Some(name) = spec.get(from).filter(|name| !name.is_null()).cloned() {
            fill(spec, to, name);
        }
    }
}

/// On the machine's own network, ports are the machine's. Templates leave it to their pods.
pub(crate) fn host_ports(spec: &mut Value) {
    if !flag(spec, "/hostNetwork") {
        return;
    }
    for list in ["/containers", "/initContainers"] {
        for container in each(spec, list) {
            for port in each(container, "/ports") {
                let number = port["containerPort"].clone();
                fill(port, "hostPort", number);
            }
        }
    }
}

fn container(container: &mut Value) {
    fill(container, "imagePullPolicy", pull_policy(text(container, "/image")));
    fill_at(
        container,
        "",
        json!({
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "resources": {},
        }),
    );
    each(container, "/ports").for_each(|port| fill(port, "protocol", "TCP"));
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        container.get_mut(name).into_iter().for_each(probe);
    }
    for hook in ["/lifecycle/postStart", "/lifecycle/preStop"] {
        container.pointer_mut(hook).into_iter().for_each(http_get);
    }
    for variable in each(container, "/env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            fill(field, "apiVersion", "v1");
        }
        if let Some(resource) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
            fill(resource, "divisor", "0");
        }
    }
}

/// `latest` moves, so it is always asked for again.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or(image);
    let (pinned, tag) = (name.contains('@'), name.split_once(':').map_or("latest", |(_, tag)| tag));
    if !pinned && tag == "latest" { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut Value) {
    let timing =
        json!({ "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3 });
    for (key, value) in entries(&timing, "") {
        // Zero is how typed clients write "not set".
        if number(probe, &format!("/{key}")) == 0 {
            probe[key.as_str()] = value.clone();
        }
    }
    http_get(probe);
    if let Some(grpc) = probe.get_mut("grpc") {
        fill(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet") {
        fill(get, "path", "/");
        fill(get, "scheme", "HTTP");
    }
}

fn volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|fields| fields.keys().all(|key| key == "name")) {
        fill(volume, "emptyDir", json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source) {
            fill(source, "defaultMode", DEFAULT_MODE);
        }
    }
    each(volume, "/downwardAPI/items").for_each(field_version);
    for source in each(volume, "/projected/sources") {
        each(source, "/downwardAPI/items").for_each(field_version);
        if let Some(token) = source.get_mut("serviceAccountToken") {
            fill(token, "expirationSeconds", 3600);
        }
    }
    if let Some(image) = volume.get_mut("image") {
        let policy = pull_policy(text(image, "/reference"));
        fill(image, "pullPolicy", policy);
    }
    if let Some(path) = volume.get_mut("hostPath") {
        fill(path, "type", "");
    }
    if let Some(template) = volume.pointer_mut("/ephemeral/volumeClaimTemplate") {
        fill(template, "metadata", json!({}));
    }
    if let Some(claim) = volume.pointer_mut("/ephemeral/volumeClaimTemplate/spec") {
        fill(claim, "volumeMode", "Filesystem");
    }
}

fn field_version(item: &mut Value) {
    if let Some(field) = item.get_mut("fieldRef") {
        fill(field, "apiVersion", "v1");
    }
    if let Some(resource) = item.get_mut("resourceFieldRef") {
        fill(resource, "divisor", "0");
    }
}

/// A pod (not a template) that names limits only requests as much.
pub(crate) fn requests_from_limits(spec: &mut Value) {
    for list in ["/containers", "/initContainers"] {
        for container in each(spec, list) {
            let Some(limits) = container.pointer("/resources/limits").cloned() else { continue };
            fill_at(container, "/resources/requests", limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mut spec: Value, expect: Value) {
        pod_spec(&mut spec);
        for (pointer, value) in entries(&expect, "") {
            assert_eq!(spec.pointer(pointer).unwrap_or(&Value::Null), value, "{pointer} in {spec:#}");
        }
        let once = spec.clone();
        pod_spec(&mut spec);
        assert_eq!(spec, once, "defaulting again changes nothing");
    }

    #[test]
    fn a_bare_container_gets_what_a_cluster_writes() {
        check(
            json!({"containers": [{"name": "a", "image": "nginx", "ports": [{"containerPort": 80}]}]}),
            json!({
                "/restartPolicy": "Always", "/dnsPolicy": "ClusterFirst", "/schedulerName": "default-scheduler",
                "/securityContext": {}, "/terminationGracePeriodSeconds": 30,
                "/containers/0/imagePullPolicy": "Always", "/containers/0/resources": {},
                "/containers/0/terminationMessagePath": "/dev/termination-log",
                "/containers/0/terminationMessagePolicy": "File", "/containers/0/ports/0/protocol": "TCP",
            }),
        );
    }

    #[test]
    fn only_an_unpinned_latest_is_pulled_always() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("host:5000/nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.29", "IfNotPresent"),
            ("host:5000/a/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            check(
                json!({"containers": [{"image": image}]}),
                json!({ "/containers/0/imagePullPolicy": policy }),
            );
        }
    }

    #[test]
    fn probes_and_volumes_are_completed() {
        check(
            json!({
                "containers": [{"image": "a:1", "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 2}}],
                "volumes": [{"name": "a"}, {"name": "b", "secret": {"secretName": "s"}}, {"name": "c", "hostPath": {"path": "/x"}}],
            }),
            json!({
                "/containers/0/readinessProbe/httpGet/path": "/", "/containers/0/readinessProbe/httpGet/scheme": "HTTP",
                "/containers/0/readinessProbe/periodSeconds": 2, "/containers/0/readinessProbe/failureThreshold": 3,
                "/volumes/0/emptyDir": {}, "/volumes/1/secret/defaultMode": 420, "/volumes/2/hostPath/type": "",
            }),
        );
    }

    #[test]
    fn both_names_of_the_service_account_are_written() {
        check(json!({"serviceAccountName": "bot"}), json!({ "/serviceAccount": "bot" }));
    }
}
