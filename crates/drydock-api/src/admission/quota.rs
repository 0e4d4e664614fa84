//! ResourceQuota: a namespace uses no more than it may.
//!
//! What is used is counted afresh from the stored objects, so no creation slips past a count that is behind.

use drydock_kinds::quota::{Counted, hard};
use drydock_kinds::resources::{Amounts, add};
use kubernetes_quantity::Quantity;
use serde_json::Value;
use tokio::sync::MutexGuard;

use super::{all, forbidden};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

/// A place under the quotas of a namespace; hold it until the object is stored.
pub(crate) type Reserved<'s> = Option<MutexGuard<'s, ()>>;

/// Refuses an object that does not fit. `old` is the stored object on an update.
pub(crate) async fn reserve<'s>(
    cx: &'s Cx,
    new: &Value,
    old: Option<&Value>,
) -> Result<Reserved<'s>, ApiError> {
    let Some(namespace) = cx.path.namespace.as_deref() else { return Ok(None) };
    if old.is_some() && !changes_usage(cx) {
        return Ok(None);
    }
    let counted = Counted::of(cx.kind.group(), cx.kind.plural());
    let prefix = format!("core/resourcequotas/{namespace}/");
    if !all(cx, &prefix)?.iter().any(|quota| counted.is_counted_by(quota, new)) {
        return Ok(None);
    }
    let held = cx.server.quota.lock().await;
    // Again, as things may have changed while we waited.
    let quotas = all(cx, &prefix)?;
    for quota in quotas.iter().filter(|quota| counted.is_counted_by(quota, new)) {
        let name = meta::name(quota);
        if let Some(why) = counted.unstated(quota, new).filter(|_| old.is_none()) {
            return Err(forbidden(cx, new, &format!("failed quota: {name}: {why}")));
        }
        let before = old.filter(|old| counted.is_counted_by(quota, old));
        let requested = requested(cx, counted, new, before);
        let used = used(cx, counted, quota, &requested)?;
        if let Some(excess) = excess(&hard(quota), &requested, &used) {
            return Err(forbidden(cx, new, &format!("exceeded quota: {name}, {excess}")));
        }
    }
    Ok(Some(held))
}

/// Updates of other kinds use what they used before.
fn changes_usage(cx: &Cx) -> bool {
    let plurals = ["pods", "services", "persistentvolumeclaims"];
    cx.path.subresource.is_empty() && plurals.iter().any(|plural| cx.kind.is("", plural))
}

/// What the object needs on top of what it has.
fn requested(cx: &Cx, counted: Counted<'_>, new: &Value, old: Option<&Value>) -> Amounts {
    let mut wanted = counted.usage(new, cx.now);
    for (name, amount) in old.map(|old| counted.usage(old, cx.now)).unwrap_or_default() {
        if let Some(entry) = wanted.get_mut(&name) {
            *entry = entry.minus(amount).max(Quantity::ZERO);
        }
    }
    wanted.retain(|_, amount| !amount.is_zero());
    wanted
}

fn used(cx: &Cx, counted: Counted<'_>, quota: &Value, requested: &Amounts) -> Result<Amounts, ApiError> {
    let mut sum = Amounts::new();
    if requested.is_empty() {
        return Ok(sum);
    }
    for object in all(cx, &cx.kind.prefix_in(cx.path.namespace.as_deref()))? {
        if counted.is_counted_by(quota, &object) {
            add(&mut sum, &counted.usage(&object, cx.now));
        }
    }
    Ok(sum)
}

/// What does not fit: `requested: pods=1, used: pods=2, limited: pods=2`.
fn excess(hard: &Amounts, requested: &Amounts, used: &Amounts) -> Option<String> {
    let of = |amounts: &Amounts, name: &str| amounts.get(name).copied().unwrap_or(Quantity::ZERO);
    let exceeded: Vec<&String> = requested
        .keys()
        .filter(|name| hard.get(*name).is_some_and(|most| of(used, name).plus(of(requested, name)) > *most))
        .collect();
    let list = |amounts: &Amounts| {
        let parts = exceeded.iter().map(|name| format!("{name}={}", of(amounts, name)));
        parts.collect::<Vec<_>>().join(",")
    };
    (!exceeded.is_empty())
        .then(|| format!("requested: {}, used: {}, limited: {}", list(requested), list(used), list(hard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &str) -> Amounts {
        let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, amount)| (name.to_owned(), Quantity::parse(amount).unwrap())).collect()
    }

    #[track_caller]
    fn check(hard: &str, requested: &str, used: &str, expect: Option<&str>) {
        assert_eq!(excess(&amounts(hard), &amounts(requested), &amounts(used)).as_deref(), expect);
    }

    #[test]
    fn only_what_does_not_fit_is_named() {
        check("pods=2", "pods=1,cpu=1", "pods=1", None);
        check("pods=2", "pods=1", "pods=2", Some("requested: pods=1, used: pods=2, limited: pods=2"));
        check(
            "memory=1Gi,pods=9",
            "memory=600Mi,pods=1",
            "memory=500Mi",
            Some("requested: memory=600Mi, used: memory=500Mi, limited: memory=1Gi"),
        );
    }
}
