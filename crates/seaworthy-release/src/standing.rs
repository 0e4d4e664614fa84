//! How the objects of a release stand in the cluster right now.

use futures::StreamExt;

use crate::error::{Error, Result};
use crate::manifest;
use crate::ready::{Readiness, Rules};
use crate::record::Release;
use crate::releases::Releases;

/// Objects asked for at the same time.
const AT_ONCE: usize = 8;

/// One object of a release, as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `Deployment/web`.
    pub object: String,
    pub namespace: String,
    /// `None` when the cluster does not have it.
    pub readiness: Option<Readiness>,
}

impl Releases {
    /// Looks at every object that the manifest of `release` names.
    pub async fn standing(&self, release: &Release) -> Result<Vec<Standing>> {
        let objects = manifest::objects(&release.name, &release.manifest)?;
        let applier = self.applier(&release.name);
        let rules = Rules { jobs: true, legacy: false };
        let looks = objects.iter().map(|object| async {
            let live = match applier.live(object).await {
                Err(Error::NoSuchKind { .. }) => None,
                live => live?,
            };
            Ok(Standing {
                object: object.title(),
                namespace: object.namespace().unwrap_or(&applier.namespace).to_owned(),
                readiness: live.map(|live| rules.readiness(&live)),
            })
        });
        let found: Vec<Result<Standing>> = futures::stream::iter(looks).buffered(AT_ONCE).collect().await;
        found.into_iter().collect()
    }
}
