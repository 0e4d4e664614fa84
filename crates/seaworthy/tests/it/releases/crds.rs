//! Definitions of a chart's `crds/`: created, shown, changed on request, and never deleted with their objects.

use super::port::Port;

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: moorings.example.com\nspec:\n  group: example.com\n  scope: Namespaced\n  names: {plural: moorings, singular: mooring, kind: Mooring}\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          berths: {type: integer}\n";

fn chart(port: &Port) {
    let mooring =
        "apiVersion: example.com/v1\nkind: Mooring\nmetadata: {name: {{ .Release.Name }}}\nberths: 2\n";
    port.chart("pier", "", &[("crds/mooring.yaml", CRD), ("templates/mooring.yaml", mooring)]);
}

#[test]
fn they_are_created_and_changed_only_when_asked() {
    let Some(port) = Port::beside_helm() else { return };
    chart(&port);
    port.ours("install shop ./pier --wait --timeout 60s").ok();
    let changed =
        CRD.replace("berths: {type: integer}", "berths: {type: integer}\n          depth: {type: integer}");
    port.write("pier/crds/mooring.yaml", &changed);
    let helms = port.helm("upgrade shop ./pier").ok();
    assert!(!helms.contains("moorings.example.com"), "Helm says nothing of it: {helms}");
    let told = port.ours("upgrade shop ./pier");
    assert!(
        told.err.contains("differs from the chart's `crds/`") && told.err.contains("--crds=apply"),
        "{told}"
    );
    told.ok();
    let shown = port.ours("diff shop ./pier --crds=apply").ok();
    assert!(shown.contains("+") && shown.contains("depth:"), "{shown}");
    let told = port.ours("upgrade shop ./pier --crds=apply");
    assert!(told.err.contains("moorings.example.com brought up to date"), "{told}");
    told.ok();
    assert!(!port.ours("upgrade shop ./pier").err.contains("differs"), "now it is the chart's");
    port.ours("uninstall shop --wait").ok();
    port.ours("install again ./pier").ok();
}

#[test]
fn a_rollback_never_deletes_one_that_has_objects() {
    let Some(port) = Port::beside_helm() else { return };
    port.chart(
        "plain",
        "",
        &[("templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n")],
    );
    let other = CRD.replace("mooring", "anchor").replace("Mooring", "Anchor");
    port.chart("defining", "", &[("templates/crd.yaml", CRD)]);
    port.chart("defining2", "", &[("templates/crd.yaml", &other)]);
    let object = |kind: &str| format!("apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{name: mine}}\n");
    port.chart("mine", "", &[("templates/a.yaml", &object("Mooring"))]);
    port.chart("mine2", "", &[("templates/a.yaml", &object("Anchor"))]);

    port.ours("install theirs ./plain").ok();
    port.ours("upgrade theirs ./defining2 --wait --timeout 60s").ok();
    port.ours("install anchored ./mine2").ok();
    port.helm("rollback theirs 1").ok();
    port.ours("get manifest anchored").ok();
    assert!(port.ours("status anchored").ok().contains("missing"), "Helm's rollback took the object with it");

    port.ours("install shop ./plain").ok();
    port.ours("upgrade shop ./defining --wait --timeout 60s").ok();
    port.ours("install moored ./mine").ok();
    let told = port.ours("rollback shop 1");
    assert!(told.err.contains("1 objects of its kind exist"), "{told}");
    told.ok();
    assert!(port.ours("status moored").ok().contains("Mooring/mine   ready"));
}
