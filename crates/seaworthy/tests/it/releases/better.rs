//! Where Helm hurts: each test shows what it does, and what we do.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, ResourceQuota};
use serde_json::json;

use super::port::{Port, web};

#[test]
fn a_wait_names_what_is_not_ready_and_why_and_where_it_came_from() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.write(
        "stuck.yaml",
        "annotations: {conformance/never-ready: \"\", conformance/log: cannot reach the database}\n",
    );
    let helms = port.helm("install theirs ./web -f stuck.yaml --set app=theirs --wait --timeout 5s").fails(1);
    assert!(!helms.contains("web.yaml") && !helms.contains("database"), "{helms}");
    let ours = port.ours("install shop ./web -f stuck.yaml --wait --timeout 5s").fails(6);
    for part in [
        "Deployment/shop (web/templates/web.yaml:3)",
        "0 of 2 ready",
        "pod shop-",
        "log | cannot reach the database",
    ] {
        assert!(ours.contains(part), "{part} is missing in\n{ours}");
    }
}

#[test]
fn a_failed_hook_says_so_in_its_own_words() {
    let Some(port) = Port::beside_helm() else { return };
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-migrate\n  annotations:\n    helm.sh/hook: pre-install\n    helm.sh/hook-delete-policy: hook-failed\n    conformance/ends: Failed\n    conformance/log: no such table\nspec:\n  restartPolicy: Never\n  containers:\n  - {name: m, image: example/migrate}\n";
    port.chart("hooked", "", &[("templates/hook.yaml", hook)]);
    let helms = port.helm("install theirs ./hooked --timeout 20s").fails(1);
    assert!(!helms.contains("no such table"), "{helms}");
    let ours = port.ours("install shop ./hooked --timeout 20s").fails(6);
    assert!(
        ours.contains("pre-install hook Pod/shop-migrate") && ours.contains("log | no such table"),
        "{ours}"
    );
    assert!(port.get::<k8s_openapi::api::core::v1::Pod>("shop-migrate").is_none(), "its policy deletes it");
    assert!(port.helm("list").ok().contains("failed"));
}

#[test]
fn an_upgrade_leaves_replicas_to_the_autoscaler() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    for name in ["theirs", "shop"] {
        port.ours(&format!("install {name} ./web --set app={name} --server-side=false")).ok();
        port.create::<HorizontalPodAutoscaler>(
            json!({ "metadata": { "name": name }, "spec": { "minReplicas": 1, "maxReplicas": 9,
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name } } }),
        );
        port.scale(name, 5);
    }
    let replicas = |name: &str| port.get::<Deployment>(name).unwrap().spec.unwrap().replicas;
    port.helm("upgrade theirs ./web --set app=theirs --set tag=2").ok();
    assert_eq!(replicas("theirs"), Some(2), "Helm resets what the autoscaler decided");
    let told = port.ours("upgrade shop ./web --set app=shop --set tag=2");
    assert!(told.err.contains("keeps its 5 replicas"), "{told}");
    told.ok();
    assert_eq!(replicas("shop"), Some(5));
    port.ours("upgrade shop ./web --set app=shop --set tag=3 --server-side=true").ok();
    assert_eq!(replicas("shop"), Some(5));
}

#[test]
fn immutable_fields_are_found_before_anything_changes() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.ours("install theirs ./web --set app=theirs").ok();
    port.helm("upgrade theirs ./web --set app=other --set colour=red").fails(1);
    assert_eq!(
        port.setting("theirs-settings", "colour").unwrap(),
        "red",
        "Helm had changed half of it by then"
    );
    port.ours("install shop ./web").ok();
    let told = port.ours("upgrade shop ./web --set app=other --set colour=red").fails(6);
    assert!(
        told.contains("Deployment/shop (web/templates/web.yaml:3): changes what cannot be changed"),
        "{told}"
    );
    assert!(told.contains("--recreate"), "{told}");
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "blue");
    port.check_revisions("shop", &[(1, "deployed")]);
    port.ours("upgrade shop ./web --set app=other --recreate --wait --timeout 60s").ok();
    let labels = port.get::<Deployment>("shop").unwrap().spec.unwrap().selector.match_labels.unwrap();
    assert_eq!(labels["app"], "other");
}

#[test]
fn what_another_release_owns_is_named_with_its_owner() {
    let port = Port::open();
    web(&port);
    port.create::<ConfigMap>(
        json!({ "metadata": { "name": "shop-settings" }, "data": { "colour": "mine" } }),
    );
    let told = port.ours("install shop ./web").fails(6);
    assert!(told.contains("ConfigMap/shop-settings") && told.contains("nobody we know"), "{told}");
    assert_eq!(port.ours("list --short").ok(), "", "nothing was recorded");
    port.ours("install shop ./web --take-ownership --force-conflicts").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "blue");
}

