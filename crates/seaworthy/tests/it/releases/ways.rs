//! The ways an operation can go: flags with Helm's meaning.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::Api;

use super::port::{Port, web};

#[test]
fn a_failed_upgrade_goes_back_when_asked_and_stays_when_not() {
    let port = Port::open();
    web(&port);
    port.ours("install shop ./web --wait --timeout 60s").ok();
    let stuck =
        "upgrade shop ./web --set colour=red --set annotations.conformance/never-ready=yes --timeout 4s";
    port.ours(&format!("{stuck} --rollback-on-failure")).fails(6);
    port.check_revisions("shop", &[(1, "superseded"), (2, "failed"), (3, "deployed")]);
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "blue");
    port.ours(&format!("{stuck} --wait")).fails(6);
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "red");
    port.ours("rollback shop --wait --timeout 60s").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "blue", "the last good one");
}

#[test]
fn a_failed_upgrade_removes_what_it_created_when_asked() {
    let port = Port::open();
    web(&port);
    port.chart(
        "small",
        "",
        &[("templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")],
    );
    port.ours("install shop ./small").ok();
    let stuck = "upgrade shop ./web --set annotations.conformance/never-ready=yes --wait --timeout 4s";
    port.ours(&format!("{stuck} --cleanup-on-fail")).fails(6);
    assert!(port.get::<Deployment>("shop").is_none());
}

#[test]
fn values_are_reused_as_asked() {
    let port = Port::open();
    web(&port);
    port.ours("install shop ./web --set colour=red").ok();
    let colour = |line: &str| {
        port.ours(&format!("upgrade shop ./web {line}")).ok();
        port.setting("shop-settings", "colour").unwrap()
    };
    assert_eq!(colour(""), "red", "nothing given: as before");
    assert_eq!(colour("--set tag=2"), "blue", "something given: only that");
    port.ours("upgrade shop ./web --set colour=green").ok();
    assert_eq!(colour("--reuse-values --set tag=3"), "green");
    assert_eq!(colour("--reset-then-reuse-values --set tag=4"), "green");
    assert_eq!(colour("--reset-values"), "blue");
}

#[test]
fn what_is_to_be_kept_is_kept_and_told() {
    let port = Port::open();
    let kept = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: kept\n  annotations: {helm.sh/resource-policy: keep}\n";
    let gone = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n";
    port.chart("keeping", "", &[("templates/a.yaml", kept), ("templates/b.yaml", gone)]);
    port.ours("install shop ./keeping").ok();
    let told = port.ours("uninstall shop").ok();
    assert!(told.contains("These resources were kept due to the resource policy:\n[Secret] kept"), "{told}");
    assert!(port.get::<Secret>("kept").is_some() && port.get::<ConfigMap>("gone").is_none());
    port.ours("install shop ./keeping").ok();
}

#[test]
fn a_name_is_free_again_after_a_failure_or_an_uninstall() {
    let port = Port::open();
    web(&port);
    port.ours("install shop ./web").ok();
    let told = port.ours("install shop ./web").fails(6);
    assert!(told.contains("the name `shop` is in use") && told.contains("upgrade --install"), "{told}");
    port.ours("uninstall shop --keep-history --description bye").ok();
    assert!(port.ours("history shop").ok().contains("bye"));
    port.ours("upgrade --install shop ./web").ok();
    port.check_revisions("shop", &[(1, "uninstalled"), (2, "deployed")]);
    port.ours("uninstall nothing").fails(6);
    port.ours("uninstall nothing --ignore-not-found").ok();
}

#[test]
fn a_dry_run_changes_nothing() {
    let port = Port::open();
    web(&port);
    let told = port.ours("install shop ./web --dry-run=client").ok();
    assert!(told.contains("kind: Deployment") && told.contains("STATUS: pending-install"), "{told}");
    let told = port.ours("install shop ./web --dry-run=server");
    assert!(told.err.contains("+ Deployment/shop"), "{told}");
    told.ok();
    assert_eq!(port.ours("list --short").ok(), "");
    assert!(port.get::<Deployment>("shop").is_none());
}

#[test]
fn a_namespace_is_made_when_asked() {
    let port = Port::open();
    web(&port);
    let told = port.ours("install shop ./web -n harbour").fails(6);
    assert!(
        told.contains("there is no namespace `harbour`") && told.contains("--create-namespace"),
        "{told}"
    );
    port.ours("install shop ./web -n harbour --create-namespace").ok();
    let made: Api<Namespace> = Api::all(port.client.clone());
    assert!(port.block_on(made.get_opt("harbour")).unwrap().is_some());
    assert!(port.ours("list -A --short").ok().contains("shop"));
}

#[test]
fn another_managers_fields_are_taken_only_by_force() {
    let port = Port::open();
    web(&port);
    port.ours("install shop ./web").ok();
    port.scale("shop", 5);
    let told = port.ours("upgrade shop ./web --set replicas=3").fails(6);
    assert!(told.contains(".spec.replicas") && told.contains("--force-conflicts"), "{told}");
    port.ours("upgrade shop ./web --set replicas=3 --force-conflicts").ok();
    assert_eq!(port.get::<Deployment>("shop").unwrap().spec.unwrap().replicas, Some(3));
}

