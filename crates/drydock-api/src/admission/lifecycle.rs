//! NamespaceLifecycle: objects are created only in namespaces that exist and are to stay.

use serde_json::{Value, json};

use super::find;
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

/// Namespaces without which a cluster is none.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// Refuses a creation in a namespace that is missing or on its way out.
pub(crate) fn check_namespace(cx: &Cx, name: &str) -> Result<(), ApiError> {
    let Some(namespace) = &cx.path.namespace else { return Ok(()) };
    let found = find(cx, &format!("core/namespaces//{namespace}"))?;
    let found = found.ok_or_else(|| ApiError::not_found("", "namespaces", namespace))?;
    if meta::is_deleting(&found) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let error = ApiError::forbidden(cx.kind.group(), cx.kind.plural(), name, &why);
        let message = format!("namespace {namespace} is being terminated");
        return Err(error.with_causes(json!([{
            "reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace",
        }])));
    }
    Ok(())
}

/// Some namespaces stay.
pub(crate) fn check_deletion(cx: &Cx) -> Result<(), ApiError> {
    let name = cx.path.name();
    match cx.kind.is("", "namespaces") && IMMORTAL.contains(&name) {
        true => Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted")),
        false => Ok(()),
    }
}

/// The label that lets selectors name a namespace, and the finalizer that lets its content go first.
pub(super) fn default_namespace(
    _cx: &Cx,
    namespace: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let name = meta::name(namespace).to_owned();
    let Some(metadata) = meta::of_mut(namespace) else { return Ok(()) };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    if old.is_none() && namespace["spec"].get("finalizers").is_none() {
        namespace["spec"] = json!({ "finalizers": ["kubernetes"] });
    }
    Ok(())
}
