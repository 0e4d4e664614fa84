//! What the cluster adds to or demands of objects beyond their own kind: the built-in admission plugins.

use drydock_store::List;
use serde_json::{Value, json};

use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// Objects are created only in namespaces that exist and are to stay.
pub(crate) fn check_namespace(cx: &Cx) -> Result<(), ApiError> {
    let Some(namespace) = &cx.path.namespace else { return Ok(()) };
    let entry = cx.server.store.get(&format!("core/namespaces//{namespace}"));
    let entry = entry.ok_or_else(|| ApiError::not_found("", "namespaces", namespace))?;
    if meta::is_deleting(&stored::decode(&entry)?.value) {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let error = ApiError::forbidden(cx.kind.group(), cx.kind.plural(), cx.path.name(), &why);
        return Err(
            error.with_cause("NamespaceTerminating", &format!("namespace {namespace} is being terminated"))
        );
    }
    Ok(())
}

/// Fills in what depends on other objects.
pub(crate) fn mutate(cx: &Cx, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_some() {
        return Ok(());
    }
    match (cx.kind.group(), cx.kind.plural()) {
        ("", "pods") => Ok(default_pod(new)),
        ("", "namespaces") => Ok(default_namespace(new)),
        ("", "persistentvolumeclaims") if new["spec"].get("storageClassName").is_none() => default_class(
            cx,
            new,
            "storage.k8s.io/storageclasses//",
            DEFAULT_STORAGE_CLASS,
            "storageClassName",
        ),
        ("networking.k8s.io", "ingresses") if new["spec"].get("ingressClassName").is_none() => default_class(
            cx,
            new,
            "networking.k8s.io/ingressclasses//",
            DEFAULT_INGRESS_CLASS,
            "ingressClassName",
        ),
        _ => Ok(()),
    }
}

fn default_pod(pod: &mut Value) {
    if !pod["spec"].is_object() {
        return;
    }
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or("").is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
    }
    // The older name of the same field, which typed clients still read.
    pod["spec"]["serviceAccount"] = pod["spec"]["serviceAccountName"].clone();
    if pod["spec"].get("priority").is_none() {
        pod["spec"]["priority"] = 0.into();
    }
    if pod["spec"].get("preemptionPolicy").is_none() {
        pod["spec"]["preemptionPolicy"] = "PreemptLowerPriority".into();
    }
}

/// The label that lets selectors name a namespace, and the finalizer that lets its content go first.
fn default_namespace(namespace: &mut Value) {
    let name = meta::name(namespace).to_owned();
    let Some(metadata) = meta::of_mut(namespace) else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
    }
    if namespace["spec"].get("finalizers").is_none() {
        namespace["spec"] = json!({ "finalizers": ["kubernetes"] });
    }
}

fn default_class(
    cx: &Cx,
    object: &mut Value,
    prefix: &str,
    annotation: &str,
    field: &str,
) -> Result<(), ApiError> {
    let page = cx.server.store.list(List { prefix, ..List::default() });
    for item in page.map(|page| page.items).unwrap_or_default() {
        let class = stored::decode(&item.entry)?.value;
        if class["metadata"]["annotations"][annotation] == "true" && object["spec"].is_object() {
            object["spec"][field] = meta::name(&class).into();
            break;
        }
    }
    Ok(())
}
