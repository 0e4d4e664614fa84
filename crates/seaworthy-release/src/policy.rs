//! What a person can choose about an operation. The defaults are those of `seaworthy up`; Helm's are [`Policy::helm`].

use std::collections::BTreeMap;
use std::time::Duration;

/// Revisions kept, as Helm keeps them by default.
pub const MAX_HISTORY: usize = 10;

/// What an operation waits for before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Hooks only: the rest is ready when it is ready.
    Hooks,
    /// Every object, by the rules of kstatus.
    Ready,
    /// As Helm 3 did: a Deployment is ready although `maxUnavailable` of its pods are not.
    Legacy,
}

/// Who merges a change into an object of the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Apply {
    /// As the release was applied before; the server for a new one.
    #[default]
    AsBefore,
    Server,
    /// A three-way merge here, for releases of Helm 3.
    Client,
}

/// What happens to definitions of the chart's `crds/` folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Crds {
    /// Nothing at all.
    Skip,
    /// Those that are missing are created; one that differs is told and left alone.
    #[default]
    Create,
    /// Those that differ are brought up to date as well.
    Apply,
}

/// How installs, upgrades and rollbacks behave.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How long each wait may take: for a hook, and for readiness.
    pub timeout: Duration,
    pub wait: Wait,
    /// Jobs must complete; otherwise it is enough that they have started.
    pub wait_for_jobs: bool,
    pub hooks: bool,
    /// Go back to the last good revision when an upgrade fails; remove the objects when a first install does.
    pub rollback_on_failure: bool,
    /// Delete what a failed upgrade created.
    pub cleanup_on_fail: bool,
    pub apply: Apply,
    /// Take fields over that another manager set, for example `kubectl scale`.
    pub force_conflicts: bool,
    /// Replace objects instead of merging into them.
    pub force_replace: bool,
    /// Delete and create an object whose immutable fields change.
    pub recreate: bool,
    /// Adopt objects that exist and belong to nobody, or to another release.
    pub take_ownership: bool,
    /// Revisions kept; 0 keeps all.
    pub max_history: usize,
    /// Instead of our own words in the history.
    pub description: Option<String>,
    /// Of the release; the value `null` takes one away.
    pub labels: BTreeMap<String, String>,
    /// Record nothing when nothing would change.
    pub skip_unchanged: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            wait: Wait::Ready,
            wait_for_jobs: true,
            hooks: true,
            rollback_on_failure: true,
            cleanup_on_fail: false,
            apply: Apply::AsBefore,
            force_conflicts: true,
            force_replace: false,
            recreate: false,
            take_ownership: false,
            max_history: MAX_HISTORY,
            description: None,
            labels: BTreeMap::new(),
            skip_unchanged: true,
        }
    }
}

impl Policy {
    /// As `helm install` and `helm upgrade` behave without flags.
    pub fn helm() -> Self {
        Self {
            wait: Wait::Hooks,
            wait_for_jobs: false,
            rollback_on_failure: false,
            force_conflicts: false,
            skip_unchanged: false,
            ..Self::default()
        }
    }

    /// The same for undoing a failure, which is not undone itself.
    pub(crate) fn for_undoing(&self) -> Self {
        Self { rollback_on_failure: false, description: None, ..self.clone() }
    }
}

/// What goes with an object that is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cascade {
    /// What it owns, later.
    #[default]
    Background,
    /// What it owns, before itself.
    Foreground,
    /// Nothing.
    Orphan,
}

/// How an uninstall behaves.
#[derive(Debug, Clone)]
pub struct Removal {
    pub timeout: Duration,
    /// Wait until the objects are gone.
    pub wait: bool,
    pub hooks: bool,
    /// Keep the revisions; the newest is marked as uninstalled.
    pub keep_history: bool,
    pub cascade: Cascade,
    pub description: Option<String>,
}

impl Default for Removal {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(300),
            wait: false,
            hooks: true,
            keep_history: false,
            cascade: Cascade::Background,
            description: None,
        }
    }
}

/// What an uninstall left behind, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Left {
    /// `[Secret] name`, because of `helm.sh/resource-policy: keep`.
    pub kept: Vec<String>,
    /// Became somebody else's meanwhile.
    pub foreign: Vec<String>,
    /// Definitions that still have objects.
    pub in_use: Vec<String>,
}

impl Left {
    /// Helm's words, empty when nothing was left.
    pub fn told(&self) -> String {
        let parts = [
            ("These resources were kept due to the resource policy:".to_owned(), &self.kept),
            (
                format!(
                    "{} resource(s) were not deleted because they are not owned by this release:",
                    self.foreign.len()
                ),
                &self.foreign,
            ),
            ("These definitions were kept because objects of their kinds exist:".to_owned(), &self.in_use),
        ];
        let told = parts.iter().filter(|(_, names)| !names.is_empty());
        told.map(|(head, names)| format!("{head}\n{}\n", names.join("\n"))).collect::<Vec<_>>().join("\n")
    }
}
