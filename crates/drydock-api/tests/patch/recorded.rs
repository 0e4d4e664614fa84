//! The recorded answers, one test per table; a failure names the case.

use serde_json::Value;

use crate::replay::{self, comparable};

const STRATEGIC: &str = include_str!("upstream/strategic.jsonl");
const APPLY: &str = include_str!("upstream/apply.jsonl");
const GENERATED: &str = include_str!("upstream/generated.jsonl");

fn cases(table: &str) -> impl Iterator<Item = Value> {
    table.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"))
}

/// The names of the cases that differ, each with both answers.
fn differing(case: &Value) -> Option<String> {
    let name = case["name"].as_str().unwrap_or("unnamed");
    let told = |theirs: &Value, ours: &Value, step: usize| {
        let (theirs, ours) = (comparable(theirs), comparable(ours));
        (theirs != ours).then(|| format!("{name}, step {step}:\n  upstream {theirs}\n      ours {ours}"))
    };
    match case["op"].as_str() {
        Some("smp") => told(&case["answer"], &replay::strategic(case), 0),
        _ => {
            let ours = replay::steps(case);
            ours.iter().enumerate().find_map(|(step, ours)| told(&case["answer"][step], ours, step))
        }
    }
}

#[track_caller]
fn check(table: &str, at_least: usize) {
    let all: Vec<Value> = cases(table).collect();
    assert!(all.len() >= at_least, "only {} cases", all.len());
    let wrong: Vec<String> = all.iter().filter_map(differing).collect();
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

#[test]
fn strategic_merges_come_out_as_recorded() {
    check(STRATEGIC, 70);
}

#[test]
fn applies_come_out_as_recorded() {
    check(APPLY, 70);
}

#[test]
fn generated_cases_come_out_as_recorded() {
    check(GENERATED, 60);
}
