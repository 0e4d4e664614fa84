//! Objects that go: only the release's own, and no definition that still has objects.

use std::time::Duration;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PropagationPolicy};
use serde_json::Value;

use super::Applier;
use crate::error::{Error, Result, Tried};
use crate::manifest::{self, Object};

const POLL: Duration = Duration::from_millis(100);
/// Objects of a kind that may be on their way out are waited for this long before its definition is kept.
const LEAVING: Duration = Duration::from_secs(10);

/// What became of an object that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removed {
    Deleted,
    /// It was gone already.
    Absent,
    /// The cluster's object says that it is to be kept.
    Kept,
    /// It belongs to somebody else by now; who.
    Foreign(String),
    /// A definition with this many objects.
    InUse(usize),
}

impl Applier {
    /// Deletes an object of the release, unless something speaks against it.
    pub async fn remove_own(&self, object: &Object, policy: PropagationPolicy) -> Result<Removed> {
        let live = match self.live(object).await {
            Err(Error::NoSuchKind { .. }) => return Ok(Removed::Absent),
            live => live?,
        };
        let Some(live) = live else { return Ok(Removed::Absent) };
        if let Some(owner) = self.owner_of(&live) {
            return Ok(Removed::Foreign(owner));
        }
        if manifest::is_kept(&live["metadata"]) {
            return Ok(Removed::Kept);
        }
        if object.is_definition() {
            let left = self.objects_left(&live).await?;
            if left > 0 {
                return Ok(Removed::InUse(left));
            }
        }
        let deleted = self.delete(object, policy).await?;
        Ok(if deleted { Removed::Deleted } else { Removed::Absent })
    }

    /// How many objects a definition has that will not go by themselves.
    async fn objects_left(&self, definition: &Value) -> Result<usize> {
        let asked = tokio::time::Instant::now();
        loop {
            let objects = self.objects_of(definition).await?;
            let staying =
                objects.iter().filter(|object| object.metadata.deletion_timestamp.is_none()).count();
            if staying > 0 || objects.is_empty() || asked.elapsed() > LEAVING {
                return Ok(objects.len());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn objects_of(&self, definition: &Value) -> Result<Vec<DynamicObject>> {
        let (spec, text) =
            (&definition["spec"], |value: &Value| value.as_str().unwrap_or_default().to_owned());
        let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(served) = versions.iter().find(|version| version["served"] == true) else {
            return Ok(Vec::new());
        };
        let (group, version) = (text(&spec["group"]), text(&served["name"]));
        let resource = ApiResource {
            api_version: format!("{group}/{version}"),
            group,
            version,
            kind: text(&spec["names"]["kind"]),
            plural: text(&spec["names"]["plural"]),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        match api.list(&ListParams::default().limit(100)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            listed => Ok(listed.tried(|| format!("list the objects of kind `{}`", resource.kind))?.items),
        }
    }

    /// Deletes one object. Returns whether it was there.
    pub async fn delete(&self, object: &Object, policy: PropagationPolicy) -> Result<bool> {
        let api = match self.api(object).await {
            // Its kind is gone, and so is it.
            Err(Error::NoSuchKind { .. }) => return Ok(false),
            api => api?,
        };
        let params = DeleteParams { propagation_policy: Some(policy), ..Default::default() };
        match api.delete(object.name(), &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            deleted => deleted.map(|_| true).tried(|| format!("delete {}", object.title())),
        }
    }

    /// Waits until an object is gone that was deleted.
    pub async fn wait_until_gone(&self, object: &Object, timeout: Duration) -> Result<()> {
        let api = match self.api(object).await {
            Err(Error::NoSuchKind { .. }) => return Ok(()),
            api => api?,
        };
        let begun = tokio::time::Instant::now();
        loop {
            let found = api.get_metadata_opt(object.name()).await;
            let Some(found) = found.tried(|| format!("look for {}", object.title()))? else { return Ok(()) };
            if begun.elapsed() > timeout {
                let why = match found.metadata.finalizers.unwrap_or_default().join(", ") {
                    finalizers if finalizers.is_empty() => {
                        "it is being deleted, but is not gone yet".to_owned()
                    }
                    finalizers => format!("it is being deleted; its finalizers are waited for: {finalizers}"),
                };
                return Err(Error::NotReady {
                    objects: vec![crate::wait::NotReady::plain(object, why)],
                    waited_s: timeout.as_secs(),
                    gave_up: false,
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
