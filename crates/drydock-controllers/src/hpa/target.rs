//! What an autoscaler scales: anything with a `/scale`, custom kinds too. Start at [`find`].

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::json;

use super::{NAME, Subject};
use crate::cx::Cx;

/// The scale of one object.
pub struct Target {
    api: Api<DynamicObject>,
    name: String,
}

/// The target as it is now.
pub struct Scaled {
    pub target: Target,
    pub current: i32,
    /// Which pods belong to it, as a label selector in text.
    pub selector: String,
}

pub async fn find(cx: &Cx, subject: &Subject) -> Result<Scaled, String> {
    let wanted = &subject.autoscaler.spec.scale_target_ref;
    let version = wanted.api_version.clone().unwrap_or_else(|| "v1".into());
    let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
    let kind = GroupVersionKind::gvk(group, version, &wanted.kind);
    let resource = kube::discovery::pinned_kind(&cx.client, &kind).await;
    let (resource, _) =
        resource.map_err(|_| format!("no matches for kind {:?} in group {group:?}", wanted.kind))?;
    let api = Api::namespaced_with(cx.client.clone(), &subject.key.namespace, &resource);
    let scale = api.get_scale(&wanted.name).await.map_err(|error| detail(&error))?;
    Ok(Scaled {
        current: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
        selector: scale.status.and_then(|status| status.selector).unwrap_or_default(),
        target: Target { api, name: wanted.name.clone() },
    })
}

impl Target {
    pub async fn scale(&self, replicas: i32) -> Result<(), String> {
        let params = PatchParams { field_manager: Some(NAME.into()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let patched = self.api.patch_scale(&self.name, &params, &patch).await;
        patched.map(|_| ()).map_err(|error| detail(&error))
    }
}

/// What the server said.
pub fn detail(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
