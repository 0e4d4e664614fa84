//! What the cluster adds to or demands of objects beyond their own kind: the built-in admission plugins, in one chain.
//!
//! A write passes [`mutate`] before its kind's checks and [`validate`] after them; [`quota::reserve`] comes last, as
//! what it promises holds only until the object is stored. Plugins read the store and never write to it.

mod account;
mod classes;
mod lifecycle;
mod limits;
mod podsecurity;
mod priority;
pub(crate) mod quota;
mod runtime;
mod storage;
mod tolerations;

use drydock_store::List;
use serde_json::Value;

use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

pub(crate) use lifecycle::{check_deletion, check_namespace};

/// One plugin, under the name that a cluster's documentation knows it by.
struct Plugin {
    name: &'static str,
    /// Group (empty for core) and plural; `*` for every kind.
    kinds: &'static [(&'static str, &'static str)],
    /// Doors to an object's specification that the plugin guards too; others it leaves alone.
    subresources: &'static [&'static str],
    mutate: Option<Mutate>,
    validate: Option<Validate>,
}

/// Changes the new object; the old one is there when something is updated.
type Mutate = fn(&Cx, &mut Value, Option<&Value>) -> Result<(), ApiError>;
type Validate = fn(&Cx, &Value, Option<&Value>) -> Result<(), ApiError>;

impl Plugin {
    fn note(&self, error: &ApiError) {
        tracing::debug!(plugin = self.name, %error, "a write was refused");
    }
}

const fn mutating(
    name: &'static str,
    kinds: &'static [(&'static str, &'static str)],
    mutate: Mutate,
) -> Plugin {
    Plugin { name, kinds, subresources: &[], mutate: Some(mutate), validate: None }
}

const fn validating(
    name: &'static str,
    kinds: &'static [(&'static str, &'static str)],
    validate: Validate,
) -> Plugin {
    Plugin { name, kinds, subresources: &[], mutate: None, validate: Some(validate) }
}

const PODS: &[(&str, &str)] = &[("", "pods")];
const CLAIMS: &[(&str, &str)] = &[("", "persistentvolumeclaims")];

/// In the order of a real cluster.
const CHAIN: &[Plugin] = &[
    mutating("NamespaceLifecycle", &[("", "namespaces")], lifecycle::default_namespace),
    Plugin {
        name: "LimitRanger",
        kinds: &[("", "pods"), ("", "persistentvolumeclaims")],
        subresources: &["resize"],
        mutate: Some(limits::mutate),
        validate: Some(limits::validate),
    },
    mutating("ServiceAccount", PODS, account::mutate),
    Plugin {
        name: "Priority",
        kinds: &[("", "pods"), ("scheduling.k8s.io", "priorityclasses")],
        subresources: &[],
        mutate: Some(priority::mutate),
        validate: Some(priority::validate),
    },
    Plugin {
        name: "PodSecurity",
        kinds: podsecurity::KINDS,
        subresources: &["ephemeralcontainers", "resize"],
        mutate: None,
        validate: Some(podsecurity::validate),
    },
    mutating("DefaultTolerationSeconds", PODS, tolerations::tolerate_short_outages),
    mutating("DefaultStorageClass", CLAIMS, classes::default_storage_class),
    mutating("StorageObjectInUseProtection", storage::PROTECTED, storage::protect),
    validating("PersistentVolumeClaimResize", CLAIMS, storage::validate_resize),
    mutating("RuntimeClass", PODS, runtime::mutate),
    mutating("DefaultIngressClass", &[("networking.k8s.io", "ingresses")], classes::default_ingress_class),
];

/// Most plugins look at whole objects, not at what comes through their subresources.
fn plugins(cx: &Cx) -> impl Iterator<Item = &'static Plugin> + use<'_> {
    let door = cx.path.subresource.as_str();
    CHAIN
        .iter()
        .filter(move |plugin| door.is_empty() || plugin.subresources.contains(&door))
        .filter(|plugin| plugin.kinds.iter().any(|(group, plural)| cx.kind.is(group, plural)))
}

/// Fills in what depends on other objects. `old` is the stored object on an update.
pub(crate) fn mutate(cx: &Cx, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    for plugin in plugins(cx) {
        if let Some(mutate) = plugin.mutate {
            mutate(cx, new, old).inspect_err(|error| plugin.note(error))?;
        }
    }
    Ok(())
}

/// Refuses what other objects forbid.
pub(crate) fn validate(cx: &Cx, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    for plugin in plugins(cx) {
        if let Some(validate) = plugin.validate {
            validate(cx, new, old).inspect_err(|error| plugin.note(error))?;
        }
    }
    Ok(())
}

/// The refusal of a plugin, as clients know it.
fn forbidden(cx: &Cx, object: &Value, why: &str) -> ApiError {
    let name = match crate::meta::name(object) {
        "" => crate::meta::text(object, "generateName"),
        name => name,
    };
    ApiError::forbidden(cx.kind.group(), cx.kind.plural(), name, why)
}

/// The object under a store key.
fn find(cx: &Cx, key: &str) -> Result<Option<Value>, ApiError> {
    Ok(cx.server.store.get(key).as_ref().map(stored::decode).transpose()?.map(|object| object.value))
}

/// All objects below a store prefix.
fn all(cx: &Cx, prefix: &str) -> Result<Vec<Value>, ApiError> {
    let page = cx.server.store.list(List { prefix, ..List::default() });
    let items = page.map(|page| page.items).unwrap_or_default();
    items.iter().map(|item| Ok(stored::decode(&item.entry)?.value)).collect()
}

fn fill(parent: &mut Value, field: &str, value: Value) {
    if parent.get(field).is_none_or(Value::is_null) {
        parent[field] = value;
    }
}

fn push(parent: &mut Value, field: &str, item: Value) {
    match parent[field].as_array_mut() {
        Some(list) => list.push(item),
        None => parent[field] = serde_json::json!([item]),
    }
}

fn items<'v>(parent: &'v Value, field: &str) -> &'v [Value] {
    parent[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_stands_in_the_chain_once_and_does_something() {
        let mut names: Vec<&str> = CHAIN.iter().map(|plugin| plugin.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHAIN.len());
        assert!(CHAIN.iter().all(|plugin| plugin.mutate.is_some() || plugin.validate.is_some()));
    }

    #[test]
    fn every_plugin_concerns_kinds_that_are_served() {
        for (group, plural) in CHAIN.iter().flat_map(|plugin| plugin.kinds) {
            assert!(crate::served::ServedKind::find(group, "v1", plural).is_some(), "{plural}");
        }
    }
}
