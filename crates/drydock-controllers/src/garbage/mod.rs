//! Deletes what has lost its owners, and orders deletions that owners ask for.
//!
//! Reads: the metadata of every kind, as a [`Graph`]. Writes: any dependent (delete, detach), the
//! finalizers `foregroundDeletion` and `orphan`. An owner missing from the graph is looked up at
//! the server before anything is deleted for it; an owner of an unknown kind counts as alive.
//!
//! Start at [`reconcile`]; keys are uids. The decision itself is [`plan::plan`], which is pure.

mod graph;
mod plan;
mod sources;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy};
use serde_json::json;

pub use self::graph::{Graph, Node};
use self::plan::{FOREGROUND, ORPHAN, OwnerState, Plan, plan};
pub use self::sources::{Served, connect, discover};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::watches::Watches;

const NAME: &str = "garbage-collector";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    watches.cx.graph.wake_collector_through(watches.queue.clone());
    watches.need(watches.cx.graph.synced());
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(node) = cx.graph.node(&key.name) else { return Ok(Next::WaitForChange) };
    let mut owners = Vec::with_capacity(node.owners.len());
    for owner in &node.owners {
        owners.push((owner.uid.clone(), owner_state(cx, &node, owner).await?));
    }
    let plan = plan(&node, &owners, &cx.graph.dependents(&node.uid));
    act(cx, &node, plan).await?;
    Ok(Next::WaitForChange)
}

async fn owner_state(cx: &Cx, node: &Node, owner: &OwnerReference) -> Result<OwnerState, WriteError> {
    if let Some(known) = cx.graph.node(&owner.uid) {
        return Ok(if known.deleting && known.foreground { OwnerState::Waiting } else { OwnerState::Solid });
    }
    let Some(served) = cx.graph.served_kind(&owner.api_version, &owner.kind) else {
        return Ok(OwnerState::Solid);
    };
    let key = match served.namespaced {
        true => node.key.sibling(&owner.name),
        false => Key::cluster(&owner.name),
    };
    let found = api(cx, &served, &key).get_metadata_opt(&key.name).await;
    let found = found.map_err(|source| WriteError::new("read", format!("{} `{key}`", owner.kind), source))?;
    let alive = found.is_some_and(|object| object.metadata.uid.as_deref() == Some(owner.uid.as_str()));
    Ok(if alive { OwnerState::Solid } else { OwnerState::Absent })
}

async fn act(cx: &Cx, node: &Node, plan: Plan) -> Result<(), WriteError> {
    match plan {
        Plan::Nothing => Ok(()),
        Plan::Orphan(dependents) => {
            for dependent in dependents.iter().filter_map(|uid| cx.graph.node(uid)) {
                detach(cx, &dependent, std::slice::from_ref(&node.uid)).await?;
            }
            remove_finalizer(cx, node, ORPHAN).await
        }
        Plan::Unblock => remove_finalizer(cx, node, FOREGROUND).await,
        Plan::Descend(dependents) => {
            dependents.into_iter().for_each(|uid| cx.graph.wake(uid));
            Ok(())
        }
        Plan::Detach(owners) => detach(cx, node, &owners).await,
        Plan::Delete(policy) => delete(cx, node, policy).await,
    }
}

