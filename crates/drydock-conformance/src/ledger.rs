//! The ledger: what each kubectl can do with drydock, by group of commands, as a page of Markdown.
//!
//! A cell counts recorded steps: all equal is *supported*, some declared otherwise is *partial*, none equal is what the
//! declarations say. Nothing is claimed that was not compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::differences::Differences;
use crate::kubectl::{HTTP, ranges, versions};
use crate::recording::Recording;

/// Steps seen and steps equal, of one client.
#[derive(Default, Clone, Copy)]
struct Count {
    steps: usize,
    equal: usize,
}

type Table = BTreeMap<String, BTreeMap<String, Count>>;

/// `source` says what the recordings were made from; `date` is the day of the comparison.
pub fn ledger(
    recordings: &[(String, Recording)],
    differences: &Differences,
    source: &str,
    date: &str,
) -> String {
    let (commands, requests) = tables(recordings, differences);
    let mut page = format!(
        "# Conformance\n\nWill drydock do for what you do with a cluster? This page says what kubectl and plain requests get \
         from it, beside what a real cluster gave them. Compared on {date}; recorded from {source}.\n\n## In short\n\n\
         - kubectl {} to {}: {}\n- Requests: {}\n",
        versions().first().unwrap_or(&""),
        versions().last().unwrap_or(&""),
        total(&commands),
        total(&requests),
    );
    page += &short_list(differences);
    page += "\n## How to read the tables\n\nEvery step ran against that cluster and against drydock; exit code, stdout and \
             stderr (of requests: status code, body and headers) were compared after masking what changes from run to \
             run: names that are drawn, times, addresses, revisions. `supported`: all steps equal. `partial`: some differ, \
             each is listed further down with what it means. `refused`: drydock says by name that it does not do it. \
             `absent`: it is not there.\nThe comparison runs in CI (`cargo test -p drydock-conformance`) and fails at every \
             difference that is not listed here; there the versions of kubectl between the oldest and the newest take \
             turns. `logs`, `exec`, `attach`, `cp` and `port-forward` need real containers and are tested with the whole \
             engine (`crates/drydock/tests`).\n\n## kubectl\n\n";
    page += &matrix(&commands, versions());
    page += "\n## Requests\n\n";
    page += &matrix(&requests, &[HTTP]);
    page + &list(differences)
}

fn tables(recordings: &[(String, Recording)], differences: &Differences) -> (Table, Table) {
    let (mut commands, mut requests) = (Table::new(), Table::new());
    for (scenario, recording) in recordings {
        for step in &recording.steps {
            for version in step.outcomes.keys() {
                let (table, row) = match version == HTTP {
                    true => (&mut requests, scenario.clone()),
                    false => (&mut commands, group(&step.title)),
                };
                let count = table.entry(row).or_default().entry(version.clone()).or_default();
                let differs = differences.covers(scenario, &step.title, version).is_some();
                count.steps += 1;
                count.equal += usize::from(!differs);
            }
        }
    }
    (commands, requests)
}

/// How many steps are equal.
fn total(table: &Table) -> String {
    let counts = || table.values().flat_map(BTreeMap::values);
    let (steps, equal): (usize, usize) =
        (counts().map(|count| count.steps).sum(), counts().map(|count| count.equal).sum());
    let percent = equal as f64 * 100.0 / steps.max(1) as f64;
    format!("{equal} of {steps} compared steps are equal ({percent:.1} %).")
}

/// What is not there at all, each reason once.
fn short_list(differences: &Differences) -> String {
    let missing = differences.declared.iter().filter(|one| one.status != "partial");
    let reasons: BTreeSet<(&str, String)> =
        missing.map(|one| (one.status.as_str(), one.reason.replace('\n', " "))).collect();
    reasons.iter().map(|(status, reason)| format!("- **{status}**: {reason}\n")).collect()
}

fn matrix(table: &Table, columns: &[&str]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for (row, counts) in table {
        let cell = |column: &&str| match counts.get(*column) {
            None => "not tried".to_owned(),
            Some(count) if count.equal == count.steps => format!("supported ({})", count.steps),
            Some(count) => format!("partial ({} of {})", count.equal, count.steps),
        };
        let cells: Vec<String> = columns.iter().map(cell).collect();
        text += &format!("| {row} | {} |\n", cells.join(" | "));
    }
    text
}

fn list(differences: &Differences) -> String {
    let mut text = "\n## Where drydock differs\n\n".to_owned();
    let scenarios: BTreeSet<&str> = differences.declared.iter().map(|one| one.scenario.as_str()).collect();
    for scenario in scenarios {
        text += &format!("### {scenario}\n\n");
        for one in differences.declared.iter().filter(|one| one.scenario == scenario) {
            let meant: Vec<&str> = one.versions.iter().map(String::as_str).collect();
            let title = one.title.trim_start_matches(['$', '~', '>', ' ']);
            let reason = one.reason.replace('\n', " ");
            text += &format!("- **{}** [{}] `{title}`: {reason}\n", one.status, ranges(&meant));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Commands whose second word is what they do.
const FAMILIES: [&str; 7] = ["create", "rollout", "set", "auth", "apply", "certificate", "config"];
/// Short names, filed under the long ones.
const SHORT: [(&str, &str); 7] = [
    ("cm", "configmap"),
    ("deploy", "deployment"),
    ("ns", "namespace"),
    ("pdb", "poddisruptionbudget"),
    ("sa", "serviceaccount"),
    ("nosuch", "(no such command)"),
    ("priorityclasses", "priorityclass"),
];

/// The command of a step's line, such as `rollout status`: the word behind `kubectl`, and the next of a family.
fn group(title: &str) -> String {
    let line = title.split("kubectl ").nth(1).unwrap_or_default();
    let mut words = line.split_whitespace().map(|word| {
        let long = SHORT.iter().find(|(short, _)| *short == word);
        long.map_or(word, |(_, long)| *long)
    });
    let first = words.next().unwrap_or("(shell)");
    match words.next() {
        Some(second) if FAMILIES.contains(&first) && !second.starts_with('-') => format!("{first} {second}"),
        _ => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_filed_under_its_command() {
        assert_eq!(group("$ kubectl get pods -o wide"), "get");
        assert_eq!(group("$ KUBE_EDITOR=x kubectl rollout status deploy/web"), "rollout status");
        assert_eq!(group("$ kubectl apply -f app.yaml"), "apply");
        assert_eq!(group("$ kubectl create cm a --from-literal=x=y"), "create configmap");
        assert_eq!(group("$ kubectl create -f a.yaml -o name"), "create");
    }

    #[test]
    fn a_declared_difference_makes_its_cell_partial() {
        let recording = Recording::parse("$ kubectl get x\n[1.27] 0\n\n$ kubectl get y\n[1.27] 0\n").unwrap();
        let differences = Differences::parse("refused a 1.27\n$ kubectl get y\nBecause.\n").unwrap();
        let page = ledger(&[("a".into(), recording)], &differences, "a cluster", "2026-01-01");
        assert!(page.contains("| get | partial (1 of 2) | not tried |"), "{page}");
        assert!(page.contains("- **refused** [1.27] `kubectl get y`: Because."), "{page}");
        assert!(page.contains("kubectl 1.27 to 1.33: 1 of 2 compared steps are equal (50.0 %)."), "{page}");
        assert!(page.contains("- **refused**: Because.\n"), "{page}");
    }
}
