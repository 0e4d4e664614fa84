//! One object as it is wanted: created, applied by the server, merged here, or replaced.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams, PropagationPolicy, ValidationDirective};
use serde_json::Value;

use super::{Applier, MANAGER, Scaled, managers};
use crate::error::Result;
use crate::manifest::Object;
use crate::merge::{merge_patch, three_way};

/// Writes that another one crossed are tried again this often.
const ATTEMPTS: usize = 5;
const BUILT_IN_GROUPS: [&str; 5] = ["", "apps", "batch", "autoscaling", "policy"];

/// Who merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Server,
    Client,
}

impl Method {
    /// As a stored release names it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Server => "ssa",
            Method::Client => "csa",
        }
    }
}

/// How the objects of one revision are changed.
#[derive(Debug, Clone)]
pub(crate) struct How {
    pub method: Method,
    pub force_conflicts: bool,
    pub force_replace: bool,
    pub recreate: bool,
    /// Ask the server what would come of it.
    pub dry_run: bool,
    pub scaled: Scaled,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Created,
    Updated,
    Recreated,
}

/// Whether a refusal is about a field that can never change.
pub(crate) fn is_immutable(code: u16, message: &str) -> bool {
    code == 422 && IMMUTABLE.iter().any(|words| message.contains(words))
}

/// What the API says, kind by kind, when a field was set for good.
const IMMUTABLE: [&str; 8] = [
    "field is immutable",
    "is immutable after creation",
    "updates to statefulset spec",
    "may not change once set",
    "cannot change roleRef",
    "may not change fields other than",
    "updates to provisioner are forbidden",
    "updates to parameters are forbidden",
];

impl Applier {
    /// Makes the cluster's object what `object` says. `original` is what the release wanted of it before.
    pub async fn put(
        &self,
        object: &Object,
        original: Option<&Object>,
        how: &How,
    ) -> Result<(Change, Value)> {
        let mut attempt = 1;
        loop {
            let api = self.api(object).await?;
            let live = self.live(object).await?;
            let done = match &live {
                None => self.create_or_apply(&api, object, how).await.map(|made| (Change::Created, made)),
                Some(live) => {
                    self.change(&api, object, original, live, how).await.map(|made| (Change::Updated, made))
                }
            };
            match (done, live) {
                (Err(kube::Error::Api(status)), _) if is_crossed(&status) && attempt < ATTEMPTS => {
                    attempt += 1
                }
                (Err(kube::Error::Api(status)), Some(live))
                    if how.recreate && !how.dry_run && is_immutable(status.code, &status.message) =>
                {
                    self.remove_for_recreation(object, &live).await?;
                    let made = self.create_or_apply(&api, object, how).await;
                    let made = made.map_err(|error| self.refused(object, error))?;
                    return Ok((Change::Recreated, self.as_value(object, &made)));
                }
                (done, _) => {
                    let (change, made) = done.map_err(|error| self.refused(object, error))?;
                    return Ok((change, self.as_value(object, &made)));
                }
            }
        }
    }

    /// A hook's object, which is not part of the release's own set and carries no marks.
    pub async fn put_hook(&self, object: &Object, how: &How) -> Result<()> {
        self.would_put_hook(object, how).await.map(drop)
    }

    /// The same, and what came of it; with `dry_run`, what would.
    pub async fn would_put_hook(&self, object: &Object, how: &How) -> Result<Value> {
        let api = self.api(object).await?;
        let made = self.create_value(&api, object, object.value.clone(), how).await;
        let made = made.map_err(|error| self.refused(object, error))?;
        Ok(self.as_value(object, &made))
    }

    async fn create_or_apply(
        &self,
        api: &Api<DynamicObject>,
        object: &Object,
        how: &How,
    ) -> kube::Result<DynamicObject> {
        self.create_value(api, object, self.marked(object), how).await
    }

