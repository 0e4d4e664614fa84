//! The declared differences: where drydock answers otherwise than a real cluster, and why.
//!
//! `differences.txt` holds one paragraph each. Its first line says the status, the scenario and, when not all of them
//! are meant, the clients; its second line is the step; the rest is the reason.
//!
//! ```text
//! partial get/tables 1.27-1.29
//! $ kubectl get nodes
//! Says why, and what would change it.
//! ```

use std::path::Path;

use anyhow::{Context, ensure};

use crate::compare::Difference;
use crate::kubectl::{HTTP, expand, ranges, versions};

const STATUSES: [&str; 3] = ["partial", "refused", "absent"];
/// The reason that [`Differences::declare`] writes; a person replaces it.
pub const UNEXPLAINED: &str = "Not looked at yet.";

#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// `partial`, `refused` or `absent`.
    pub status: String,
    pub scenario: String,
    pub versions: Vec<String>,
    pub title: String,
    pub reason: String,
}

#[derive(Debug, Default)]
pub struct Differences {
    /// What the file says before the first paragraph.
    preamble: String,
    pub declared: Vec<Declared>,
}

impl Differences {
    pub fn load(path: &Path) -> anyhow::Result<Differences> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("cannot read `{}`", path.display()))
    }

    pub fn parse(text: &str) -> anyhow::Result<Differences> {
        let mut differences = Differences::default();
        for paragraph in text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
            if paragraph.starts_with('#') {
                differences.preamble += &format!("{paragraph}\n\n");
                continue;
            }
            let declared = declared(paragraph).with_context(|| format!("in `{paragraph}`"))?;
            differences.declared.push(declared);
        }
        Ok(differences)
    }

    pub fn print(&self) -> String {
        let paragraph = |one: &Declared| {
            let all: &[&str] = if one.versions == [HTTP] { &[HTTP] } else { versions() };
            let meant: Vec<&str> = one.versions.iter().map(String::as_str).collect();
            let meant = if meant == all { String::new() } else { format!(" {}", ranges(&meant)) };
            format!("{} {}{meant}\n{}\n{}\n", one.status, one.scenario, one.title, one.reason)
        };
        format!("{}{}", self.preamble, self.declared.iter().map(paragraph).collect::<Vec<_>>().join("\n"))
    }

    pub fn of(&self, difference: &Difference) -> Option<&Declared> {
        self.covers(&difference.scenario, &difference.title, &difference.version)
    }

    pub fn covers(&self, scenario: &str, title: &str, version: &str) -> Option<&Declared> {
        self.declared.iter().find(|declared| declared.covers(scenario, title, version))
    }

    /// Declared, tried by these runs (scenario and client), and not seen.
    pub fn gone<'a>(
        &'a self,
        tried: &[(&str, &str)],
        seen: &[Difference],
    ) -> Vec<(&'a Declared, Vec<&'a str>)> {
        let mut gone = Vec::new();
        for declared in &self.declared {
            let was_tried = |version: &str| tried.contains(&(declared.scenario.as_str(), version));
            let was_seen = |version: &str| {
                seen.iter().any(|one| {
                    one.scenario == declared.scenario && one.title == declared.title && one.version == version
                })
            };
            let versions = declared.versions.iter().map(String::as_str);
            let versions: Vec<&str> =
                versions.filter(|version| was_tried(version) && !was_seen(version)).collect();
            if !versions.is_empty() {
                gone.push((declared, versions));
            }
        }
        gone
    }

    /// Makes the file agree with what was seen: what is gone leaves, what is new comes without a reason.
    pub fn declare(&mut self, tried: &[(&str, &str)], seen: &[Difference]) {
        for declared in &mut self.declared {
            let (scenario, title) = (declared.scenario.clone(), declared.title.clone());
            declared.versions.retain(|version| {
                !tried.contains(&(scenario.as_str(), version.as_str()))
                    || seen
                        .iter()
                        .any(|one| one.scenario == scenario && one.title == title && one.version == *version)
            });
        }
        self.declared.retain(|declared| !declared.versions.is_empty());
        for one in seen {
            if self.of(one).is_some() {
                continue;
            }
            let same =
                |declared: &&mut Declared| declared.scenario == one.scenario && declared.title == one.title;
            match self.declared.iter_mut().find(same) {
                Some(declared) => {
                    declared.versions.push(one.version.clone());
                    declared.versions.sort();
                }
                None => self.declared.push(Declared {
                    status: "partial".to_owned(),
                    scenario: one.scenario.clone(),
                    versions: vec![one.version.clone()],
                    title: one.title.clone(),
                    reason: UNEXPLAINED.to_owned(),
                }),
            }
        }
        self.declared.sort_by(|a, b| a.scenario.cmp(&b.scenario));
    }
}

