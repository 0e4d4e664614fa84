//! `seaworthy rollback`: an earlier revision again, as a new one.

use std::time::Instant;

use seaworthy_release::{MAX_HISTORY, Policy, Release, Releases, Wait};

use super::history::place;
use super::install::release_failure;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing;
use crate::project::ProjectArgs;
use crate::release_args::{ChangeArgs, DryRunArgs, WaitArgs, policy};

/// Go back to an earlier revision
///
///   seaworthy rollback          the app of this folder: the last good revision before the newest
///   seaworthy rollback 2        the app of this folder: revision 2
///   seaworthy rollback web      release `web`: the last good one before the newest
///   seaworthy rollback web 2    release `web`: revision 2
///
/// A lone number is a revision. The app is waited for until it is ready; a named release is with --wait.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Rollback {
    /// A release and a revision, as `seaworthy history` lists them
    #[arg(value_name = "[RELEASE] [REVISION]", num_args = 0..=2)]
    arguments: Vec<String>,

    #[command(flatten)]
    project: ProjectArgs,

    #[command(flatten)]
    wait: WaitArgs,

    #[command(flatten)]
    change: ChangeArgs,

    /// Delete what it created when it fails
    #[arg(long)]
    cleanup_on_fail: bool,

    /// Revisions to keep; 0 keeps all
    #[arg(long, default_value_t = MAX_HISTORY, value_name = "NUMBER")]
    history_max: usize,

    #[command(flatten)]
    dry_run: DryRunArgs,
}

/// What the arguments mean.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    release: Option<String>,
    revision: Option<u64>,
}

fn target(arguments: &[String]) -> Result<Target, Failure> {
    let number = |text: &String| text.parse::<u64>().ok();
    let wrong =
        |text: &str| Failure::new(Kind::Input, anyhow::anyhow!("`{text}` is not the number of a revision"));
    Ok(match arguments {
        [] => Target { release: None, revision: None },
        [one] => match number(one) {
            Some(revision) => Target { release: None, revision: Some(revision) },
            None => Target { release: Some(one.clone()), revision: None },
        },
        [release, revision, ..] => {
            let revision = number(revision).ok_or_else(|| wrong(revision))?;
            // Helm's 0 means the one before.
            Target { release: Some(release.clone()), revision: Some(revision).filter(|number| *number > 0) }
        }
    })
}

impl Rollback {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let since = Instant::now();
        let target = target(&self.arguments)?;
        let (releases, name) = place(cx, target.release.as_deref(), &self.project).await?;
        let mut policy = policy(&self.wait, &self.change, Some(self.history_max));
        policy.cleanup_on_fail = self.cleanup_on_fail;
        if target.release.is_none() {
            policy = Policy {
                wait: self.wait.wait(Wait::Ready),
                force_conflicts: !policy.force_replace,
                ..policy
            };
        }
        if self.dry_run.chosen().is_some() {
            return preview(&releases, &name, target.revision, &policy).await;
        }
        cx.at_work = Some((releases.clone(), name.clone()));
        let done = releases.rollback(&name, target.revision, &policy, &mut cx.teller()).await;
        let release =
            done.map_err(|error| release_failure(error, "`seaworthy history` lists the revisions"))?;
        cx.progress.timed("release", told(&release), since);
        Ok(())
    }
}

async fn preview(releases: &Releases, name: &str, revision: Option<u64>, policy: &Policy) -> Outcome {
    let found = releases.preview_rollback(name, revision, policy).await;
    let (plan, target) = found.map_err(|error| Failure::new(Kind::Release, error))?;
    print!("{}", printing::plan::text(&plan));
    eprint!("{}", printing::plan::findings(&plan.findings));
    eprintln!("revision {} would be applied again", target.version);
    Ok(())
}

fn told(release: &Release) -> String {
    format!("revision {} has the content of revision {}", release.version, release.info.rollback_revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &str, release: Option<&str>, revision: Option<u64>) {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let expect = Target { release: release.map(str::to_owned), revision };
        assert_eq!(target(&words).unwrap(), expect);
    }

    #[test]
    fn a_lone_number_is_a_revision_of_the_app() {
        check("", None, None);
        check("2", None, Some(2));
        check("web", Some("web"), None);
        check("web 2", Some("web"), Some(2));
        check("7 2", Some("7"), Some(2));
        check("web 0", Some("web"), None);
    }

    #[test]
    fn a_revision_is_a_number() {
        assert!(target(&["web".to_owned(), "two".to_owned()]).is_err());
    }
}
