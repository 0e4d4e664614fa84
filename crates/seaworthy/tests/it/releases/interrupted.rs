//! Operations that are killed or broken off, at every stage: the next one takes over, whoever began.

use k8s_openapi::api::coordination::v1::Lease;
use rustix::process::{Pid, Signal, kill_process};

use super::port::{Port, web};

const INTERRUPTED: i32 = 130;

/// A chart whose upgrade takes long enough to be killed in: before, in the middle, and after.
fn slow(port: &Port) {
    let mut files = super::port::WEB.to_vec();
    let hook = |event: &str| {
        format!(
            "{{{{- if eq .Values.slow \"{event}\" }}}}\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {{{{ .Release.Name }}}}-slow\n  annotations:\n    helm.sh/hook: {event}\nspec:\n  template:\n    metadata: {{annotations: {{conformance/never-ready: \"\", conformance/ends: Running}}}}\n    spec:\n      restartPolicy: Never\n      containers:\n      - {{name: s, image: example/slow}}\n{{{{- end }}}}\n"
        )
    };
    let (pre, post) = (hook("pre-upgrade"), hook("post-upgrade"));
    files.push(("templates/pre.yaml", &pre));
    files.push(("templates/post.yaml", &post));
    port.chart("slow", &format!("{}slow: none\n", super::port::WEB_VALUES), &files);
}

/// Lines of an upgrade that hangs at a stage.
const STAGES: [&str; 3] = [
    "--set slow=pre-upgrade",
    "--set annotations.conformance/never-ready=yes --wait",
    "--set slow=post-upgrade",
];

#[test]
fn ours_that_was_killed_is_taken_over_at_every_stage() {
    let Some(port) = Port::beside_helm() else { return };
    slow(&port);
    port.ours("install cut ./slow --wait --timeout 60s").ok();
    for stage in STAGES {
        let newest = port.revisions("cut").len() as u64;
        let running = port.start(&format!("upgrade cut ./slow --set colour=cut {stage} --timeout 100s"));
        crate::program::until("the upgrade is under way", || {
            let revisions = port.revisions("cut");
            let hangs = revisions
                .last()
                .is_some_and(|(number, status)| *number > newest && status == "pending-upgrade");
            hangs.then_some(()).ok_or_else(|| format!("{revisions:?}"))
        });
        drop(running);
        let told = port.ours("upgrade cut ./slow --set colour=green --wait --timeout 60s");
        assert!(told.err.contains("was interrupted; taking over"), "{stage}: {told}");
        told.ok();
        assert_eq!(port.setting("cut-settings", "colour").unwrap(), "green");
        assert_eq!(port.revisions("cut").last().unwrap().1, "deployed");
    }
    port.helm("upgrade cut ./slow --wait --timeout 60s").ok();
}

#[test]
fn an_install_that_was_killed_is_installed_by_the_same_line_again() {
    let port = Port::open();
    slow(&port);
    let running = port
        .start("install again ./slow --set annotations.conformance/never-ready=yes --wait --timeout 100s");
    running.until_it_says("release");
    drop(running);
    port.ours("install again ./slow --wait --timeout 60s").ok();
    port.check_revisions("again", &[(1, "failed"), (2, "deployed")]);
}

#[test]
fn a_helm_that_was_killed_blocks_helm_but_not_us() {
    let Some(port) = Port::beside_helm() else { return };
    slow(&port);
    port.helm("install blocked ./slow --wait --timeout 60s").ok();
    let running = port.start_helm("upgrade blocked ./slow --set slow=pre-upgrade --timeout 100s");
    crate::program::until("helm is under way", || {
        let revisions = port.revisions("blocked");
        (revisions.len() == 2).then_some(()).ok_or_else(|| format!("{revisions:?}"))
    });
    let told = port.ours("upgrade blocked ./slow").fails(6);
    assert!(told.contains("helm (process"), "a live one is left alone: {told}");
    drop(running);
    let helms = port.helm("upgrade blocked ./slow --timeout 10s").fails(1);
    assert!(helms.contains("another operation"), "{helms}");
    port.ours("upgrade blocked ./slow --wait --timeout 60s").ok();
    port.check_revisions("blocked", &[(1, "superseded"), (2, "failed"), (3, "deployed")]);
    port.helm("upgrade blocked ./slow --timeout 10s").ok();
}

#[test]
fn a_live_operation_is_not_disturbed() {
    let port = Port::open();
    web(&port);
    port.ours("install alive ./web --wait --timeout 60s").ok();
    let running =
        port.start("upgrade alive ./web --set annotations.conformance/never-ready=yes --wait --timeout 100s");
    running.until_it_says("release");
    let told = port.ours("upgrade alive ./web").fails(6);
    assert!(told.contains("is working on release `alive` right now"), "{told}");
}