#[test]
fn a_cluster_that_does_not_answer_is_named() {
    let port = Port::open();
    assert!(port.server().starts_with("https://127.0.0.1:"));
    let config = std::fs::read_to_string(port.folder.path().join("kubeconfig")).unwrap();
    port.write("kubeconfig", &config.replace(port.server(), "https://127.0.0.1:1"));
    let told = port.ours("list").fails(6);
    assert!(told.contains("error: cannot list the stored revisions"), "{told}");
}

/// A chart that looks at its cluster, with a subchart that has notes.
fn curious(port: &Port) {
    let looks = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-seen\ndata:\n  namespace: {{ dig \"metadata\" \"name\" \"nothing\" (lookup \"v1\" \"Namespace\" \"\" \"default\") }}\n  apps: {{ .Capabilities.APIVersions.Has \"apps/v1/Deployment\" | quote }}\n  replicas: {{ .Values.replicas | toJson }}\n";
    let files = [
        ("templates/seen.yaml", looks),
        ("templates/NOTES.txt", "of the chart\n"),
        ("charts/below/Chart.yaml", "apiVersion: v2\nname: below\nversion: 1.0.0\n"),
        ("charts/below/templates/NOTES.txt", "of the subchart\n"),
    ];
    port.chart("curious", "replicas: \"2\"\n", &files);
}

#[test]
fn a_template_may_be_shown_the_cluster_and_checked_by_it() {
    let Some(port) = Port::beside_helm() else { return };
    curious(&port);
    let blind = port.ours("template x ./curious").ok();
    assert!(blind.contains("namespace: nothing"), "{blind}");
    for line in ["template x ./curious --dry-run=server", "template x ./curious --validate"] {
        let seen = port.ours(line).ok();
        assert!(seen.contains("namespace: default") && seen.contains("apps: \"true\""), "{seen}");
        assert_eq!(seen, port.helm(line).ok(), "{line}");
    }
    let wrong = "template x ./curious --dry-run=server --set-json replicas={\"no\":1}";
    let helms = port.helm(wrong);
    assert!(
        !helms.err.contains("x-seen"),
        "Helm asks the server for names, and not for what it thinks: {helms}"
    );
    let told = port.ours(wrong).fails(6);
    assert!(told.contains("ConfigMap/x-seen") && told.contains("curious/templates/seen.yaml"), "{told}");
    assert_eq!(port.ours("list --short").ok(), "", "nothing was recorded");
}

#[test]
fn notes_of_subcharts_are_shown_when_asked() {
    let Some(port) = Port::beside_helm() else { return };
    curious(&port);
    for flag in ["", " --render-subchart-notes"] {
        port.ours(&format!("upgrade --install ours ./curious{flag}")).ok();
        port.helm(&format!("upgrade --install theirs ./curious{flag}")).ok();
        let ours = port.ours("get notes ours").ok();
        assert_eq!(ours, port.helm("get notes ours").ok());
        let lines = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            // Helm's order is that of a map.
            lines.sort();
            lines
        };
        assert_eq!(lines(ours), lines(port.helm("get notes theirs").ok()), "{flag}");
    }
}

#[test]
fn a_template_of_ones_own_prints_a_release() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.ours("install shop ./web --set colour=red --labels team=a").ok();
    for template in [
        "{{.Release.Name}}/{{.Release.Namespace}}@{{.Release.Version}}",
        "{{.Release.Chart.Metadata.Name}}-{{.Release.Chart.Metadata.AppVersion}}",
        "{{.Release.Info.Status}}:{{.Release.Info.Description}}",
        "{{.Release.Config.colour}}{{range.Release.Hooks}}{{.Name}}{{end}}",
        "{{.Release.Manifest}}",
    ] {
        let line = format!("get all shop --template {}", template.replace(' ', ""));
        assert_eq!(port.ours(&line).ok(), port.helm(&line).ok(), "{template}");
    }
    port.ours("get all shop --template {{.Release").fails(3);
}

#[test]
fn flags_go_before_what_the_kubeconfig_says() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.ours("install shop ./web").ok();
    let config = std::fs::read_to_string(port.folder.path().join("kubeconfig")).unwrap();
    port.write("kubeconfig", &config.replace(port.server(), "https://127.0.0.1:1"));
    let there = format!("list --short --kube-apiserver {}", port.server());
    for (flags, works) in [
        ("", true),
        (" --kube-insecure-skip-tls-verify --kube-tls-server-name elsewhere", true),
        (" --kube-tls-server-name elsewhere.example", false),
        (" --kube-as-user nobody", false),
        (" --kube-as-user nobody --kube-as-group system:masters", true),
    ] {
        let line = format!("{there}{flags}");
        let (ours, helms) = (port.ours(&line), port.helm(&line));
        assert_eq!((ours.code == Some(0), helms.code == Some(0)), (works, works), "{ours}\n{helms}");
    }
}