#[test]
fn missing_kinds_quotas_and_room_are_found_beforehand() {
    let port = Port::open();
    web(&port);
    let greedy = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: greedy}\nspec:\n  replicas: 3\n  selector: {matchLabels: {app: g}}\n  template:\n    metadata: {labels: {app: g}}\n    spec:\n      containers:\n      - {name: g, image: example/g, resources: {requests: {cpu: \"1000\"}}}\n";
    let odd = "{{- if .Values.odd }}\napiVersion: example.com/v1\nkind: Mooring\nmetadata: {name: odd}\n{{- end }}\n";
    port.chart("greedy", "odd: false\n", &[("templates/greedy.yaml", greedy), ("templates/odd.yaml", odd)]);
    port.create::<ResourceQuota>(
        json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "2" } } }),
    );
    let told = port.ours("install shop ./greedy --dry-run=server");
    assert!(told.err.contains("a pod asks for 1000 of `cpu`, and the largest node has 64"), "{told}");
    assert!(told.err.contains("quota `few` has 2 left"), "{told}");
    let told = port.ours("install shop ./greedy --set odd=true").fails(6);
    assert!(
        told.contains("no kind `Mooring` in `example.com/v1`") && told.contains("templates/odd.yaml:3"),
        "{told}"
    );
}

#[test]
fn everything_that_belongs_to_others_is_told_at_once_and_where_it_comes_from() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    for name in ["theirs", "shop"] {
        port.ours(&format!("install {name}-owner ./web --set app={name}")).ok();
    }
    let taken = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-owner-settings\n";
    let also = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: kube-root-ca.crt\n";
    port.chart("thief", "", &[("templates/taken.yaml", taken), ("templates/also.yaml", also)]);
    let helms = port.helm("install theirs ./thief").fails(1);
    let both = |said: &str| said.contains("-owner-settings") && said.contains("kube-root-ca.crt");
    assert!(!both(&helms) && !helms.contains("taken.yaml"), "{helms}");
    let ours = port.ours("install shop ./thief").fails(6);
    assert!(both(&ours) && ours.contains("thief/templates/taken.yaml:2"), "{ours}");
    assert!(ours.contains("shop-owner"), "the owner is named: {ours}");
}

#[test]
fn what_a_quota_will_refuse_is_told_before_pods_are_missing() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.create::<ResourceQuota>(
        json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "1" } } }),
    );
    let helms = port.helm("install theirs ./web --set app=theirs");
    assert!(!helms.err.contains("few") && !helms.out.contains("few"), "{helms}");
    helms.ok();
    port.helm("uninstall theirs --wait --timeout 30s").ok();
    let ours = port.ours("install shop ./web");
    assert!(ours.err.contains("quota `few`"), "{ours}");
}

#[test]
fn a_misspelt_value_is_told_with_what_was_meant() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    let helms = port.helm("install theirs ./web --set replcas=3 --dry-run=client");
    assert!(!helms.err.contains("replcas"), "{helms}");
    helms.ok();
    let ours = port.ours("install shop ./web --set replcas=3 --dry-run=client");
    assert!(ours.err.contains("`replcas`") && ours.err.contains("did you mean `replicas`?"), "{ours}");
    ours.ok();
}

#[test]
fn a_difference_is_readable_and_hides_secrets() {
    let port = Port::open();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}-secret}\nstringData:\n  token: {{ .Values.colour }}-hush\n";
    let mut files = super::port::WEB.to_vec();
    files.push(("templates/secret.yaml", secret));
    port.chart("web", super::port::WEB_VALUES, &files);
    port.ours("install shop ./web --wait --timeout 60s").ok();
    assert_eq!(
        port.ours("diff shop ./web").ok().lines().filter(|line| line.starts_with("~ Deployment")).count(),
        0
    );
    let told = port.ours("diff shop ./web --set replicas=3,colour=red --exit-code");
    assert_eq!(told.code, Some(7), "{told}");
    for part in [
        "~ Deployment/shop (web/templates/web.yaml:3)",
        "-   replicas: 2",
        "+   replicas: 3",
        "(hidden, new)",
    ] {
        assert!(told.out.contains(part), "{part} is missing in\n{told}");
    }
    assert!(!told.out.contains("hush") && !told.out.contains("aHVzaA"), "{told}");
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "blue", "nothing was changed");
}
