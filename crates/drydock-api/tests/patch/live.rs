//! Generated questions, asked of the recorder and of us at the same time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use drydock_kinds::schema::Schema;
use serde_json::{Value, json};

use crate::generate::Dice;
use crate::replay;

const KINDS: &[(&str, &str)] = &[
    ("v1", "Pod"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "Node"),
    ("v1", "PersistentVolume"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("batch/v1", "CronJob"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("v1", "Endpoints"),
];

/// Rounds per test, or what `DRYDOCK_PATCH_ROUNDS` says.
fn rounds() -> u64 {
    std::env::var("DRYDOCK_PATCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

struct Recorder {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Recorder {
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("DRYDOCK_PATCH_RECORDER") else {
            eprintln!(
                "not compared live: DRYDOCK_PATCH_RECORDER names no recorder; recorded answers are still checked"
            );
            return None;
        };
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the recorder starts");
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { _child: child, to, from: BufReader::new(from) })
    }

    fn ask(&mut self, case: &Value) -> Value {
        writeln!(self.to, "{case}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn kind_of(seed: u64) -> (&'static str, &'static str) {
    let only = std::env::var("DRYDOCK_PATCH_KIND").ok();
    let index = only.and_then(|kind| KINDS.iter().position(|(_, known)| *known == kind));
    KINDS[index.unwrap_or(seed as usize % KINDS.len())]
}

pub fn strategic_case(seed: u64) -> Value {
    let (api_version, kind) = kind_of(seed);
    let root = replay::root(&json!({ "apiVersion": api_version, "kind": kind }));
    let mut dice = Dice(seed);
    let universe = dice.object(api_version, kind, root);
    let live = dice.variation(&universe, root, 75);
    let patch = dice.strategic(&universe, &live, root);
    json!({ "op": "smp", "apiVersion": api_version, "kind": kind, "live": live, "patch": patch })
}

pub fn apply_case(seed: u64) -> Value {
    let (api_version, kind) = kind_of(seed);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let root = Schema::builtin().kind(group, version, kind).unwrap();
    let mut dice = Dice(seed);
    let universe = dice.object(api_version, kind, root);
    let count = dice.roll(4) + 2;
    let steps: Vec<Value> = (0..count)
        .map(|index| {
            let mut object = dice.variation(&universe, root, 75);
            let manager = ["a", "b", "c"][dice.roll(3) as usize];
            let verb = if dice.in_hundred(65) { "apply" } else { "update" };
            if verb == "update" && dice.in_hundred(25) {
                dice.duplicate(&mut object);
            }
            let status = index > 0 && dice.in_hundred(15) && root.field("status").is_some();
            let (sub, excluded) = if status { ("status", "spec") } else { ("", "status") };
            // A server drops what a door does not write, the bare library does not.
            object.as_object_mut().map(|fields| fields.remove(excluded));
            json!({
                "verb": verb, "manager": manager, "force": dice.in_hundred(50), "object": object,
                "sub": sub, "excluded": [[excluded]],
            })
        })
        .collect();
    json!({ "op": "ssa", "apiVersion": api_version, "kind": kind, "steps": steps })
}

/// Prints the questions of many seeds, to be recorded: `DRYDOCK_PATCH_QUESTIONS=file`.
#[test]
fn questions_can_be_written_down() {
    let Some(path) = std::env::var_os("DRYDOCK_PATCH_QUESTIONS") else { return };
    let cases = (0..rounds()).flat_map(|seed| [strategic_case(seed), apply_case(seed)]);
    let mut lines: Vec<String> =
        cases.map(|case| case.to_string()).filter(|line| line.len() < 1500).collect();
    lines.sort();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn generated_strategic_merges_come_out_as_upstream() {
    let Some(mut recorder) = Recorder::start() else { return };
    let mut wrong = 0;
    for seed in 0..rounds() {
        let case = strategic_case(seed);
        let (theirs, ours) = (recorder.ask(&case), replay::strategic(&case));
        let (theirs, ours) = (replay::comparable(&theirs), replay::comparable(&ours));
        // Of several errors in one patch, which comes first is a matter of Go's map order.
        let both_refuse = theirs["error"].is_string() && ours["error"].is_string();
        if theirs != ours && !both_refuse {
            wrong += 1;
            eprintln!("--- seed {seed}\n{case}\nupstream: {theirs}\n    ours: {ours}");
        }
    }
    assert_eq!(wrong, 0, "cases differ");
}

#[test]
fn generated_applies_come_out_as_upstream() {
    let Some(mut recorder) = Recorder::start() else { return };
    let mut wrong = 0;
    for seed in 0..rounds() {
        let case = apply_case(seed);
        let (theirs, ours) = (recorder.ask(&case), replay::steps(&case));
        for (index, ours) in ours.iter().enumerate() {
            let (theirs, ours) = (replay::comparable(&theirs[index]), replay::comparable(ours));
            if theirs != ours {
                wrong += 1;
                eprintln!("--- seed {seed} step {index}\n{case}\nupstream: {theirs}\n    ours: {ours}");
                break;
            }
        }
    }
    assert_eq!(wrong, 0, "cases differ");
}
