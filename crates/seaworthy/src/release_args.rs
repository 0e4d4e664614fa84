//! Flags that `install`, `upgrade`, `rollback` and others share, with Helm's names and meanings.

use std::collections::BTreeMap;
use std::time::Duration;

use seaworthy_release::{Apply, Crds, MAX_HISTORY, Policy, Wait};

use crate::failure::{Failure, Kind};

/// A duration as Go writes it, or plain seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let nanos = go_duration::parse(text).and_then(|nanos| u64::try_from(nanos).ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| "write it as `90s`, `5m` or `1h30m`".to_owned())
}

/// How long, and until when.
#[derive(Debug, Clone, clap::Args)]
pub struct WaitArgs {
    /// Wait until everything is ready: `watcher` (the same as --wait alone), `legacy` as Helm 3 did, or `hookOnly`
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "watcher", value_name = "HOW")]
    wait: Option<WaitFor>,

    /// With --wait, also wait until Jobs have completed
    #[arg(long)]
    wait_for_jobs: bool,

    /// How long each hook and the wait may take, such as 90s or 5m
    #[arg(long, default_value = "5m", value_parser = duration, value_name = "DURATION")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WaitFor {
    #[value(alias = "true")]
    Watcher,
    #[value(name = "hookOnly", alias = "false")]
    HookOnly,
    Legacy,
}

impl WaitArgs {
    /// `otherwise` when nothing is said.
    pub fn wait(&self, otherwise: Wait) -> Wait {
        match self.wait {
            None => otherwise,
            Some(WaitFor::HookOnly) => Wait::Hooks,
            Some(WaitFor::Watcher) => Wait::Ready,
            Some(WaitFor::Legacy) => Wait::Legacy,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ServerSide {
    True,
    False,
    Auto,
}

/// How objects are changed.
#[derive(Debug, Clone, clap::Args)]
pub struct ChangeArgs {
    /// Who merges changes: the server (`true`), this program (`false`), or as the release was applied before
    #[arg(long, value_enum, default_value = "auto", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "WHO")]
    server_side: ServerSide,

    /// Take fields over that another manager has set
    #[arg(long, conflicts_with = "force_replace")]
    force_conflicts: bool,

    /// Replace objects instead of merging into them
    #[arg(long, alias = "force")]
    force_replace: bool,

    /// Delete and create objects whose immutable fields change; pods of a StatefulSet are kept
    #[arg(long)]
    recreate: bool,

    /// Run no hooks
    #[arg(long)]
    no_hooks: bool,

    /// Instead of our own words in the history
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// What only a new chart needs.
#[derive(Debug, Clone, clap::Args)]
pub struct OwnArgs {
    /// When it fails, go back: an upgrade to the last good revision, an install to nothing; waits as --wait does
    #[arg(long, alias = "atomic")]
    rollback_on_failure: bool,

    /// Adopt objects that exist and belong to nobody, or to another release
    #[arg(long)]
    take_ownership: bool,

    /// Labels of the release, a=b,c=d; the value `null` takes one away
    #[arg(short, long, value_delimiter = ',', value_name = "KEY=VALUE")]
    labels: Vec<String>,

    /// The chart's crds/: create what is missing, `apply` brings others up to date too, `skip` does nothing
    #[arg(long, value_enum, default_value = "create", value_name = "WHAT")]
    crds: CrdsFor,

    /// The same as --crds=skip
    #[arg(long)]
    skip_crds: bool,

    /// Create the release's namespace if it is missing
    #[arg(long)]
    pub create_namespace: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CrdsFor {
    Create,
    Apply,
    Skip,
}

/// `--dry-run`.
#[derive(Debug, Clone, clap::Args)]
pub struct DryRunArgs {
    /// Change nothing: `client` renders only, `server` also asks the cluster what would change and what would fail
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "client", value_name = "WHERE")]
    dry_run: Option<DryRun>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    #[value(alias = "true")]
    Client,
    Server,
    #[value(alias = "false")]
    None,
}

impl DryRunArgs {
    pub fn chosen(&self) -> Option<DryRun> {
        self.dry_run.filter(|chosen| *chosen != DryRun::None)
    }
}

impl OwnArgs {
    pub fn crds(&self) -> Crds {
        match self.crds {
            _ if self.skip_crds => Crds::Skip,
            CrdsFor::Create => Crds::Create,
            CrdsFor::Apply => Crds::Apply,
            CrdsFor::Skip => Crds::Skip,
        }
    }

    /// Puts these choices into a policy. Whoever wants to go back on failure wants to know of it.
    pub fn put_into(&self, wait: &WaitArgs, policy: &mut Policy) -> Result<(), Failure> {
        policy.rollback_on_failure = self.rollback_on_failure;
        policy.take_ownership = self.take_ownership;
        policy.labels = labels(&self.labels)?;
        if self.rollback_on_failure {
            policy.wait = wait.wait(Wait::Ready);
            if policy.wait == Wait::Hooks {
                policy.wait = Wait::Ready;
            }
        }
        Ok(())
    }
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let split = |label: &String| {
        let (key, value) = label.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    let wrong = |label: &String| {
        Failure::new(Kind::Input, anyhow::anyhow!("`{label}` is no label; write `--labels key=value`"))
    };
    given.iter().map(|label| split(label).ok_or_else(|| wrong(label))).collect()
}

/// The policy that these flags make.
pub fn policy(wait: &WaitArgs, change: &ChangeArgs, history_max: Option<usize>) -> Policy {
    Policy {
        timeout: wait.timeout,
        wait: wait.wait(Wait::Hooks),
        wait_for_jobs: wait.wait_for_jobs,
        hooks: !change.no_hooks,
        apply: match change.server_side {
            ServerSide::True => Apply::Server,
            ServerSide::False => Apply::Client,
            ServerSide::Auto => Apply::AsBefore,
        },
        force_conflicts: change.force_conflicts,
        force_replace: change.force_replace,
        recreate: change.recreate,
        description: change.description.clone(),
        max_history: history_max.unwrap_or(MAX_HISTORY),
        ..Policy::helm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos_or_seconds() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").is_err() && duration("-5s").is_err());
    }

    #[test]
    fn labels_are_pairs() {
        let given = |text: &str| labels(&[text.to_owned()]);
        assert_eq!(given("a=b").unwrap()["a"], "b");
        assert!(given("a").is_err());
    }
}
