//! A run beside its recording: where they differ, and the difference as text.

use crate::recording::Recording;
use crate::run::{Outcome, Ran};

/// Of one difference, as many lines are printed.
const MAX_LINES: usize = 60;

/// A step at which a client saw something else than it saw of a real cluster.
#[derive(Debug)]
pub struct Difference {
    pub scenario: String,
    pub title: String,
    pub version: String,
    pub recorded: Outcome,
    pub seen: Outcome,
}

/// Where `ran` departs from `recording`. A silent step that failed is a difference too.
pub fn compare(recording: &Recording, ran: &Ran) -> Vec<Difference> {
    let mut found = Vec::new();
    for step in &ran.steps {
        let expected = match step.silent {
            true if !step.failed => continue,
            true => Outcome { out: "(succeeds)".to_owned(), ..Outcome::default() },
            false => {
                let recorded = recording.steps.iter().find(|recorded| recorded.title == step.title);
                let recorded = recorded.and_then(|recorded| recorded.outcomes.get(ran.version)).cloned();
                recorded
                    .unwrap_or_else(|| Outcome { out: "(never recorded)".to_owned(), ..Outcome::default() })
            }
        };
        if meaning(&step.title, &expected) != meaning(&step.title, &step.outcome) {
            found.push(Difference {
                scenario: ran.scenario.clone(),
                title: step.title.clone(),
                version: ran.version.to_owned(),
                recorded: meaning(&step.title, &expected),
                seen: meaning(&step.title, &step.outcome),
            });
        }
    }
    found
}

/// An outcome without what means nothing: the order of keys, where kubectl passes on JSON as it came.
fn meaning(title: &str, outcome: &Outcome) -> Outcome {
    let raw = title.contains("--raw").then(|| serde_json::from_str::<serde_json::Value>(&outcome.out));
    let out = match raw {
        Some(Ok(value)) => format!("{value:#}"),
        _ => outcome.out.clone(),
    };
    Outcome { out, ..outcome.clone() }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} [{}] {}", self.scenario, self.version, self.title)?;
        if self.recorded.code != self.seen.code {
            writeln!(f, "  code {} became {}", self.recorded.code, self.seen.code)?;
        }
        let text = textual(&self.recorded.print(), &self.seen.print());
        for line in text.lines().take(MAX_LINES) {
            writeln!(f, "{line}")?;
        }
        match text.lines().count().saturating_sub(MAX_LINES) {
            0 => Ok(()),
            more => writeln!(f, "  ... and {more} lines more"),
        }
    }
}

/// Lines that left (`-`) and came (`+`), with two lines around them.
pub fn textual(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&old, &new);
    let near = |at: usize| {
        let window = at.saturating_sub(2)..(at + 3).min(edits.len());
        edits[window].iter().any(|(mark, _)| *mark != ' ')
    };
    let kept = edits.iter().enumerate().filter(|(at, _)| near(*at));
    kept.map(|(_, (mark, line))| format!("  {mark}{line}\n")).collect()
}

/// The longest common subsequence, by the textbook; very long texts are compared from both ends only.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_mid, new_mid) = (&old_rest[..old_rest.len() - same_end], &new_rest[..new_rest.len() - same_end]);
    let mut edits: Vec<(char, &str)> = old[..same_start].iter().map(|line| (' ', *line)).collect();
    edits.extend(middle(old_mid, new_mid));
    edits.extend(old[old.len() - same_end..].iter().map(|line| (' ', *line)));
    edits
}

fn middle<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let mut lengths = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    if old.len() * new.len() < 4_000_000 {
        for (i, left) in old.iter().enumerate().rev() {
            for (j, right) in new.iter().enumerate().rev() {
                lengths[i][j] = match left == right {
                    true => lengths[i + 1][j + 1] + 1,
                    false => lengths[i + 1][j].max(lengths[i][j + 1]),
                };
            }
        }
    }
    let (mut i, mut j, mut edits) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            edits.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && lengths[i + 1][j] >= lengths[i][j + 1] {
            edits.push(('-', old[i]));
            i += 1;
        } else {
            edits.push(('+', new[j]));
            j += 1;
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_in_raw_json_means_nothing() {
        let told = |out: &str| Outcome { out: out.to_owned(), ..Outcome::default() };
        let (one, other) =
            (told(r#"{"kind":"A","apiVersion":"v1"}"#), told(r#"{"apiVersion":"v1","kind":"A"}"#));
        assert_eq!(meaning("$ kubectl get --raw /x", &one), meaning("$ kubectl get --raw /x", &other));
        assert_ne!(meaning("$ kubectl get x -o json", &one), meaning("$ kubectl get x -o json", &other));
    }

    #[test]
    fn a_difference_shows_what_left_and_what_came() {
        assert_eq!(textual("a\nb\nc\nd\ne\nf", "a\nb\nX\nd\ne\nf"), "   a\n   b\n  -c\n  +X\n   d\n   e\n");
        assert_eq!(textual("a", "a"), "");
    }
}
