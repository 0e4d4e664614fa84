//! DefaultStorageClass and DefaultIngressClass: who names no class gets the one marked as default.

use serde_json::Value;

use super::{all, forbidden};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

const STORAGE: &str = "storageclass.kubernetes.io/is-default-class";
const OLD_STORAGE: &str = "storageclass.beta.kubernetes.io/is-default-class";
const INGRESS: &str = "ingressclass.kubernetes.io/is-default-class";
const OLD_INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

/// Of several defaults the youngest wins, so that a new one takes over at once.
pub(super) fn default_storage_class(cx: &Cx, claim: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_some() || claim["spec"].get("storageClassName").is_some() || !claim["spec"].is_object() {
        return Ok(());
    }
    let mut classes = marked(cx, "storage.k8s.io/storageclasses//", &[STORAGE, OLD_STORAGE])?;
    classes.sort_by_key(|class| {
        let age = meta::text(class, "creationTimestamp").to_owned();
        (std::cmp::Reverse(age), meta::name(class).to_owned())
    });
    if let Some(class) = classes.first() {
        claim["spec"]["storageClassName"] = meta::name(class).into();
    }
    Ok(())
}

pub(super) fn default_ingress_class(
    cx: &Cx,
    ingress: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    let named = ingress["spec"].get("ingressClassName").is_some()
        || ingress["metadata"]["annotations"].get(OLD_INGRESS_CLASS).is_some();
    if old.is_some() || named || !ingress["spec"].is_object() {
        return Ok(());
    }
    let classes = marked(cx, "networking.k8s.io/ingressclasses//", &[INGRESS])?;
    match classes.as_slice() {
        [] => {}
        [class] => ingress["spec"]["ingressClassName"] = meta::name(class).into(),
        several => {
            let why = format!("{} default IngressClasses were found, only 1 allowed", several.len());
            return Err(forbidden(cx, ingress, &why));
        }
    }
    Ok(())
}

fn marked(cx: &Cx, prefix: &str, annotations: &[&str]) -> Result<Vec<Value>, ApiError> {
    let is_default =
        |class: &Value| annotations.iter().any(|name| class["metadata"]["annotations"][*name] == "true");
    Ok(all(cx, prefix)?.into_iter().filter(is_default).collect())
}
