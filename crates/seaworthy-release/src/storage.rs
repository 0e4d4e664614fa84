//! Revisions as Secrets in the release's namespace, with the names and labels of Helm's `secrets` driver.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Client, ResourceExt};

use crate::error::{Error, Result, Tried};
use crate::record::Release;

const SECRET_TYPE: &str = "helm.sh/release.v1";

#[derive(Clone)]
pub(crate) struct Storage {
    secrets: Api<Secret>,
}

impl Storage {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace) }
    }

    /// All revisions of `release`, oldest first.
    pub async fn history(&self, release: &str) -> Result<Vec<Release>> {
        self.list(release, &format!("owner=helm,name={release}")).await
    }

    /// Every revision of every release of the namespace.
    pub async fn all(&self) -> Result<Vec<Release>> {
        self.list("*", "owner=helm").await
    }

    async fn list(&self, release: &str, selector: &str) -> Result<Vec<Release>> {
        let found = self.secrets.list(&ListParams::default().labels(selector)).await;
        let found = found.tried(|| "list the stored revisions".into())?;
        let mut releases =
            found.items.iter().map(|secret| read(release, secret)).collect::<Result<Vec<_>>>()?;
        releases.sort_by_key(|release| release.version);
        Ok(releases)
    }

    /// Stores a new revision.
    pub async fn create(&self, release: &Release) -> Result<()> {
        let secret = write(release, None)?;
        let created = self.secrets.create(&PostParams::default(), &secret).await;
        created
            .map(drop)
            .tried(|| format!("store revision {} of release `{}`", release.version, release.name))
    }

    /// Replaces a stored revision. When it was created is kept.
    pub async fn update(&self, release: &Release) -> Result<()> {
        let tried = || format!("update revision {} of release `{}`", release.version, release.name);
        let stored = self.secrets.get(&name(release)).await.tried(tried)?;
        let mut secret = write(release, Some(stored.labels()))?;
        secret.metadata.resource_version = stored.metadata.resource_version;
        self.secrets.replace(&name(release), &PostParams::default(), &secret).await.map(drop).tried(tried)
    }

    pub async fn delete(&self, release: &Release) -> Result<()> {
        match self.secrets.delete(&name(release), &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted
                .map(drop)
                .tried(|| format!("delete revision {} of release `{}`", release.version, release.name)),
        }
    }
}

fn name(release: &Release) -> String {
    format!("sh.helm.release.v1.{}.v{}", release.name, release.version)
}

fn read(release: &str, secret: &Secret) -> Result<Release> {
    let stored = secret.data.as_ref().and_then(|data| data.get("release"));
    let broken = |reason: String| Error::Record {
        release: release.to_owned(),
        reason: format!("`{}`: {reason}", secret.name_any()),
    };
    let stored = stored.ok_or_else(|| broken("it has no key `release`".into()))?;
    Release::decode(&stored.0).map_err(|error| broken(error.to_string()))
}

fn write(release: &Release, stored: Option<&BTreeMap<String, String>>) -> Result<Secret> {
    let data = release
        .encode()
        .map_err(|error| Error::Record { release: release.name.clone(), reason: error.to_string() })?;
    let mut labels = stored.cloned().unwrap_or_default();
    let stamp = if stored.is_some() { "modifiedAt" } else { "createdAt" };
    labels.insert(stamp.into(), Timestamp::now().as_second().to_string());
    labels.insert("name".into(), release.name.clone());
    labels.insert("owner".into(), "helm".into());
    labels.insert("status".into(), release.info.status.name().into());
    labels.insert("version".into(), release.version.to_string());
    Ok(Secret {
        metadata: ObjectMeta { name: Some(name(release)), labels: Some(labels), ..Default::default() },
        type_: Some(SECRET_TYPE.into()),
        data: Some(BTreeMap::from([("release".into(), ByteString(data))])),
        ..Default::default()
    })
}
