//! Recordings as text: one block per step, one outcome per group of clients that saw the same.
//!
//! ```text
//! $ kubectl get pods
//! [1.27-1.33] 0
//!   NAME  READY
//! ! No resources found
//! ```
//!
//! Lines of stdout stand behind two blanks, those of stderr behind `! `.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::kubectl::{expand, ranges};
use crate::run::{Outcome, Ran};

/// What every client saw, per step of one scenario.
#[derive(Debug, Default, PartialEq)]
pub struct Recording {
    pub steps: Vec<RecordedStep>,
}

#[derive(Debug, PartialEq)]
pub struct RecordedStep {
    pub title: String,
    /// By version of the client.
    pub outcomes: BTreeMap<String, Outcome>,
}

impl Recording {
    /// Of runs of the same scenario, one per client.
    pub fn of(runs: &[&Ran]) -> Recording {
        let mut steps: Vec<RecordedStep> = Vec::new();
        for run in runs {
            let recorded = run.steps.iter().filter(|step| !step.silent);
            for (index, step) in recorded.enumerate() {
                if steps.len() == index {
                    steps.push(RecordedStep { title: step.title.clone(), outcomes: BTreeMap::new() });
                }
                steps[index].outcomes.insert(run.version.to_owned(), step.outcome.clone());
            }
        }
        Recording { steps }
    }

    pub fn path(folder: &Path, scenario: &str) -> PathBuf {
        folder.join(format!("{scenario}.txt"))
    }

    pub fn load(folder: &Path, scenario: &str) -> anyhow::Result<Recording> {
        let path = Self::path(folder, scenario);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("scenario `{scenario}` was never recorded: cannot read `{}`", path.display())
        })?;
        Self::parse(&text).with_context(|| format!("cannot read `{}`", path.display()))
    }

    pub fn store(&self, folder: &Path, scenario: &str) -> anyhow::Result<()> {
        let path = Self::path(folder, scenario);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        Ok(std::fs::write(path, self.print())?)
    }

    pub fn print(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            text += &format!("{}\n", step.title);
            let mut groups: Vec<(Vec<&str>, &Outcome)> = Vec::new();
            for (version, outcome) in &step.outcomes {
                match groups.iter_mut().find(|(_, known)| *known == outcome) {
                    Some((versions, _)) => versions.push(version),
                    None => groups.push((vec![version], outcome)),
                }
            }
            for (versions, outcome) in groups {
                text += &format!("[{}] {}\n{}", ranges(&versions), outcome.code, outcome.print());
            }
            text += "\n";
        }
        text
    }

    pub fn parse(text: &str) -> anyhow::Result<Recording> {
        let mut steps: Vec<RecordedStep> = Vec::new();
        let mut current: (Vec<String>, Outcome) = Default::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("  ") {
                current.1.out += &format!("{rest}\n");
            } else if let Some(rest) = line.strip_prefix("! ") {
                current.1.err += &format!("{rest}\n");
            } else {
                finish(&mut steps, &mut current)?;
                if let Some((versions, code)) = line.strip_prefix('[').and_then(|rest| rest.split_once("] "))
                {
                    current.0 = expand(versions)?;
                    current.1.code = code.parse().with_context(|| format!("`{line}` has no exit code"))?;
                } else if !line.is_empty() {
                    steps.push(RecordedStep { title: line.to_owned(), outcomes: BTreeMap::new() });
                }
            }
        }
        finish(&mut steps, &mut current)?;
        Ok(Recording { steps })
    }
}

fn finish(steps: &mut [RecordedStep], current: &mut (Vec<String>, Outcome)) -> anyhow::Result<()> {
    let (versions, mut outcome) = std::mem::take(current);
    outcome.out.truncate(outcome.out.trim_end().len());
    outcome.err.truncate(outcome.err.trim_end().len());
    if versions.is_empty() {
        return Ok(());
    }
    let Some(step) = steps.last_mut() else { bail!("an outcome stands before the first step") };
    step.outcomes.extend(versions.into_iter().map(|version| (version, outcome.clone())));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "$ kubectl get x\n[1.27-1.29 1.33] 1\n! error: no\n!\n! hint\n[1.30] 0\n  NAME\n\n  $ not a step\n\n$ true\n[1.27] 0\n\n";
        let text = text.replace("!\n", "! \n").replace("NAME\n\n", "NAME\n  \n");
        let recording = Recording::parse(&text).unwrap();
        assert_eq!(recording.steps.len(), 2);
        assert_eq!(recording.steps[0].outcomes["1.28"].err, "error: no\n\nhint");
        assert_eq!(recording.print(), text);
    }
}