    async fn create_value(
        &self,
        api: &Api<DynamicObject>,
        object: &Object,
        marked: Value,
        how: &How,
    ) -> kube::Result<DynamicObject> {
        match how.method {
            Method::Server if !object.name().is_empty() => {
                api.patch(object.name(), &apply_params(how), &Patch::Apply(&marked)).await
            }
            _ => {
                let params = PostParams { dry_run: how.dry_run, field_manager: Some(MANAGER.into()) };
                let value = serde_json::from_value(marked).map_err(kube::Error::SerdeError)?;
                api.create(&params, &value).await
            }
        }
    }

    async fn change(
        &self,
        api: &Api<DynamicObject>,
        object: &Object,
        original: Option<&Object>,
        live: &Value,
        how: &How,
    ) -> kube::Result<DynamicObject> {
        let mut wanted = self.marked(object);
        how.scaled.keep_replicas(&mut wanted, live, &self.namespace);
        if how.force_replace {
            return self.replace(api, object, wanted, live, how).await;
        }
        match how.method {
            Method::Server => {
                let moved = managers::to_the_server(live);
                // Asking what would come of it cannot move the fields first, so their old owner is no conflict.
                let force = how.force_conflicts || (how.dry_run && moved.is_some());
                if let Some(patch) = moved.filter(|_| !how.dry_run) {
                    let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
                    let params = PatchParams { field_manager: Some(MANAGER.into()), ..Default::default() };
                    api.patch(object.name(), &params, &Patch::<()>::Json(patch)).await?;
                }
                let params = PatchParams { force, ..apply_params(how) };
                api.patch(object.name(), &params, &Patch::Apply(&wanted)).await
            }
            Method::Client => self.merge(api, object, original, wanted, live, how).await,
        }
    }

    async fn replace(
        &self,
        api: &Api<DynamicObject>,
        object: &Object,
        mut wanted: Value,
        live: &Value,
        how: &How,
    ) -> kube::Result<DynamicObject> {
        wanted["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        let params = PostParams { dry_run: how.dry_run, field_manager: Some(MANAGER.into()) };
        let value = serde_json::from_value(wanted).map_err(kube::Error::SerdeError)?;
        api.replace(object.name(), &params, &value).await
    }

    async fn merge(
        &self,
        api: &Api<DynamicObject>,
        object: &Object,
        original: Option<&Object>,
        wanted: Value,
        live: &Value,
        how: &How,
    ) -> kube::Result<DynamicObject> {
        let before = original.map_or_else(|| live.clone(), |original| self.marked(original));
        let is_built_in = BUILT_IN_GROUPS.contains(&object.group()) || object.group().ends_with(".k8s.io");
        // Custom kinds get what changed in the chart and nothing else, as in Helm.
        let mut patch = match is_built_in && !object.is_definition() {
            true => merge_patch(live, &three_way(&before, &wanted, live)),
            false => merge_patch(&before, &wanted),
        };
        if patch.as_object().is_none_or(|patch| patch.is_empty()) {
            return serde_json::from_value(live.clone()).map_err(kube::Error::SerdeError);
        }
        // Somebody else's change in between is a conflict, and the merge is made anew.
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        let params =
            PatchParams { dry_run: how.dry_run, field_manager: Some(MANAGER.into()), ..Default::default() };
        api.patch(object.name(), &params, &Patch::Merge(&patch)).await
    }
}

fn apply_params(how: &How) -> PatchParams {
    PatchParams {
        force: how.force_conflicts,
        dry_run: how.dry_run,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(MANAGER)
    }
}

/// A write that met another one. A conflict of field managers is none: it stays one, however often it is tried.
fn is_crossed(status: &kube::core::Status) -> bool {
    status.code == 409 && status.message.contains("the object has been modified")
}

impl Applier {
    /// Takes away what cannot be changed. A StatefulSet's pods stay and are taken over by the new one.
    async fn remove_for_recreation(&self, object: &Object, live: &Value) -> Result<()> {
        let is_adopting =
            object.kind() == "StatefulSet" && object.value["spec"]["selector"] == live["spec"]["selector"];
        let policy = if is_adopting { PropagationPolicy::Orphan } else { PropagationPolicy::Background };
        self.delete(object, policy).await?;
        self.wait_until_gone(object, std::time::Duration::from_secs(60)).await
    }
}
