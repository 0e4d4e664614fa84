//! All objects of a stopped engine in one file that `kubectl apply -f` reads; also from a store that is damaged.
//!
//! Without `raw`, what only made sense in this cluster is left out: identities, times, owners, status, and the objects
//! that a controller makes again by itself. Reads the files without changing them.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drydock_api::Keyring;
use drydock_store::{Salvage, Seal, salvage};
use serde_json::{Map, Value};

use crate::control::{self, is_running};
use crate::folder::Folder;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("drydock is running: its files are in motion")]
    Running,
    #[error(transparent)]
    Folder(#[from] control::Error),
    #[error("cannot read the store in `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot read the key that opens Secrets")]
    Key(#[from] drydock_api::PkiError),
    #[error("cannot write the objects")]
    Write(#[source] io::Error),
}

/// What was written, and what could not be.
#[derive(Debug, Default)]
pub struct Exported {
    pub objects: usize,
    /// Objects that controllers make by themselves.
    pub derived: usize,
    pub problems: Vec<String>,
}

/// Set by the server, or by a controller of this cluster.
const OWN_METADATA: &[&str] = &[
    "uid",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];
const NEWS: &[&str] = &["Event", "Lease", "EndpointSlice", "Endpoints", "Node"];
/// What others need has to be there before them.
const FIRST: &[&str] = &["Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "ConfigMap"];

/// Writes the objects of the engine in `folder` to `out`.
pub fn export(folder: &Path, raw: bool, out: &mut dyn Write) -> Result<Exported, Error> {
    if is_running(folder)? {
        return Err(Error::Running);
    }
    let found = look(folder)?;
    let mut exported = Exported { problems: found.problems, ..Exported::default() };
    let mut objects: Vec<Value> = Vec::new();
    for item in found.objects {
        match serde_json::from_slice(&item.entry.value.plain()) {
            Ok(object) => objects.push(object),
            Err(_) => {
                exported.problems.push(format!("`{}` is sealed with a key that is not there", item.key))
            }
        }
    }
    if !found.fragments.is_empty() {
        let fragments =
            found.fragments.iter().filter_map(|entry| serde_json::from_slice(&entry.value.plain()).ok());
        // What the journal holds is newer than any fragment.
        objects = newest(objects.into_iter().chain(fragments));
    }
    if !raw {
        let before = objects.len();
        objects.retain(|object| !is_derived(object));
        exported.derived = before - objects.len();
        objects.iter_mut().for_each(clean);
        objects.sort_by_key(rank);
    }
    exported.objects = objects.len();
    write(&objects, out).map_err(Error::Write)?;
    Ok(exported)
}

/// Reads the store of a stopped engine as far as it can be read. Secrets are opened when their key is there.
pub(crate) fn look(folder: &Path) -> Result<Salvage, Error> {
    let paths = Folder::new(folder);
    let seal: Option<Arc<dyn Seal>> = match paths.pki().join(Keyring::FILE).exists() {
        true => Some(Arc::new(Keyring::open(&paths.pki(), drydock_api::SEALED)?)),
        false => None,
    };
    let path = paths.store();
    salvage(&path, seal).map_err(|source| Error::Read { path, source })
}

/// Fragments are copies of many times, the newest first: one of each object counts.
fn newest(fragments: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut seen = HashSet::new();
    let text =
        |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let identity = |object: &Value| {
        ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"].map(|pointer| text(object, pointer))
    };
    let whole = fragments.filter(|object| text(object, "/metadata/uid").is_some());
    whole.filter(|object| seen.insert(identity(object))).collect()
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or("")
}

fn is_derived(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let owned = owners.into_iter().flatten().any(|owner| owner["controller"] == true);
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("");
    let given = kind(object) == "ConfigMap" && name == "kube-root-ca.crt"
        || kind(object) == "Service" && name == "kubernetes";
    owned || given || NEWS.contains(&kind(object))
}

fn clean(object: &mut Value) {
    let keeps_claim = kind(object) == "PersistentVolumeClaim";
    let is_service = kind(object) == "Service";
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        OWN_METADATA.iter().for_each(|name| drop(metadata.remove(*name)));
        metadata.remove("ownerReferences");
    }
    let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if keeps_claim {
        spec.remove("volumeName");
    }
    if is_service {
        let headless = spec.get("clusterIP").is_some_and(|ip| ip == "None");
        remove_unless(headless, spec, &["clusterIP", "clusterIPs"]);
    }
}

fn remove_unless(kept: bool, fields: &mut Map<String, Value>, names: &[&str]) {
    if !kept {
        names.iter().for_each(|name| drop(fields.remove(*name)));
    }
}

fn rank(object: &Value) -> usize {
    FIRST.iter().position(|first| *first == kind(object)).unwrap_or(FIRST.len())
}

/// A `List` with a line for each object.
fn write(objects: &[Value], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, r#"{{"apiVersion":"v1","kind":"List","items":["#)?;
    for (index, object) in objects.iter().enumerate() {
        let comma = if index + 1 == objects.len() { "" } else { "," };
        writeln!(out, "{object}{comma}")?;
    }
    writeln!(out, "]}}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use drydock_store::{Expect, Store, Txn};
    use serde_json::json;

    use super::*;

    async fn stored(objects: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Folder::new(folder.path()).store()).unwrap();
        for (key, object) in objects {
            store.write(Txn::new().put(*key, object.to_string(), Expect::Absent)).await.unwrap();
        }
        store.close();
        folder
    }

    fn exported(folder: &Path, raw: bool) -> (Exported, Value) {
        let mut out = Vec::new();
        let exported = export(folder, raw, &mut out).unwrap();
        (exported, serde_json::from_slice(&out).unwrap())
    }

    #[tokio::test]
    async fn an_export_holds_what_another_cluster_can_take() {
        let owner = json!([{ "kind": "ReplicaSet", "name": "web", "controller": true }]);
        let folder = stored(&[
            ("apps/deployments/a/web", json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "a", "uid": "1", "managedFields": [] }, "spec": {}, "status": {} })),
            ("core/namespaces//a", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a", "uid": "2" } })),
            ("core/pods/a/web-x", json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-x", "uid": "3", "ownerReferences": owner } })),
        ])
        .await;
        let (told, list) = exported(folder.path(), false);
        assert_eq!((told.objects, told.derived, told.problems), (2, 1, vec![]));
        assert_eq!(
            list["items"][0],
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } })
        );
        assert_eq!(list["items"][1]["metadata"], json!({ "name": "web", "namespace": "a" }));
        assert_eq!(list["items"][1].get("status"), None);
        let (told, list) = exported(folder.path(), true);
        assert_eq!((told.objects, &list["items"][1]["metadata"]["uid"]), (3, &json!("2")));
    }

    #[tokio::test]
    async fn what_a_damaged_store_still_holds_is_exported_with_what_is_wrong() {
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "namespace": "a", "uid": "1" }, "data": { "a": "{\"" } });
        let folder = stored(&[("core/configmaps/a/c", object)]).await;
        let path = Folder::new(folder.path()).store();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[..320].fill(1);
        std::fs::write(&path, bytes).unwrap();
        let (told, list) = exported(folder.path(), false);
        assert_eq!((told.objects, told.problems.len()), (1, 1));
        assert_eq!(list["items"][0]["data"]["a"], "{\"");
    }

    #[tokio::test]
    async fn a_running_engine_is_not_exported_from_below() {
        let folder = stored(&[]).await;
        let _held = Folder::new(folder.path()).take().unwrap();
        assert!(matches!(export(folder.path(), false, &mut Vec::new()), Err(Error::Running)));
    }
}
