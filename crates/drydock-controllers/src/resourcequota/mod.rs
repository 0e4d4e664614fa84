//! Writes down how much of each ResourceQuota its namespace uses.
//!
//! Reads: ResourceQuota, and every object of the kinds it counts. Writes: quota status. Refusing what does not fit is
//! the API's work, which counts for itself: this status is for people and their tools.
//!
//! Start at [`reconcile`]; [`status`] is pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_kinds::KindSpec;
use drydock_kinds::quota::Counted;
use drydock_kinds::resources::{Amounts, add};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaStatus};
use k8s_openapi::apimachinery::pkg::api::resource;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kubernetes_quantity::Quantity;
use serde_json::Value;

use crate::cache::Meta;
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::{Object, WriteError};
use crate::queue::Queue;
use crate::watches::Watches;

const NAME: &str = "resourcequota-controller";
/// How old the count of kinds that nobody watches may grow.
const RECOUNT: Duration = Duration::from_secs(10);
/// Kinds whose changes wake us.
const WATCHED: [&str; 3] = ["pods", "services", "persistentvolumeclaims"];

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 1,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.quotas);
    watches.on(&kinds.pods, |cx, queue, old, new| recount(cx, queue, new.or(old)));
    watches.on(&kinds.services, |cx, queue, old, new| recount(cx, queue, new.or(old)));
    watches.on(&kinds.claims, |cx, queue, old, new| recount(cx, queue, new.or(old)));
}

/// Counts anew when an object comes, goes or changes.
fn recount<K: Object>(cx: &Cx, queue: &Queue, changed: Option<&Arc<K>>) {
    let Some(key) = changed.map(|object| Key::of(Meta::meta(&**object))) else { return };
    let quotas = cx.kinds.quotas.cache.in_namespace(&key.namespace);
    quotas.iter().for_each(|quota| queue.add(Key::of(&quota.metadata)));
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(quota) = cx.kinds.quotas.get(key) else { return Ok(Next::WaitForChange) };
    let value = serde_json::to_value(&*quota).unwrap_or_default();
    let counted = counted_kinds(&value);
    let mut objects = BTreeMap::new();
    for spec in &counted {
        objects.insert((spec.group, spec.plural), list(cx, &key.namespace, spec).await?);
    }
    let wanted = status(&value, &objects, cx.now());
    if quota.status.as_ref() != Some(&wanted) {
        let updated = ResourceQuota { status: Some(wanted), ..(*quota).clone() };
        cx.kinds.quotas.replace_status(&updated).await?;
    }
    let all_watched = counted.iter().all(|spec| spec.group.is_empty() && WATCHED.contains(&spec.plural));
    Ok(if all_watched { Next::WaitForChange } else { Next::After(RECOUNT) })
}

/// The kinds that a quota says something about.
fn counted_kinds(quota: &Value) -> Vec<&'static KindSpec> {
    let hard = drydock_kinds::quota::hard(quota);
    let concerns = |spec: &&KindSpec| {
        let counted = Counted::of(spec.group, spec.plural);
        hard.keys().any(|resource| counted.concerns(resource))
    };
    let stored =
        |spec: &&KindSpec| spec.is_namespaced() && spec.stored.is_none() && spec.verbs.contains(&"list");
    drydock_kinds::catalog().iter().filter(stored).filter(concerns).collect()
}

async fn list(cx: &Cx, namespace: &str, spec: &KindSpec) -> Result<Vec<Value>, WriteError> {
    let kind = GroupVersionKind::gvk(spec.group, spec.version, spec.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, spec.plural);
    let api: Api<DynamicObject> = Api::namespaced_with(cx.client.clone(), namespace, &resource);
    let listed = api.list(&ListParams::default()).await;
    let listed = listed.map_err(|source| {
        WriteError::new("list", format!("{} of namespace `{namespace}`", spec.plural), source)
    })?;
    Ok(listed.items.iter().map(|object| serde_json::to_value(object).unwrap_or_default()).collect())
}

fn status(
    quota: &Value,
    objects: &BTreeMap<(&'static str, &'static str), Vec<Value>>,
    now: Timestamp,
) -> ResourceQuotaStatus {
    let hard = drydock_kinds::quota::hard(quota);
    let mut used: Amounts = hard.keys().map(|name| (name.clone(), Quantity::ZERO)).collect();
    for ((group, plural), objects) in objects {
        let counted = Counted::of(group, plural);
        for object in objects.iter().filter(|object| counted.is_counted_by(quota, object)) {
            add(&mut used, &counted.usage(object, now));
        }
    }
    used.retain(|name, _| hard.contains_key(name));
    ResourceQuotaStatus { hard: Some(texts(&hard)), used: Some(texts(&used)) }
}

fn texts(amounts: &Amounts) -> BTreeMap<String, resource::Quantity> {
    let text = |(name, amount): (&String, &Quantity)| (name.clone(), resource::Quantity(amount.to_string()));
    amounts.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_uses_what_its_objects_use_together() {
        let quota = json!({ "spec": { "hard": { "pods": "5", "requests.cpu": "2", "secrets": "9" } } });
        let pod = json!({ "spec": { "containers": [{ "resources": { "requests": { "cpu": "300m" } } }] } });
        let objects = [(("", "pods"), vec![pod.clone(), pod])].into();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let status = status(&quota, &objects, now);
        let used = status.used.unwrap();
        assert_eq!((&*used["pods"].0, &*used["requests.cpu"].0, &*used["secrets"].0), ("2", "600m", "0"));
        assert_eq!(status.hard.unwrap()["requests.cpu"].0, "2");
    }

    #[test]
    fn only_the_kinds_a_quota_names_are_listed() {
        let quota = json!({ "spec": { "hard": { "pods": "5", "count/deployments.apps": "1" } } });
        let plurals: Vec<&str> = counted_kinds(&quota).iter().map(|spec| spec.plural).collect();
        assert_eq!(plurals, ["pods", "deployments"]);
    }
}
