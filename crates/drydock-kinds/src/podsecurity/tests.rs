//! Pods, and what each level of Pod Security says about them.

use serde_json::json;

use super::*;

/// Judges a pod with this specification by a grade such as `restricted:v1.30`.
#[track_caller]
fn check(grade: &str, spec: Value, expect: &str) {
    let (level, version) = grade.split_once(':').unwrap();
    let grade = Grade { level: Level::parse(level).unwrap(), version: Version::parse(version).unwrap() };
    assert_eq!(details(&grade.judge(&json!({}), &spec)), expect, "{spec}");
}

fn hardened() -> Value {
    json!({ "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] })
}

#[test]
fn a_plain_pod_is_baseline_and_not_restricted() {
    let plain = || json!({ "containers": [{ "name": "a" }, { "name": "b" }] });
    check("privileged:latest", plain(), "");
    check("baseline:latest", plain(), "");
    check(
        "restricted:latest",
        plain(),
        "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or containers \"a\", \"b\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or containers \"a\", \"b\" must set securityContext.seccompProfile.type to \
         \"RuntimeDefault\" or \"Localhost\")",
    );
    check("restricted:latest", hardened(), "");
}

#[test]
fn what_the_host_shares_is_named() {
    check(
        "baseline:latest",
        json!({ "hostNetwork": true, "hostPID": true }),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
    let ports = json!({ "containers": [{ "name": "a", "ports": [{ "hostPort": 9 }, { "hostPort": 80 }] }] });
    check("baseline:latest", ports, "hostPort (container \"a\" uses hostPorts 80, 9)");
    let volumes = json!({ "volumes": [{ "name": "v", "hostPath": { "path": "/" } }] });
    check("baseline:latest", volumes.clone(), "hostPath volumes (volume \"v\")");
    check(
        "restricted:latest",
        volumes,
        "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")",
    );
}

#[test]
fn what_a_container_asks_for_is_named() {
    let container =
        |context: Value| json!({ "initContainers": [{ "name": "a", "securityContext": context }] });
    check(
        "baseline:latest",
        container(json!({ "privileged": true })),
        "privileged (container \"a\" must not set securityContext.privileged=true)",
    );
    check(
        "baseline:latest",
        container(json!({ "capabilities": { "add": ["SYS_ADMIN", "NET_RAW", "CHOWN"] } })),
        "non-default capabilities (container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in securityContext.capabilities.add)",
    );
    check(
        "baseline:latest",
        container(json!({ "seccompProfile": { "type": "Unconfined" }, "procMount": "Unmasked" })),
        "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\"), \
         seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    check(
        "baseline:latest",
        container(json!({ "seLinuxOptions": { "type": "spc_t", "user": "u" } })),
        "seLinuxOptions (container \"a\" set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
    );
}

#[test]
fn rules_are_those_of_the_version() {
    let probe =
        json!({ "containers": [{ "name": "a", "livenessProbe": { "httpGet": { "host": "10.0.0.1" } } }] });
    check("baseline:v1.33", probe.clone(), "");
    check(
        "baseline:v1.34",
        probe,
        "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"10.0.0.1\")",
    );
    let tuned = json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.tcp_rmem" }] } });
    check("baseline:v1.31", tuned.clone(), "forbidden sysctls (net.ipv4.tcp_rmem)");
    check("baseline:v1.99", tuned, "");
    let mut root = hardened();
    root["securityContext"]["runAsUser"] = 0.into();
    check("restricted:v1.22", root.clone(), "");
    check("restricted:v1.23", root.clone(), "runAsUser=0 (pod must not set runAsUser=0)");
    root["hostUsers"] = false.into();
    check("restricted:latest", root, "");
}

#[track_caller]
fn check_labels(labels: Value, expect: &str) {
    let named =
        labels.as_object().unwrap().iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone()));
    let (policy, errors) = Policy::of(&Value::Object(named.collect()));
    let errors: String = errors.iter().map(|error| format!("; {error}")).collect();
    assert_eq!(format!("{} {} {}{errors}", policy.enforce, policy.audit, policy.warn), expect);
}

#[test]
fn labels_say_what_is_enforced_audited_and_warned_about() {
    check_labels(json!({}), "privileged:latest privileged:latest privileged:latest");
    check_labels(
        json!({ "enforce": "baseline", "enforce-version": "v1.30" }),
        "baseline:v1.30 privileged:latest baseline:v1.30",
    );
    check_labels(
        json!({ "enforce": "baseline", "warn": "privileged" }),
        "baseline:latest privileged:latest privileged:latest",
    );
    check_labels(json!({ "audit": "restricted" }), "privileged:latest restricted:latest privileged:latest");
}

#[test]
fn labels_that_mean_nothing_are_enforced_strictly_and_named() {
    check_labels(
        json!({ "enforce": "strict", "warn-version": "1.30" }),
        "restricted:latest privileged:latest privileged:latest; \
         metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted; \
         metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"1.30\": must be \"latest\" or \"v1.x\"",
    );
}