/// Deletes what still has the owners that the plan was made for: an object may have been cut loose, and its owner gone,
/// before the graph has heard of the first.
async fn delete(cx: &Cx, node: &Node, policy: PropagationPolicy) -> Result<(), WriteError> {
    let api = api(cx, &node.served, &node.key);
    let current = match api.get_metadata_opt(&node.key.name).await {
        Ok(Some(current)) => current.metadata,
        Ok(None) => return Ok(()),
        Err(source) => return Err(WriteError::new("read", node.to_string(), source)),
    };
    let uids = |owners: &[OwnerReference]| owners.iter().map(|owner| owner.uid.clone()).collect::<Vec<_>>();
    let owners = current.owner_references.as_deref().unwrap_or_default();
    if current.uid.as_deref() != Some(&node.uid) || uids(owners) != uids(&node.owners) {
        return Ok(());
    }
    let preconditions =
        Preconditions { uid: Some(node.uid.clone()), resource_version: current.resource_version };
    let params = DeleteParams {
        propagation_policy: Some(policy),
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    let deleted = api.delete(&node.key.name, &params).await;
    tolerate_gone(deleted.map(drop), "delete", node)
}

async fn detach(cx: &Cx, node: &Node, owners: &[String]) -> Result<(), WriteError> {
    edit(cx, node, |metadata| {
        let mut kept = metadata.owner_references.clone().unwrap_or_default();
        kept.retain(|owner| !owners.contains(&owner.uid));
        json!({ "ownerReferences": kept })
    })
    .await
}

async fn remove_finalizer(cx: &Cx, node: &Node, finalizer: &str) -> Result<(), WriteError> {
    edit(cx, node, |metadata| {
        let mut kept = metadata.finalizers.clone().unwrap_or_default();
        kept.retain(|kept| kept != finalizer);
        json!({ "finalizers": kept })
    })
    .await
}

/// Changes metadata as the server has it now, unless somebody else changes it meanwhile.
async fn edit(
    cx: &Cx,
    node: &Node,
    edit: impl Fn(&kube::api::ObjectMeta) -> serde_json::Value,
) -> Result<(), WriteError> {
    let api = api(cx, &node.served, &node.key);
    let name = &node.key.name;
    let current = match api.get_metadata_opt(name).await {
        Ok(Some(current)) if current.metadata.uid.as_deref() == Some(&node.uid) => current.metadata,
        Ok(_) => return Ok(()),
        Err(source) => return Err(WriteError::new("read", node.to_string(), source)),
    };
    let mut metadata = edit(&current);
    metadata["resourceVersion"] = json!(current.resource_version);
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    let patched = api.patch_metadata(name, &PatchParams::default(), &patch).await;
    tolerate_gone(patched.map(drop), "update", node)
}

fn tolerate_gone(outcome: kube::Result<()>, verb: &'static str, node: &Node) -> Result<(), WriteError> {
    let Err(source) = outcome else { return Ok(()) };
    let error = WriteError::new(verb, node.to_string(), source);
    // A conflict means that the object changed meanwhile: it is looked at again.
    if error.is_not_found() { Ok(()) } else { Err(error) }
}

fn api(cx: &Cx, served: &Served, key: &Key) -> Api<DynamicObject> {
    served.api(cx.client.clone(), &key.namespace)
}

#[cfg(test)]
mod tests {
    //! What the graph has not heard of yet, against a server that knows better.

    use std::sync::Arc;

    use drydock_api::{Api as Server, ApiConfig, NoNode, Pki};
    use drydock_store::Store;
    use k8s_openapi::api::apps::v1::ReplicaSet;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{ApiResource, ListParams, PostParams};

    use super::*;
    use crate::cx::Config;
    use crate::events::Recorder;

    /// The graph knows an object whose only owner is gone. Returns whether the object is left after a pass, if at the
    /// server it has these owners.
    async fn is_left(owners_at_the_server: &[&str]) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store.redb")).unwrap();
        let pki = Arc::new(Pki::open(&folder.path().join("pki")).unwrap());
        let server = Server::new(ApiConfig::default(), store, pki, Arc::new(NoNode)).await.unwrap();
        let objects = Api::<ConfigMap>::namespaced(server.client(), "default");
        let mut object = ConfigMap::default();
        object.metadata.name = Some("web-1".into());
        object.metadata.owner_references = Some(owners_at_the_server.iter().map(|uid| owner(uid)).collect());
        let mut known = objects.create(&PostParams::default(), &object).await.unwrap().metadata;
        known.owner_references = Some(vec![owner("gone")]);

        let cx = Cx::new(server.client(), Config::new("CA", folder.path()), Recorder::new().0);
        let kinds = [ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<ReplicaSet>(&())];
        let served =
            kinds.map(|resource| Arc::new(Served { resource, namespaced: true, ..Served::default() }));
        cx.graph.set_served(served.to_vec());
        cx.graph.change(&served[0], None, Some(&known));
        reconcile(&cx, &Key::cluster(known.uid.unwrap())).await.unwrap();
        objects
            .list(&ListParams::default())
            .await
            .unwrap()
            .iter()
            .any(|left| left.metadata.name == object.metadata.name)
    }

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: uid.into(),
            uid: uid.into(),
            ..OwnerReference::default()
        }
    }

    #[tokio::test]
    async fn what_has_lost_its_only_owner_goes() {
        assert!(!is_left(&["gone"]).await);
    }

    #[tokio::test]
    async fn what_was_cut_loose_stays_although_the_graph_has_only_heard_of_its_owners_end() {
        assert!(is_left(&[]).await);
    }

    #[tokio::test]
    async fn what_was_adopted_meanwhile_stays() {
        assert!(is_left(&["another"]).await);
    }
}
