//! `seaworthy history`: the revisions of a release, or of the app's.

use seaworthy_release::Releases;

use crate::cluster;
use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};
use crate::printing::record::Revision;
use crate::printing::{self, OutputArgs, go};
use crate::project::{self, ProjectArgs};

/// List the revisions of a release; Helm shows the same ones
///
///   seaworthy history                of the app of this folder's compose file
///   seaworthy history web            of release `web`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_alias = "hist")]
pub struct History {
    /// A release; the app of this folder without one
    release: Option<String>,

    #[command(flatten)]
    project: ProjectArgs,

    /// At most this many, the newest
    #[arg(long, default_value_t = 256, value_name = "NUMBER")]
    max: usize,

    /// Add a column with the revision that a rollback went to
    #[arg(long)]
    show_rollback_revision: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl History {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        let (releases, name) = place(cx, self.release.as_deref(), &self.project).await?;
        let history = releases.history(&name).await.map_err(|error| Failure::new(Kind::Release, error))?;
        if history.is_empty() && self.release.is_none() {
            cx.progress.step(&name, "has no revisions; `seaworthy up` makes the first one");
            return Ok(());
        }
        if history.is_empty() {
            let error = releases.existing(&name).await.err();
            return Err(error.map_or_else(
                || Failure::new(Kind::Release, anyhow::anyhow!("release `{name}` appeared just now")),
                |error| Failure::new(Kind::Release, error),
            ));
        }
        let shown = &history[history.len().saturating_sub(self.max)..];
        let lines: Vec<Revision> = shown.iter().map(Revision::of).collect();
        printing::print(self.output.output, &lines, || {
            let rows = lines.iter().map(|line| line.row(self.show_rollback_revision));
            let rows: Vec<Vec<String>> =
                std::iter::once(Revision::header(self.show_rollback_revision)).chain(rows).collect();
            go::table(&rows)
        })
    }
}

/// Where a release is that is named, or that belongs to the app of the folder: a name means the namespace of the
/// context, the app has one of its own.
pub async fn place(
    cx: &Cx,
    release: Option<&str>,
    project: &ProjectArgs,
) -> Result<(Releases, String), Failure> {
    match release {
        Some(release) => {
            let (client, namespace) = cluster::connect_to_namespace(cx).await?;
            Ok((Releases::new(client, namespace), release.to_owned()))
        }
        None => {
            let app = project::name(project)?;
            let client = cluster::connect(cx).await?;
            let namespace = cx.namespace.clone().unwrap_or_else(|| app.clone());
            Ok((Releases::new(client, namespace), app))
        }
    }
}
