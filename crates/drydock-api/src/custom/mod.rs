//! Custom kinds: what CustomResourceDefinitions bring, kept in step with the store.
//!
//! A definition is announced here just before the write that a client can see, so whoever sees it established can use
//! it at once; when the write fails, what is stored counts again. Writes of definitions take turns.
//!
//! Start at [`Registry`]. `names` settles who gets which name, `cleanup` empties a kind that is being deleted.

pub(crate) mod cleanup;
mod names;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use drydock_kinds::{CustomKind, custom};
use drydock_store::{List, Store, Txn, WriteError};
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, OwnedRwLockReadGuard};

use crate::meta;
use crate::served::ServedKind;
use crate::server::Server;
use crate::status::ApiError;
use crate::stored;

pub(crate) const GROUP: &str = "apiextensions.k8s.io";
pub(crate) const PLURAL: &str = "customresourcedefinitions";
const PREFIX: &str = "apiextensions.k8s.io/customresourcedefinitions/";

/// The custom kinds of a server.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    definitions: RwLock<BTreeMap<String, Arc<Definition>>>,
    /// Held by whoever writes a definition.
    writing: Mutex<()>,
}

/// One definition, as far as serving needs it.
#[derive(Debug)]
pub(crate) struct Definition {
    pub uid: String,
    pub group: String,
    /// Names that no other definition of the group may take.
    accepted: Value,
    all_accepted: bool,
    established: bool,
    /// Changes whenever what is published for it changes.
    fingerprint: u64,
    pub terminating: bool,
    served: Vec<Arc<CustomKind>>,
    storage: Option<Arc<CustomKind>>,
    /// Read by those who create objects, written by the one who wants no more of them.
    gate: Arc<tokio::sync::RwLock<()>>,
}

/// Held while an object of a custom kind is created: its kind is not emptied meanwhile.
pub(crate) struct Entered {
    _gate: OwnedRwLockReadGuard<()>,
}

impl Registry {
    /// Reads all stored definitions. Called once, before the first request.
    pub fn load(&self, store: &Store) -> Result<(), ApiError> {
        let page = store.list(List { prefix: PREFIX, ..List::default() });
        let page = page.map_err(|error| ApiError::internal(error.to_string()))?;
        for item in page.items {
            self.announce(&stored::decode(&item.entry)?.value);
        }
        Ok(())
    }

