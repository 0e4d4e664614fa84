//! Pod Security Standards: what `privileged`, `baseline` and `restricted` allow a pod, by the version a namespace names.
//!
//! For admission, which reads a namespace's labels as a [`Policy`] and asks [`Grade::judge`] about pods and templates.
//! Reasons and details are those of every cluster, word by word, as tools and people search for them.
//!
//! Start at [`Policy::of`] and [`Grade::judge`]; the rules stand in `baseline` and `restricted`.

mod baseline;
mod pod;
mod restricted;

use std::fmt;

use serde_json::Value;

use crate::{FieldError, Path};
use pod::Pod;

/// How much a pod may do; the later, the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// The minor version of Kubernetes whose rules are meant; without one, the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(Option<u32>);

/// A level as it was in some version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grade {
    pub level: Level,
    pub version: Version,
}

/// What a namespace's labels say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub enforce: Grade,
    pub audit: Grade,
    pub warn: Grade,
}

/// One rule that a pod breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub reason: &'static str,
    pub detail: String,
}

type Form = fn(&Pod<'_>) -> Option<Violation>;

/// A rule, in the forms it has had since some minor versions.
struct Rule {
    forms: &'static [(u32, Form)],
    /// The weaker rule of the baseline that this one replaces.
    replaces: &'static str,
    name: &'static str,
}

/// Rules of later versions are the latest ones.
const NEWEST: u32 = 35;
const OPEN: Grade = Grade { level: Level::Privileged, version: Version(None) };
const PREFIX: &str = "pod-security.kubernetes.io/";

impl Level {
    fn parse(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted].into_iter().find(|level| level.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self(None));
        }
        let minor = text.strip_prefix("v1.")?;
        let is_number =
            minor.bytes().all(|byte| byte.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
        is_number.then(|| minor.parse().ok()).flatten().map(|minor| Self(Some(minor)))
    }

    fn minor(self) -> u32 {
        self.0.unwrap_or(NEWEST).min(NEWEST)
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version.0 {
            None => write!(f, "{}:latest", self.level.name()),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.name()),
        }
    }
}

impl Policy {
    /// The policy of a namespace with these labels, and what is wrong with them. A policy that cannot be read is
    /// enforced strictly, and neither audited nor warned about.
    pub fn of(labels: &Value) -> (Self, Vec<FieldError>) {
        let mut errors = Vec::new();
        let label = |name: &str| -> Option<String> {
            Some(labels.get(format!("{PREFIX}{name}"))?.as_str()?.to_owned())
        };
        let mut found = Self { enforce: OPEN, audit: OPEN, warn: OPEN };
        let mut enforced = false;
        for (mode, grade, failing) in [
            ("enforce", &mut found.enforce, Level::Restricted),
            ("audit", &mut found.audit, Level::Privileged),
            ("warn", &mut found.warn, Level::Privileged),
        ] {
            if let Some(text) = label(mode) {
                grade.level = Level::parse(&text).unwrap_or_else(|| {
                    errors.push(invalid(mode, &text, "must be one of privileged, baseline, restricted"));
                    failing
                });
                enforced |= mode == "enforce" && Level::parse(&text).is_some();
            }
            let mode = format!("{mode}-version");
            if let Some(text) = label(&mode) {
                grade.version = Version::parse(&text).unwrap_or_else(|| {
                    errors.push(invalid(&mode, &text, "must be \"latest\" or \"v1.x\""));
                    Version(None)
                });
            }
        }
        // Whoever enforces warns too: authors of workloads see only warnings, never a pod's refusal.
        if label("warn").is_none() && enforced && found.enforce.level > found.warn.level {
            found.warn.level = found.enforce.level;
            if label("warn-version").is_none() {
                found.warn.version = found.enforce.version;
            }
        }
        (found, errors)
    }
}

fn invalid(label: &str, value: &str, why: &str) -> FieldError {
    FieldError::invalid(&Path::root("metadata").child("labels").key(&format!("{PREFIX}{label}")), value, why)
}

impl Grade {
    /// What a pod, or a template of pods, does that this grade does not allow.
    pub fn judge(&self, metadata: &Value, spec: &Value) -> Vec<Violation> {
        let (pod, minor) = (Pod { metadata, spec }, self.version.minor());
        let strict = if self.level == Level::Restricted { restricted::RULES } else { &[] };
        let replaced: Vec<&str> =
            strict.iter().filter(|rule| rule.form(minor).is_some()).map(|rule| rule.replaces).collect();
        let base = if self.level == Level::Privileged { &[] } else { baseline::RULES };
        let rules = base.iter().filter(|rule| !replaced.contains(&rule.name)).chain(strict);
        rules.filter_map(|rule| rule.form(minor)?(&pod)).collect()
    }
}

impl Rule {
    fn form(&self, minor: u32) -> Option<Form> {
        self.forms.iter().rev().find(|(since, _)| *since <= minor).map(|(_, form)| *form)
    }
}

/// `reason (detail), reason (detail)`.
pub fn details(violations: &[Violation]) -> String {
    let all = violations.iter().map(|found| match found.detail.as_str() {
        "" => found.reason.to_owned(),
        detail => format!("{} ({detail})", found.reason),
    });
    all.collect::<Vec<_>>().join(", ")
}

/// The reasons alone.
pub fn reasons(violations: &[Violation]) -> String {
    violations.iter().map(|found| found.reason).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
