//! Empties a namespace that is being deleted, then lets it go.
//!
//! Reads: Namespace, the graph of all objects. Writes: deletes everything in the namespace,
//! Namespace phase and `finalize`. Finalizes only after every kind was listed empty at the server.
//!
//! Start at [`reconcile`].

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};

use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::garbage::Served;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::is_deleting;
use crate::watches::Watches;

const NAME: &str = "namespace-controller";
const FINALIZER: &str = "kubernetes";
const TERMINATING: &str = "Terminating";
const SECOND_LOOK: Duration = Duration::from_millis(100);

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let cx = watches.cx;
    watches.on(&cx.kinds.namespaces, |cx, queue, old, new| match (old, new) {
        (_, Some(namespace)) if is_deleting(&namespace.metadata) => queue.add(Key::of(&namespace.metadata)),
        (Some(gone), None) => cx.graph.forget_namespace(&Key::of(&gone.metadata).name),
        _ => {}
    });
    cx.graph.wake_namespaces_through(watches.queue.clone());
    watches.need(cx.graph.synced());
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(namespace) = cx.kinds.namespaces.get(key).filter(|ns| is_deleting(&ns.metadata)) else {
        return Ok(Next::WaitForChange);
    };
    if !finalizers(&namespace).any(|finalizer| finalizer == FINALIZER) {
        return Ok(Next::WaitForChange);
    }
    let namespace = mark_terminating(cx, namespace).await?;
    let kinds: Vec<Arc<Served>> = cx.graph.served().into_iter().filter(|served| served.namespaced).collect();
    // Counting first also makes every later change in the namespace wake us.
    let left = cx.graph.count_and_watch(&key.name);
    let left_at_server = delete_all(cx, &key.name, &kinds).await?;
    if left_at_server == 0 {
        finalize(cx, &namespace).await?;
        return Ok(Next::WaitForChange);
    }
    tracing::debug!(namespace = %key, left, left_at_server, "namespace is not empty yet");
    // What the graph knows wakes us when it goes; only kinds outside it need a second look.
    Ok(if left > 0 { Next::WaitForChange } else { Next::After(SECOND_LOOK) })
}

fn finalizers(namespace: &Namespace) -> impl Iterator<Item = &String> {
    namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten())
}

async fn mark_terminating(cx: &Cx, namespace: Arc<Namespace>) -> Result<Arc<Namespace>, WriteError> {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase == Some(TERMINATING) {
        return Ok(namespace);
    }
    let status =
        NamespaceStatus { phase: Some(TERMINATING.into()), ..namespace.status.clone().unwrap_or_default() };
    cx.kinds.namespaces.replace_status(&Namespace { status: Some(status), ..(*namespace).clone() }).await
}

/// Deletes what there is of each kind; returns how many objects remain for now.
async fn delete_all(cx: &Cx, namespace: &str, kinds: &[Arc<Served>]) -> Result<usize, WriteError> {
    let mut left = 0;
    for served in kinds {
        let fail = |verb, source| {
            WriteError::new(verb, format!("{} of namespace `{namespace}`", served.resource.plural), source)
        };
        let api = served.api(cx.client.clone(), namespace);
        let everything = ListParams::default();
        let listed = api.list_metadata(&everything).await.map_err(|source| fail("list", source))?.items;
        if listed.is_empty() {
            continue;
        }
        if served.deletes_collections {
            let deleted = api.delete_collection(&DeleteParams::background(), &everything).await;
            deleted.map_err(|source| fail("delete", source))?;
        } else {
            for object in listed.iter().filter(|object| !is_deleting(&object.metadata)) {
                let name = object.metadata.name.clone().unwrap_or_default();
                match api.delete(&name, &DeleteParams::background()).await {
                    Err(source) if !is_gone(&source) => return Err(fail("delete", source)),
                    _ => {}
                }
            }
        }
        let listed = api.list_metadata(&everything).await.map_err(|source| fail("list", source))?;
        left += listed.items.len();
    }
    Ok(left)
}

fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}

async fn finalize(cx: &Cx, namespace: &Namespace) -> Result<(), WriteError> {
    let mut released = namespace.clone();
    if let Some(finalizers) = released.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    let name = Key::of(&namespace.metadata).name;
    let api: Api<Namespace> = Api::all(cx.client.clone());
    match api.replace_subresource("finalize", &name, &PostParams::default(), &released).await {
        Err(source) if !is_gone(&source) => {
            Err(WriteError::new("finalize", format!("Namespace `{name}`"), source))
        }
        _ => Ok(()),
    }
}
