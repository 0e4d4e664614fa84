//! Empties a namespace that is being deleted, then lets it go.
//!
//! Reads: Namespace, the graph of all objects. Writes: deletes everything in the namespace,
//! Namespace phase, conditions and `finalize`. Finalizes only after every kind was listed empty at the server.
//! Pods go first: what they use stays until the last of them has ended.
//!
//! Start at [`reconcile`]; what is said about the rest is decided in [`conditions`].

mod conditions;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};

use self::conditions::Left;
use crate::controller::{Controller, Next};
use crate::cx::{Cx, time};
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
    let known = cx.graph.count_and_watch(&key.name);
    let (pods, others): (Vec<_>, Vec<_>) = kinds.iter().partition(|served| is_pods(served));
    let mut left = Left::default();
    let mut failed = delete_all(cx, &key.name, &pods, &mut left).await;
    if failed.is_none() && left.count() == 0 {
        failed = delete_all(cx, &key.name, &others, &mut left).await;
    }
    let namespace = tell(cx, namespace, &left).await?;
    if let Some(error) = failed {
        return Err(error);
    }
    if left.count() == 0 {
        finalize(cx, &namespace).await?;
        return Ok(Next::WaitForChange);
    }
    tracing::debug!(namespace = %key, known, left = left.count(), "namespace is not empty yet");
    // What the graph knows wakes us when it goes; only kinds outside it need a second look.
    Ok(if known > 0 { Next::WaitForChange } else { Next::After(SECOND_LOOK) })
}

fn is_pods(served: &Served) -> bool {
    served.resource.group.is_empty() && served.resource.plural == "pods"
}

/// Says in the namespace's status what is left of it.
async fn tell(cx: &Cx, namespace: Arc<Namespace>, left: &Left) -> Result<Arc<Namespace>, WriteError> {
    let old = namespace.status.clone().unwrap_or_default();
    let known = old.conditions.as_deref().unwrap_or_default();
    let Some(conditions) = left.conditions(known, time(cx.now())) else { return Ok(namespace) };
    let status = NamespaceStatus { conditions: Some(conditions), ..old };
    cx.kinds.namespaces.replace_status(&Namespace { status: Some(status), ..(*namespace).clone() }).await
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

/// Deletes what there is of each kind and notes what remains for now. A kind that fails does not keep others from
/// going; the first failure is returned.
async fn delete_all(cx: &Cx, namespace: &str, kinds: &[&Arc<Served>], left: &mut Left) -> Option<WriteError> {
    let mut failed = None;
    for served in kinds {
        if let Err(error) = delete_kind(cx, namespace, served, left).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            left.note_error(cause.unwrap_or_else(|| error.to_string()));
            failed = failed.or(Some(error));
        }
    }
    failed
}

async fn delete_kind(cx: &Cx, namespace: &str, served: &Served, left: &mut Left) -> Result<(), WriteError> {
    let fail = |verb, source| {
        WriteError::new(verb, format!("{} of namespace `{namespace}`", served.resource.plural), source)
    };
    let api = served.api(cx.client.clone(), namespace);
    let everything = ListParams::default();
    let listed = api.list_metadata(&everything).await.map_err(|source| fail("list", source))?.items;
    if listed.is_empty() {
        return Ok(());
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
    let rest = listed.items.iter().map(|object| &object.metadata);
    left.note(&served.resource.plural, &served.resource.group, rest);
    Ok(())
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
