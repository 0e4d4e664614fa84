//! `kill -9` at every write of every operation: whatever was done by then, the next one goes on from there, and so
//! does Helm, at once or after us.
//!
//! A sample of the writes is tried; `SEAWORTHY_KILL_POINTS=all` tries every write, both before it arrives and after it
//! was done, each healed in both ways.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::ListParams;

use super::gate::{Cut, Gate, Moment};
use super::port::Port;

/// More writes than any operation here makes; an operation that never ends would.
const MAX_WRITES: usize = 60;
/// Of how many writes one is tried in a sample.
const SAMPLED: usize = 4;
/// What Helm may say to a release that was cut off.
const HELMS_REFUSALS: [&str; 4] =
    ["another operation", "has no deployed releases", "cannot reuse a name", "release: not found"];

/// Which program is the first to come after the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Healer {
    Ours,
    Helms,
}

/// An operation that is killed: what comes before it, and its line. `NAME` is the release's.
struct Operation {
    before: &'static [&'static str],
    line: &'static str,
}

const INSTALL: &str = "install NAME ./cut --set colour=red";
const UPGRADE: &str = "upgrade NAME ./cut --set colour=blue,only=second";

/// Objects that stay, come and go, and hooks around all of it.
fn chart(port: &Port) {
    let map = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{{{ .Release.Name }}}}-{name}\n  labels: {{cut: {{{{ .Release.Name }}}}}}\ndata:\n  colour: {{{{ .Values.colour }}}}\n"
        )
    };
    let only = |value: &str| {
        format!(
            "{{{{- if eq .Values.only \"{value}\" }}}}\n{}{{{{- end }}}}\n",
            map(&format!("only-{value}"))
        )
    };
    let hook = |when: &str| {
        let events = ["install", "upgrade", "rollback", "delete"].map(|event| format!("{when}-{event}"));
        let annotations = format!(
            "  annotations:\n    helm.sh/hook: {}\n    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded\n",
            events.join(",")
        );
        map(when).replace("\ndata:\n", &format!("\n{annotations}data:\n"))
    };
    let files = [
        ("templates/settings.yaml", map("settings")),
        ("templates/first.yaml", only("first")),
        ("templates/second.yaml", only("second")),
        ("templates/pre.yaml", hook("pre")),
        ("templates/post.yaml", hook("post")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    port.chart("cut", "colour: red\nonly: first\n", &files);
}

/// Kills `operation` at one write after the other until it ends before it is killed.
fn check(operation: &Operation) {
    let Some(port) = Port::beside_helm() else { return };
    chart(&port);
    let gate = port.block_on(Gate::start(port.client.clone()));
    port.write_kubeconfig("gate", &gate.address);
    let all = std::env::var("SEAWORTHY_KILL_POINTS").is_ok_and(|which| which == "all");
    let mut killed = 0;
    for write in 1..=MAX_WRITES {
        let (mut ended, mut number) = (false, 0);
        for (moment, healer) in ways(write, all) {
            // Of its own per operation too: a Helm at work on this machine is known by the release's name.
            let verb = operation.line.split(' ').next().unwrap_or_default();
            let release = format!("{verb}-{write}-{number}");
            let line = |line: &str| line.replace("NAME", &release);
            operation.before.iter().for_each(|before| drop(port.ours(&line(before)).ok()));
            let was_cut = cut(&port, &gate, &line(operation.line), Cut { write, moment });
            let told = format!("{} at {write}, {moment:?}, then {healer:?}", operation.line);
            heal(&port, &release, operation.line, healer, &told);
            (ended, number, killed) = (ended || !was_cut, number + 1, killed + usize::from(was_cut));
        }
        if ended {
            // Lock, record, two hooks, an object, and the record's end are never fewer.
            assert!(write > 6, "`{}` made only {write} writes", operation.line);
            println!("`{}`: killed {killed} times in {} writes", operation.line, write - 1);
            return;
        }
    }
    panic!("`{}` makes more than {MAX_WRITES} writes", operation.line);
}

/// Moments and healers for a write: all of both, or the one that is its turn, or none.
fn ways(write: usize, all: bool) -> Vec<(Moment, Healer)> {
    let every = [
        (Moment::Before, Healer::Ours),
        (Moment::After, Healer::Helms),
        (Moment::Before, Healer::Helms),
        (Moment::After, Healer::Ours),
    ];
    match (all, write % SAMPLED) {
        (true, _) => every.to_vec(),
        (false, 1) => vec![every[write / SAMPLED % every.len()]],
        (false, _) => Vec::new(),
    }
}

/// Runs `line` up to the cut and kills it there; `false` if it ended before.
fn cut(port: &Port, gate: &Gate, line: &str, at: Cut) -> bool {
    gate.arm(at);
    let mut running = port.start_at("gate", line);
    let was_cut = crate::program::until("the program comes to the gate, or ends", || {
        match (gate.is_shut(), running.has_ended()) {
            (true, _) => Ok(true),
            (false, true) => Ok(false),
            (false, false) => Err(format!("`{line}` at {at:?}")),
        }
    });
    if was_cut {
        // Killed by being dropped.
        drop(running);
    } else {
        running.wait().ok();
    }
    was_cut
}

/// Goes on after the kill, hands over to the other program, and takes everything away.
fn heal(port: &Port, release: &str, line: &str, healer: Healer, told: &str) {
    if line.starts_with("uninstall") {
        heal_uninstall(port, release, healer, told);
    } else {
        heal_change(port, release, line, healer, told);
    }
    assert_eq!(leftovers(port, release), Vec::<String>::new(), "{told}");
}

fn heal_change(port: &Port, release: &str, line: &str, healer: Healer, told: &str) {
    let put = format!("upgrade --install {release} ./cut --set colour=green");
    let again = if line.starts_with("rollback") { line.replace("NAME", release) } else { put.clone() };
    if healer == Healer::Helms {
        let helms = port.helm(&put);
        let is_refusal = HELMS_REFUSALS.iter().any(|refusal| helms.err.contains(refusal));
        assert!(helms.code == Some(0) || is_refusal, "{told}: {helms}");
    }
    let ours = port.ours(&again);
    assert!(ours.code == Some(0), "{told}: {ours}");
    check_state(port, release, told);
    let helms = port.helm(&put.replace("green", "white"));
    assert!(helms.code == Some(0), "{told}: {helms}");
    check_state(port, release, told);
    assert_eq!(port.setting(&format!("{release}-settings"), "colour").as_deref(), Some("white"), "{told}");
    assert!(port.setting(&format!("{release}-only-second"), "colour").is_none(), "{told}");
    let gone = match healer {
        Healer::Ours => port.helm(&format!("uninstall {release}")),
        Healer::Helms => port.ours(&format!("uninstall {release}")),
    };
    assert!(gone.code == Some(0), "{told}: {gone}");
}

fn heal_uninstall(port: &Port, release: &str, healer: Healer, told: &str) {
    let line = format!("uninstall {release} --ignore-not-found");
    let gone = if healer == Healer::Ours { port.ours(&line) } else { port.helm(&line) };
    assert!(gone.code == Some(0), "{told}: {gone}");
}

/// One revision is deployed, it is the newest, and none is pending.
fn check_state(port: &Port, release: &str, told: &str) {
    let revisions = port.revisions(release);
    let deployed = revisions.iter().filter(|(_, status)| status == "deployed").count();
    let pending = revisions.iter().any(|(_, status)| status.starts_with("pending"));
    let newest = revisions.last().map(|(_, status)| status.as_str());
    assert!(deployed == 1 && !pending && newest == Some("deployed"), "{told}: {revisions:?}");
}

/// Names of what still exists of a release.
fn leftovers(port: &Port, release: &str) -> Vec<String> {
    let names = |names: Vec<Option<String>>| names.into_iter().flatten();
    let labelled = ListParams::default().labels(&format!("cut={release}"));
    let maps: Api<ConfigMap> = Api::namespaced(port.client.clone(), "default");
    let maps = port.block_on(maps.list(&labelled)).unwrap().items;
    let stored = ListParams::default().labels(&format!("owner=helm,name={release}"));
    let secrets: Api<Secret> = Api::namespaced(port.client.clone(), "default");
    let secrets = port.block_on(secrets.list(&stored)).unwrap().items;
    let maps = names(maps.into_iter().map(|map| map.metadata.name).collect());
    maps.chain(names(secrets.into_iter().map(|secret| secret.metadata.name).collect())).collect()
}

#[test]
fn an_install_that_is_killed_at_any_write_is_taken_over() {
    check(&Operation { before: &[], line: INSTALL });
}

#[test]
fn an_upgrade_that_is_killed_at_any_write_is_taken_over() {
    check(&Operation { before: &[INSTALL], line: UPGRADE });
}

#[test]
fn a_rollback_that_is_killed_at_any_write_is_taken_over() {
    check(&Operation { before: &[INSTALL, UPGRADE], line: "rollback NAME 1" });
}

#[test]
fn an_uninstall_that_is_killed_at_any_write_is_taken_over() {
    check(&Operation { before: &[INSTALL, UPGRADE], line: "uninstall NAME" });
}