#[test]
fn an_uninstall_that_failed_halfway_goes_on() {
    let port = Port::open();
    web(&port);
    let hook = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-bye\n  annotations:\n    helm.sh/hook: pre-delete\n    conformance/ends: {{ .Values.ends }}\nspec:\n  restartPolicy: Never\n  containers:\n  - {name: b, image: example/bye}\n";
    port.chart("leaving", "ends: Failed\n", &[("templates/hook.yaml", hook)]);
    port.ours("install leaving2 ./leaving").ok();
    port.ours("uninstall leaving2 --timeout 20s").fails(6);
    port.check_revisions("leaving2", &[(1, "uninstalling")]);
    port.ours("uninstall leaving2 --no-hooks").ok();
    assert_eq!(port.ours("list --short").ok(), "");
}

/// Breaks `line` off once `cut` stands so; then nothing is pending, nobody is locked out, and Helm goes on.
#[track_caller]
fn break_off(port: &Port, line: &str, under_way: (u64, &str), signal: Signal, after: (u64, &str)) {
    let running = port.start(&format!("{line} --timeout 100s"));
    crate::program::until("it is under way", || {
        // An install has no history at first.
        let known = port.ours("list --short").ok().contains("cut");
        let revisions = if known { port.revisions("cut") } else { Vec::new() };
        let is_there = |(number, status): &(u64, String)| (*number, status.as_str()) == under_way;
        revisions.last().is_some_and(is_there).then_some(()).ok_or_else(|| format!("{revisions:?}"))
    });
    kill_process(Pid::from_raw(running.pid().cast_signed()).unwrap(), signal).unwrap();
    let said = running.wait().fails(INTERRUPTED);
    assert!(said.contains("interrupted"), "{said}");
    let revisions = port.revisions("cut");
    let newest = revisions.last().map(|(number, status)| (*number, status.as_str()));
    assert_eq!(newest, Some(after), "{line}: {revisions:?}");
    assert!(port.get::<Lease>("seaworthy-release-cut").is_none(), "{line}: it is still locked");
}

#[test]
fn what_is_broken_off_is_recorded_as_failed_and_helm_goes_on() {
    let Some(port) = Port::beside_helm() else { return };
    slow(&port);
    let stuck = "--set annotations.conformance/never-ready=yes --wait";
    let install = format!("install cut ./slow {stuck}");
    break_off(&port, &install, (1, "pending-install"), Signal::INT, (1, "failed"));
    assert!(port.ours("history cut").ok().contains("Interrupted"));
    // Without new values those of the interrupted revision would be used again.
    let healthy = "upgrade --install cut ./slow --reset-values --wait --timeout 60s";
    port.helm(healthy).ok();
    let upgrade = format!("upgrade cut ./slow {stuck}");
    break_off(&port, &upgrade, (3, "pending-upgrade"), Signal::TERM, (3, "failed"));
    port.helm(healthy).ok();
    // Revision 3 never becomes ready, so going back to it hangs.
    break_off(&port, "rollback cut 3 --wait", (5, "pending-rollback"), Signal::INT, (5, "failed"));
    port.helm("rollback cut 4 --wait --timeout 60s").ok();
    // Helm says `superseded` of whatever its upgrade began from.
    port.check_revisions(
        "cut",
        &[
            (1, "superseded"),
            (2, "superseded"),
            (3, "failed"),
            (4, "superseded"),
            (5, "failed"),
            (6, "deployed"),
        ],
    );
}

#[test]
fn an_uninstall_that_is_broken_off_goes_on_with_either_program() {
    let Some(port) = Port::beside_helm() else { return };
    let hook = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {{ .Release.Name }}-bye\n  annotations:\n    helm.sh/hook: pre-delete\nspec:\n  template:\n    metadata: {annotations: {conformance/never-ready: \"\", conformance/ends: Running}}\n    spec:\n      restartPolicy: Never\n      containers:\n      - {name: b, image: example/bye}\n";
    port.chart("leaving", "", &[("templates/hook.yaml", hook)]);
    for helms in [true, false] {
        port.ours("install cut ./leaving").ok();
        break_off(&port, "uninstall cut", (1, "uninstalling"), Signal::INT, (1, "failed"));
        let line = "uninstall cut --no-hooks";
        if helms {
            port.helm(line).ok()
        } else {
            port.ours(line).ok()
        };
        assert_eq!(port.ours("list --short").ok(), "");
    }
}
