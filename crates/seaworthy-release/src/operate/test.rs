//! A release's own tests: its hooks of the event `test`.

use std::time::Duration;

use kube::api::ListParams;

use crate::apply::{How, Scaled};
use crate::diagnose::{self, LogLine, LogOf};
use crate::error::{Error, Result};
use crate::hooks::{Runner, in_order};
use crate::progress::Tell;
use crate::record::Release;
use crate::releases::Releases;

const EVENT: &str = "test";

/// Which tests run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these, when any is named.
    pub only: Vec<String>,
    pub without: Vec<String>,
}

impl Filter {
    fn takes(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|other| other == name);
        !is_in(&self.without) && (self.only.is_empty() || is_in(&self.only))
    }
}

/// How the tests went.
#[derive(Debug)]
pub struct Tested {
    pub release: Release,
    /// Why one of them failed, if one did; those after it did not run.
    pub failure: Option<Error>,
    /// What they wrote, when that was asked for.
    pub logs: Vec<LogLine>,
}

impl Releases {
    /// Runs the tests of the newest revision, and records how they went.
    pub async fn test(
        &self,
        release: &str,
        filter: &Filter,
        with_logs: bool,
        timeout: Duration,
        tell: Tell<'_>,
    ) -> Result<Tested> {
        let lock = self.lock(release).await?;
        let done = self.run_tests(release, filter, with_logs, timeout, tell).await;
        lock.release().await;
        done
    }

    async fn run_tests(
        &self,
        name: &str,
        filter: &Filter,
        with_logs: bool,
        timeout: Duration,
        tell: Tell<'_>,
    ) -> Result<Tested> {
        let mut release = self.get(name, None).await?;
        let applier = self.applier(name);
        let how = How {
            method: super::method_of(&release),
            force_conflicts: false,
            force_replace: false,
            recreate: false,
            dry_run: false,
            scaled: Scaled::default(),
        };
        let mut due = in_order(&release.hooks, EVENT);
        due.retain(|&at| filter.takes(&release.hooks[at].name));
        let mut runner = Runner { applier: &applier, storage: &self.storage, how: &how, timeout, tell };
        let ended = runner.start(&mut release, EVENT, &due).await;
        self.storage.update(&release).await?;
        let mut logs = Vec::new();
        // Before the clean-up, which may take the pods away.
        for &at in due.iter().filter(|_| with_logs) {
            let hook = &release.hooks[at];
            let selector = match hook.kind.as_str() {
                "Pod" => ListParams::default().fields(&format!("metadata.name={}", hook.name)),
                "Job" => ListParams::default().labels(&format!("job-name={}", hook.name)),
                _ => continue,
            };
            logs.extend(diagnose::logs_of(&self.client, &self.namespace, &selector, LogOf::All).await);
        }
        let failed = ended.as_ref().err().map(|(at, _)| *at);
        runner.clean_up(&release, &due, failed).await?;
        Ok(Tested { release, failure: ended.err().map(|(_, error)| error), logs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_tests_or_leaves_them_out() {
        let filter = |only: &[&str], without: &[&str]| Filter {
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            without: without.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(filter(&[], &[]).takes("a"));
        assert!(filter(&["a"], &[]).takes("a") && !filter(&["a"], &[]).takes("b"));
        assert!(!filter(&[], &["a"]).takes("a") && !filter(&["a"], &["a"]).takes("a"));
    }
}
