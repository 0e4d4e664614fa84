//! Deleting a definition deletes its objects first, and waits for those that have finalizers.
//!
//! Start at [`start`]; [`resume`] does the same for what was under way when the engine stopped. One task per definition,
//! which ends with the server.

use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_store::{Expect, List, Txn};
use futures::StreamExt as _;
use http::HeaderMap;
use serde_json::{Value, json};

use super::{Definition, PREFIX, names};
use crate::auth::User;
use crate::meta;
use crate::request::{Query, ResourcePath};
use crate::resource::delete::{self, Deleted};
use crate::resource::options::DeleteOptions;
use crate::served::ServedKind;
use crate::server::{Cx, Server, Warnings};
use crate::status::ApiError;
use crate::stored;

const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// After a failed round; the next one starts from what is stored.
const RETRY: Duration = Duration::from_secs(1);

/// Puts the finalizer and the condition on a definition that is deleted from now on.
pub(super) fn mark(definition: &mut Value) {
    let mut finalizers: Vec<Value> = meta::finalizers(definition).into_iter().map(Value::from).collect();
    if !finalizers.iter().any(|name| name == FINALIZER) {
        finalizers.push(FINALIZER.into());
        meta::set(definition, "finalizers", Some(finalizers.into()));
    }
    let message = "CustomResource deletion is in progress";
    names::set_condition(definition, "Terminating", true, "InstanceDeletionInProgress", message);
}

/// Whether objects have to go before this definition can.
fn waits(definition: &Value) -> bool {
    meta::is_deleting(definition) && meta::finalizers(definition).contains(&FINALIZER)
}

/// Starts emptying the kind of a definition, when it is being deleted.
pub(crate) fn start(server: &Arc<Server>, definition: &Value) {
    if !waits(definition) {
        return;
    }
    let name = meta::name(definition).to_owned();
    let uid = meta::uid(definition).to_owned();
    let (server, shutdown): (Weak<Server>, _) = (Arc::downgrade(server), server.shutdown.clone());
    tokio::spawn(async move {
        loop {
            let Some(server) = server.upgrade() else { return };
            let round = shutdown.run_until_cancelled(round(&server, &name, &uid)).await;
            match round {
                None | Some(Ok(())) => return,
                Some(Err(error)) => {
                    tracing::warn!(
                        definition = name,
                        "its objects could not be deleted yet: {}",
                        error.message
                    );
                }
            }
            drop(server);
            if shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                return;
            }
        }
    });
}

/// Continues what was under way when the engine stopped.
pub(crate) fn resume(server: &Arc<Server>) -> Result<(), ApiError> {
    let page = server.store.list(List { prefix: PREFIX, ..List::default() });
    for item in page.map_err(|error| ApiError::internal(error.to_string()))?.items {
        start(server, &stored::decode(&item.entry)?.value);
    }
    Ok(())
}

async fn round(server: &Arc<Server>, name: &str, uid: &str) -> Result<(), ApiError> {
    let Some(definition) = server.custom.definition(name).filter(|definition| definition.uid == uid) else {
        return Ok(());
    };
    // Creations that were let in before finish now; later ones see that the kind is going.
    drop(definition.gate.write().await);
    if let Some(kind) = &definition.storage {
        empty(server, &ServedKind::of_custom(kind.clone())).await?;
    }
    release(server, &definition, name).await
}