    /// The served kind of a custom group, version and plural.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<ServedKind> {
        let definition = self.definition(&format!("{plural}.{group}"))?;
        let served = definition.served.iter().filter(|_| definition.established);
        let kind = served.into_iter().find(|kind| kind.version == version)?;
        Some(ServedKind::of_custom(kind.clone()))
    }

    /// All served custom kinds: by group, the best version first, then by name.
    pub fn all(&self) -> Vec<ServedKind> {
        let definitions = self.read();
        let established = definitions.values().filter(|definition| definition.established);
        let mut kinds: Vec<&Arc<CustomKind>> =
            established.flat_map(|definition| &definition.served).collect();
        kinds.sort_by(|a, b| {
            let order = a.group.cmp(&b.group);
            let order = order.then_with(|| custom::version_order(&a.version, &b.version));
            order.then_with(|| a.plural.cmp(&b.plural))
        });
        kinds.into_iter().cloned().map(ServedKind::of_custom).collect()
    }

    /// The stored definitions that are served.
    pub fn definitions(&self, store: &Store) -> Result<Vec<Value>, ApiError> {
        let served =
            |(name, definition): (&String, &Arc<Definition>)| definition.established.then(|| name.clone());
        let names: Vec<String> = self.read().iter().filter_map(served).collect();
        let stored = names.iter().filter_map(|name| store.get(&format!("{PREFIX}/{name}")));
        stored.map(|entry| Ok(stored::decode(&entry)?.value)).collect()
    }

    /// The group versions of custom kinds, each with what changes when one of its kinds does.
    pub fn fingerprints(&self) -> BTreeMap<(String, String), u64> {
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for definition in self.read().values().filter(|definition| definition.established) {
            for kind in &definition.served {
                let sum = found.entry((kind.group.clone(), kind.version.clone())).or_default();
                *sum = sum.rotate_left(1) ^ definition.fingerprint;
            }
        }
        found
    }

    /// For writes of definitions: one at a time. `None` for every other kind.
    pub async fn hold(&self, kind: &ServedKind) -> Option<MutexGuard<'_, ()>> {
        match kind.is(GROUP, PLURAL) {
            true => Some(self.writing.lock().await),
            false => None,
        }
    }

    /// A place among those who create objects of this kind, unless it is about to go. Nothing for built-in kinds.
    pub async fn enter(&self, kind: &ServedKind) -> Result<Option<Entered>, ApiError> {
        let Some(custom) = kind.custom() else { return Ok(None) };
        let definition = self.definition(&custom.definition).ok_or_else(ApiError::no_such_path)?;
        let entered = Entered { _gate: definition.gate.clone().read_owned().await };
        let terminating = self.definition(&custom.definition).is_none_or(|definition| definition.terminating);
        if terminating {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(ApiError::method_not_allowed().with_message(why));
        }
        Ok(Some(entered))
    }

    /// Makes known what a definition says from now on.
    pub fn announce(&self, definition: &Value) {
        let name = meta::name(definition).to_owned();
        let known = self.definition(&name).filter(|known| known.uid == meta::uid(definition));
        let gate = known.map(|known| known.gate.clone()).unwrap_or_default();
        let served = CustomKind::all(definition);
        let storage = served.iter().find(|kind| kind.version == kind.storage_version).cloned();
        let entry = Definition {
            uid: meta::uid(definition).to_owned(),
            group: definition["spec"]["group"].as_str().unwrap_or("").to_owned(),
            accepted: definition["status"]["acceptedNames"].clone(),
            all_accepted: names::has_condition(definition, "NamesAccepted"),
            established: names::has_condition(definition, "Established"),
            fingerprint: custom::openapi::fingerprint(definition),
            terminating: meta::is_deleting(definition),
            storage: storage.or_else(|| CustomKind::stored(definition)),
            served,
            gate,
        };
        self.write().insert(name, Arc::new(entry));
    }

    pub fn withdraw(&self, name: &str) {
        self.write().remove(name);
    }

    /// Goes back to what is stored, after a write that did not happen.
    pub fn reload(&self, store: &Store, name: &str) -> Result<(), ApiError> {
        match store.get(&format!("{PREFIX}/{name}")) {
            Some(entry) => self.announce(&stored::decode(&entry)?.value),
            None => self.withdraw(name),
        }
        Ok(())
    }

    fn definition(&self, name: &str) -> Option<Arc<Definition>> {
        self.read().get(name).cloned()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Definition>>> {
        self.definitions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Definition>>> {
        self.definitions.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// A served kind, built-in or custom.
    pub(crate) fn kind(&self, group: &str, version: &str, plural: &str) -> Option<ServedKind> {
        ServedKind::find(group, version, plural).or_else(|| self.custom.find(group, version, plural))
    }

    /// All served kinds, in the order of discovery.
    pub(crate) fn kinds(&self) -> Vec<ServedKind> {
        ServedKind::all().chain(self.custom.all()).collect()
    }
}

/// Whether this is a definition whose write the registry has to know of.
pub(crate) fn is_definition(kind: &ServedKind) -> bool {
    kind.is(GROUP, PLURAL)
}

/// Carries out the write of a definition. Announced first, taken back when it does not happen. The caller holds the turn.
pub(crate) async fn write(
    server: &Arc<Server>,
    txn: Txn,
    definition: &Value,
    vanishes: bool,
) -> Result<u64, WriteError> {
    let name = meta::name(definition);
    match vanishes {
        true => server.custom.withdraw(name),
        false => server.custom.announce(definition),
    }
    let outcome = server.store.write(txn).await;
    match &outcome {
        Err(_) => server.custom.reload(&server.store, name),
        Ok(_) => {
            cleanup::start(server, definition);
            let group = definition["spec"]["group"].as_str().unwrap_or("");
            cleanup::reconsider(server, group).await
        }
    }
    .unwrap_or_else(|error| tracing::warn!(definition = name, "{}", error.message));
    outcome
}

/// What admission adds to a definition: who gets which name, and whether it is served.
pub(crate) fn settle(server: &Server, definition: &mut Value) {
    names::settle(&server.custom, definition);
}

/// What a deletion adds to a definition: its objects go first.
pub(crate) fn mark_deleted(definition: &mut Value) {
    cleanup::mark(definition);
}