impl Declared {
    fn covers(&self, scenario: &str, title: &str, version: &str) -> bool {
        self.scenario == scenario && self.title == title && self.versions.iter().any(|known| known == version)
    }
}

fn declared(paragraph: &str) -> anyhow::Result<Declared> {
    let mut lines = paragraph.lines();
    let mut words = lines.next().unwrap_or_default().split_whitespace();
    let status = words.next().unwrap_or_default().to_owned();
    ensure!(STATUSES.contains(&status.as_str()), "`{status}` is none of {STATUSES:?}");
    let scenario = words.next().context("no scenario is named")?.to_owned();
    let meant = words.collect::<Vec<_>>().join(" ");
    let title = lines.next().context("no step is named")?.to_owned();
    let reason = lines.collect::<Vec<_>>().join("\n");
    ensure!(!reason.is_empty(), "no reason is given");
    let versions = match (meant.is_empty(), title.starts_with('>') || title.starts_with("~>")) {
        (false, _) => expand(&meant)?,
        (true, true) => vec![HTTP.to_owned()],
        (true, false) => versions().iter().map(|version| (*version).to_owned()).collect(),
    };
    Ok(Declared { status, scenario, versions, title, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Outcome;

    fn difference(version: &str) -> Difference {
        let (scenario, title) = ("get/tables".to_owned(), "$ kubectl get nodes".to_owned());
        let recorded = Outcome::default();
        Difference { scenario, title, version: version.to_owned(), seen: recorded.clone(), recorded }
    }

    const TEXT: &str = "# About.\n\npartial get/tables 1.27-1.28\n$ kubectl get nodes\nNo roles.\n";

    #[test]
    fn the_file_is_written_as_it_was_read() {
        assert_eq!(Differences::parse(TEXT).unwrap().print(), TEXT);
    }

    #[test]
    fn a_difference_is_declared_for_its_versions_only() {
        let differences = Differences::parse(TEXT).unwrap();
        assert!(
            differences.of(&difference("1.27")).is_some() && differences.of(&difference("1.29")).is_none()
        );
    }

    #[test]
    fn a_declared_difference_that_was_tried_and_not_seen_is_gone() {
        let differences = Differences::parse(TEXT).unwrap();
        let tried = [("get/tables", "1.27"), ("get/tables", "1.28")];
        let gone = differences.gone(&tried, &[difference("1.27")]);
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].1, ["1.28"]);
        assert!(differences.gone(&[], &[]).is_empty());
    }

    #[test]
    fn declaring_makes_the_file_agree_with_what_was_seen() {
        let mut differences = Differences::parse(TEXT).unwrap();
        let tried = [("get/tables", "1.27"), ("get/tables", "1.28"), ("get/tables", "1.29")];
        differences.declare(&tried, &[difference("1.28"), difference("1.29")]);
        assert_eq!(differences.print(), TEXT.replace("1.27-1.28", "1.28-1.29"));
    }

    #[test]
    fn a_difference_without_a_reason_is_refused() {
        assert!(Differences::parse("partial get/tables\n$ kubectl get nodes\n").is_err());
    }
}
