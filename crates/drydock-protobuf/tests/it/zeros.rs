//! Zeros that mean something and zeros that do not: the trap of this format.

use drydock_protobuf::{decode, encode};
use serde_json::{Value, json};

/// Encodes and decodes an object; `expect` is what a Go client's JSON would hold, besides what was given.
#[track_caller]
fn check(object: Value, expect: Value) {
    let bytes = encode(&object).unwrap();
    let found = decode(&bytes, None).unwrap();
    assert_eq!(found, expect);
    assert_eq!(encode(&found).unwrap(), bytes, "a second round changes the bytes");
}

#[test]
fn a_zero_behind_a_pointer_survives_and_a_plain_one_vanishes() {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" },
        "spec": {
            "replicas": 0, "revisionHistoryLimit": 0, "minReadySeconds": 0, "paused": false,
            "selector": {}, "strategy": {}, "template": { "metadata": {}, "spec": { "containers": null } },
        },
        "status": {},
    });
    let expect = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "a" },
        "spec": {
            "replicas": 0, "revisionHistoryLimit": 0,
            "selector": {}, "strategy": {}, "template": { "metadata": {}, "spec": { "containers": null } },
        },
        "status": {},
    });
    check(object, expect);
}

#[test]
fn pointers_to_false_and_to_empty_text_survive() {
    let spec = json!({
        "containers": [{
            "name": "c", "resources": {},
            "securityContext": { "runAsUser": 0, "privileged": false, "runAsNonRoot": false },
            "livenessProbe": { "httpGet": { "port": 0 }, "terminationGracePeriodSeconds": 0 },
        }],
        "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0, "enableServiceLinks": false,
    });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": spec, "status": {} });
    check(pod.clone(), pod);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {},
        "spec": { "storageClassName": "", "resources": {} }, "status": {},
    });
    check(claim.clone(), claim);
}

#[test]
fn what_go_always_writes_is_written() {
    let webhook = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {},
        "spec": { "containers": [{ "name": "c" }] },
    });
    let expect = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {},
        "spec": { "containers": [{ "name": "c", "resources": {} }] }, "status": {},
    });
    check(webhook, expect);
}

#[test]
fn binary_and_empty_data_survive() {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "type": "Opaque",
        "data": { "a": "AP+A", "empty": "" }, "immutable": false,
    });
    check(secret.clone(), secret);
}

#[test]
fn negative_numbers_quantities_and_ports_of_both_kinds_survive() {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "generation": -1 },
        "spec": { "ports": [
            { "port": 80, "targetPort": "http" }, { "port": -80, "targetPort": 0 },
        ] },
        "status": { "loadBalancer": {} },
    });
    check(service.clone(), service);
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {},
        "spec": { "hard": { "cpu": "100m", "pods": "0" } }, "status": {},
    });
    check(quota.clone(), quota);
}

#[test]
fn options_keep_a_grace_period_of_zero() {
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Foreground",
        "preconditions": { "uid": "u" },
    });
    check(options.clone(), options);
}

#[test]
fn schemas_keep_their_unions() {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {},
        "spec": {
            "group": "g", "names": { "plural": "p", "kind": "K" }, "scope": "Namespaced",
            "versions": [{ "name": "v1", "served": true, "storage": false, "schema": { "openAPIV3Schema": {
                "type": "object", "default": { "a": [1, null, "x"] },
                "additionalProperties": { "type": "string" },
                "properties": {
                    "closed": { "additionalProperties": false },
                    "open": { "additionalProperties": true },
                    "list": { "items": { "type": "string" }, "additionalItems": false },
                    "tuple": { "items": [{ "type": "string" }, { "type": "integer", "minimum": 0.0 }] },
                },
                "dependencies": { "a": ["b"], "c": { "type": "object" } },
                "enum": [1, "a", null],
            } } }],
        },
        "status": { "conditions": null, "acceptedNames": { "plural": "", "kind": "" }, "storedVersions": null },
    });
    check(definition.clone(), definition);
}

#[test]
fn lists_say_their_kind_once() {
    let list = json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "7" },
        "items": [{ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "k": "v" } }],
    });
    let expect = json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "resourceVersion": "7" },
        "items": [{ "metadata": { "name": "a" }, "data": { "k": "v" } }],
    });
    check(list, expect);
}

#[test]
fn an_envelope_without_a_kind_takes_the_expected_one() {
    // An empty message in an envelope that says nothing.
    let found = decode(b"k8s\0\x12\0", Some(("v1", "ConfigMap"))).unwrap();
    assert_eq!(found, json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} }));
    assert!(decode(b"k8s\0\x12\0", None).is_err());
}
