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
/// Labels that are ours and Helm's; every other one is the user's.
pub(crate) const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];
/// What the API takes as one Secret.
const MAX_SECRET_BYTES: usize = 1 << 20;
/// How often an update is tried that another one came before.
const MAX_ATTEMPTS: u32 = 3;
/// Revisions asked for at once: each may be a megabyte.
const PAGE: u32 = 25;

#[derive(Clone)]
pub(crate) struct Storage {
    secrets: Api<Secret>,
}

impl Storage {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace) }
    }

    /// Reads the releases of all namespaces; cannot store any.
    pub fn everywhere(client: Client) -> Self {
        Self { secrets: Api::all(client) }
    }

    /// All revisions of `release`, oldest first.
    pub async fn history(&self, release: &str) -> Result<Vec<Release>> {
        self.list(release, &format!("owner=helm,name={release}")).await
    }

    /// Every revision of every release.
    pub async fn all(&self) -> Result<Vec<Release>> {
        self.list("*", "owner=helm").await
    }

    async fn list(&self, release: &str, selector: &str) -> Result<Vec<Release>> {
        let mut releases = Vec::new();
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        loop {
            let page = self.secrets.list(&params).await.tried(|| "list the stored revisions".into())?;
            for secret in &page.items {
                releases.push(read(release, secret)?);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        releases.sort_by_key(|release| release.version);
        Ok(releases)
    }

    /// Stores a new revision.
    pub async fn create(&self, release: &Release) -> Result<()> {
        let secret = write(release, None)?;
        match self.secrets.create(&PostParams::default(), &secret).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(Error::NoNamespace { namespace: release.namespace.clone() })
            }
            created => created
                .map(drop)
                .tried(|| format!("store revision {} of release `{}`", release.version, release.name)),
        }
    }

    /// Replaces a stored revision. When it was created is kept.
    pub async fn update(&self, release: &Release) -> Result<()> {
        let tried = || format!("update revision {} of release `{}`", release.version, release.name);
        let mut attempts = 0;
        loop {
            let stored = self.secrets.get(&name(release)).await.tried(tried)?;
            let mut secret = write(release, Some(stored.labels()))?;
            secret.metadata.resource_version = stored.metadata.resource_version;
            attempts += 1;
            match self.secrets.replace(&name(release), &PostParams::default(), &secret).await {
                // After Ctrl-C a write of the operation that was broken off may still arrive.
                Err(kube::Error::Api(status)) if status.code == 409 && attempts < MAX_ATTEMPTS => {}
                replaced => return replaced.map(drop).tried(tried),
            }
        }
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
    let mut read = Release::decode(&stored.0).map_err(|error| broken(error.to_string()))?;
    read.labels = secret.labels().clone();
    read.labels.retain(|key, _| !SYSTEM_LABELS.contains(&key.as_str()));
    Ok(read)
}

fn write(release: &Release, stored: Option<&BTreeMap<String, String>>) -> Result<Secret> {
    let data = release
        .encode()
        .map_err(|error| Error::Record { release: release.name.clone(), reason: error.to_string() })?;
    if data.len() > MAX_SECRET_BYTES {
        return Err(Error::TooLarge {
            release: release.name.clone(),
            bytes: data.len(),
            limit: MAX_SECRET_BYTES,
        });
    }
    let mut labels = release.labels.clone();
    if let Some(created) = stored.and_then(|stored| stored.get("createdAt")) {
        labels.insert("createdAt".into(), created.clone());
    }
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
