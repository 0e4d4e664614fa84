//! The definitions of a chart's `crds/` folder: created before anything else, changed only when asked, never deleted.

use std::time::Duration;

use crate::apply::{Applier, How, Method, Scaled};
use crate::diff::differences;
use crate::error::{Error, Result};
use crate::manifest::{self, Object};
use crate::plan::{Finding, Problem};
use crate::policy::Crds;
use crate::progress::{Progress, Tell};
use crate::ready::Rules;
use crate::releases::{Definition, Releases};
use crate::wait;

/// How long the API may take to serve a new kind.
const ESTABLISHED: Duration = Duration::from_secs(60);

impl Releases {
    /// Creates the definitions that are missing, and brings others up to date if `crds` says so. What differs is told.
    pub async fn define(
        &self,
        release: &str,
        definitions: &[Definition],
        crds: Crds,
        tell: Tell<'_>,
    ) -> Result<()> {
        if crds == Crds::Skip {
            return Ok(());
        }
        let applier = self.applier(release);
        let mut made = Vec::new();
        for object in read(definitions)? {
            let found = self.look_at_definition(&applier, &object).await?;
            let what = match found {
                Found::Same => continue,
                Found::Missing => "created",
                Found::Differs if crds == Crds::Apply => "brought up to date",
                Found::Differs => {
                    tell(Progress::Found(Finding::about(&object, Problem::DefinitionDiffers)));
                    continue;
                }
            };
            applier.put_hook(&object, &how(false)).await?;
            tell(Progress::Definition { name: object.name().to_owned(), what });
            made.push(object);
        }
        wait::wait(&applier, &made, Rules::default(), ESTABLISHED, &mut |_| {}).await
    }

    pub(crate) async fn look_at_definition(&self, applier: &Applier, object: &Object) -> Result<Found> {
        let Some(live) = applier.live(object).await? else { return Ok(Found::Missing) };
        let made = match applier.would_put_hook(object, &how(true)).await {
            Ok(made) => made,
            Err(Error::Refused { .. }) => return Ok(Found::Differs),
            Err(error) => return Err(error),
        };
        Ok(if differences(Some(&live), Some(&made)).is_empty() { Found::Same } else { Found::Differs })
    }
}

/// How a definition stands in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Missing,
    Same,
    Differs,
}

fn how(dry_run: bool) -> How {
    How {
        method: Method::Server,
        force_conflicts: true,
        force_replace: false,
        recreate: false,
        dry_run,
        scaled: Scaled::default(),
    }
}

/// The objects of the files, each with its file and line.
pub(crate) fn read(definitions: &[Definition]) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for definition in definitions {
        let mut found = manifest::objects(&definition.file, &definition.text)?;
        found.iter_mut().for_each(|object| object.source_file.clone_from(&definition.file));
        objects.extend(found);
    }
    Ok(objects)
}
