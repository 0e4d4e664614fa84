//! What the cluster adds to or demands of objects beyond their own kind: the built-in admission plugins.

use drydock_store::List;
use serde_json::{Value, json};

use crate::meta;
use crate::resource::create::random_suffix;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

const DEFAULT_STORAGE_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
const DEFAULT_INGRESS_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_EXPIRATION_S: u32 = 3607;

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
        ("", "pods") => mount_token(cx, new),
        ("", "namespaces") => {
            default_namespace(new);
            Ok(())
        }
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

/// Gives a pod its account, the tolerations of a node that is briefly away, and the account's token as files.
fn mount_token(cx: &Cx, pod: &mut Value) -> Result<(), ApiError> {
    let namespace = meta::namespace(pod).to_owned();
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else { return Ok(()) };
    if spec["serviceAccountName"].as_str().unwrap_or("").is_empty() {
        spec["serviceAccountName"] = "default".into();
    }
    // The older name of the same field, which typed clients still read.
    spec["serviceAccount"] = spec["serviceAccountName"].clone();
    fill(spec, "priority", 0.into());
    fill(spec, "preemptionPolicy", "PreemptLowerPriority".into());
    tolerate_short_outages(spec);
    let key =
        format!("core/serviceaccounts/{namespace}/{}", spec["serviceAccountName"].as_str().unwrap_or(""));
    let account = cx.server.store.get(&key).map(|entry| stored::decode(&entry)).transpose()?;
    // Without the account the node mounts the token later, if the account has appeared by then.
    let Some(account) = account else { return Ok(()) };
    let wanted = spec["automountServiceAccountToken"].as_bool();
    if wanted.or(account.value["automountServiceAccountToken"].as_bool()) != Some(false) {
        add_token_volume(spec);
    }
    Ok(())
}

fn fill(spec: &mut Value, field: &str, value: Value) {
    if spec.get(field).is_none_or(Value::is_null) {
        spec[field] = value;
    }
}

fn push(parent: &mut Value, field: &str, item: Value) {
    match parent[field].as_array_mut() {
        Some(list) => list.push(item),
        None => parent[field] = json!([item]),
    }
}

fn tolerate_short_outages(spec: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let mut present = spec["tolerations"].as_array().into_iter().flatten();
        if present.all(|toleration| toleration["key"] != key) {
            let seconds =
                json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 });
            push(spec, "tolerations", seconds);
        }
    }
}

/// A volume with token, CA and namespace in every container that has nothing else in that place.
fn add_token_volume(spec: &mut Value) {
    let name = format!("kube-api-access-{}", random_suffix());
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let mut mounts = container["volumeMounts"].as_array().into_iter().flatten();
            if mounts.any(|mount| mount["mountPath"] == TOKEN_PATH) {
                continue;
            }
            push(
                container,
                "volumeMounts",
                json!({ "name": name, "mountPath": TOKEN_PATH, "readOnly": true }),
            );
            mounted = true;
        }
    }
    if mounted {
        let sources = json!([
            { "serviceAccountToken": { "path": "token", "expirationSeconds": TOKEN_EXPIRATION_S } },
            { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [{
                "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
            }] } },
        ]);
        push(
            spec,
            "volumes",
            json!({ "name": name, "projected": { "defaultMode": 420, "sources": sources } }),
        );
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