/// Deletes all objects of a kind and returns when none is left.
async fn empty(server: &Arc<Server>, kind: &ServedKind) -> Result<(), ApiError> {
    let prefix = kind.prefix_in(None);
    let gone = |error: drydock_store::Compacted| ApiError::internal(error.to_string());
    let (page, mut watch) = server.store.list_and_watch(&prefix).map_err(gone)?;
    for item in page.items {
        let object = stored::decode(&item.entry)?.value;
        if meta::is_deleting(&object) {
            continue;
        }
        match delete::delete_object(&request_for(server, kind, &object), &DeleteOptions::background()).await {
            Ok(Deleted::Gone(_) | Deleted::Going(_)) => {}
            Err(error) if error.reason == "NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    loop {
        let left =
            server.store.list(List { prefix: &prefix, limit: Some(1), ..List::default() }).map_err(gone)?;
        if left.items.is_empty() {
            return Ok(());
        }
        // Each event may be the last object's; a watch that ended is opened again by the next round.
        match watch.next().await {
            Some(Ok(_)) => {}
            _ => return Err(ApiError::unavailable("the watch of its objects ended")),
        }
    }
}

fn request_for(server: &Arc<Server>, kind: &ServedKind, object: &Value) -> Cx {
    let namespace = meta::namespace(object);
    Cx {
        server: server.clone(),
        user: Arc::new(User::engine()),
        path: ResourcePath {
            group: kind.group().to_owned(),
            version: kind.version().to_owned(),
            plural: kind.plural().to_owned(),
            namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
            name: Some(meta::name(object).to_owned()),
            ..ResourcePath::default()
        },
        kind: kind.clone(),
        query: Query::default(),
        headers: HeaderMap::new(),
        now: server.now(),
        warnings: Warnings::default(),
    }
}

/// Takes the finalizer off the definition, which goes with it unless somebody else's keeps it.
async fn release(server: &Arc<Server>, definition: &Definition, name: &str) -> Result<(), ApiError> {
    let _turn = server.custom.writing.lock().await;
    let key = format!("{PREFIX}/{name}");
    let Some(entry) = server.store.get(&key) else { return Ok(()) };
    let mut object = stored::decode(&entry)?.value;
    if meta::uid(&object) != definition.uid || !waits(&object) {
        return Ok(());
    }
    let kept: Vec<Value> =
        meta::finalizers(&object).into_iter().filter(|kept| *kept != FINALIZER).map(Value::from).collect();
    meta::set(&mut object, "finalizers", (!kept.is_empty()).then_some(json!(kept)));
    names::set_condition(
        &mut object,
        "Terminating",
        false,
        "InstanceDeletionCompleted",
        "removed all instances",
    );
    let expect = Expect::At(entry.revision);
    let vanishes = meta::may_vanish(&object);
    let txn = match vanishes {
        true => Txn::new().delete(key, expect),
        false => Txn::new().put(key, stored::encode(&object)?, expect),
    };
    if vanishes {
        server.custom.withdraw(name);
    }
    if let Err(error) = server.store.write(txn).await {
        server.custom.reload(&server.store, name)?;
        return Err(ApiError::internal(error.to_string()));
    }
    if vanishes {
        reconsider(server, &definition.group).await?;
    }
    Ok(())
}

/// Names became free: definitions of the group that wait for one may have it now. The caller holds the turn.
pub(crate) async fn reconsider(server: &Arc<Server>, group: &str) -> Result<(), ApiError> {
    let waiting = |definition: &Definition| definition.group == group && !definition.all_accepted;
    let waiting: Vec<String> = {
        let definitions = server.custom.read();
        definitions
            .iter()
            .filter(|(_, definition)| waiting(definition))
            .map(|(name, _)| name.clone())
            .collect()
    };
    for name in waiting {
        let key = format!("{PREFIX}/{name}");
        let Some(entry) = server.store.get(&key) else { continue };
        let before = stored::decode(&entry)?;
        let mut object = before.value.clone();
        names::settle(&server.custom, &mut object);
        if meta::same(&before, &object) {
            continue;
        }
        server.custom.announce(&object);
        let txn = Txn::new().put(key, stored::encode(&object)?, Expect::At(entry.revision));
        if let Err(error) = server.store.write(txn).await {
            server.custom.reload(&server.store, &name)?;
            return Err(ApiError::internal(error.to_string()));
        }
    }
    Ok(())
}
