//! Fills ClusterRoles with the rules of those they gather by label, as `admin`, `edit` and `view` do.
//!
//! Reads: ClusterRole. Writes: the rules of ClusterRoles that have an aggregationRule. A change of any role wakes all
//! that gather, since what one gathers others may gather again; the rules of gathered roles are never touched.
//!
//! Start at [`reconcile`]; the decision is [`gathered`], which is pure.

use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::selector;
use crate::watches::Watches;

/// The name others see in `managedFields`, as in any cluster.
const NAME: &str = "clusterrole-aggregation-controller";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 1,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    // Its own list, because the cache must not be asked from inside its own notice.
    let gatherers = Mutex::new(Vec::<String>::new());
    watches.on(&watches.cx.kinds.cluster_roles, move |_, queue, old, new| {
        let mut gatherers = gatherers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(role) = new.or(old) {
            let name = Key::of(&role.metadata).name;
            gatherers.retain(|known| *known != name);
            if new.is_some_and(|role| role.aggregation_rule.is_some()) {
                gatherers.push(name);
            }
        }
        gatherers.iter().for_each(|name| queue.add(Key::cluster(name)));
    });
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, kube::Error> {
    let Some(role) = cx.kinds.cluster_roles.get(key) else { return Ok(Next::WaitForChange) };
    let mut all = cx.kinds.cluster_roles.cache.all();
    all.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let Some(rules) = gathered(&role, &all) else { return Ok(Next::WaitForChange) };
    if role.rules.as_deref().unwrap_or_default() == rules {
        return Ok(Next::WaitForChange);
    }
    let patch = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": key.name }, "rules": rules,
    });
    let params = PatchParams::apply(NAME).force();
    Api::<ClusterRole>::all(cx.client.clone()).patch(&key.name, &params, &Patch::Apply(patch)).await?;
    Ok(Next::WaitForChange)
}

/// The rules `role` should have, each once and in the order of the roles' names; `None` when it gathers nothing.
fn gathered(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Option<Vec<PolicyRule>> {
    let selectors = role.aggregation_rule.as_ref()?.cluster_role_selectors.as_deref().unwrap_or_default();
    let mut rules: Vec<PolicyRule> = Vec::new();
    for wanted in selectors {
        let others = all.iter().filter(|other| other.metadata.name != role.metadata.name);
        for other in others.filter(|other| selector::matches(wanted, other.metadata.labels.as_ref())) {
            for rule in other.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str, label: &str, verb: &str, gathers: &[&str]) -> Arc<ClusterRole> {
        let selectors: Vec<_> =
            gathers.iter().map(|label| json!({ "matchLabels": { *label: "true" } })).collect();
        let mut role = json!({ "metadata": { "name": name, "labels": { label: "true" } },
            "rules": [{ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] }] });
        if !gathers.is_empty() {
            role["aggregationRule"] = json!({ "clusterRoleSelectors": selectors });
        }
        Arc::new(serde_json::from_value(role).unwrap())
    }

    #[track_caller]
    fn check(gathers: &[&str], others: &[Arc<ClusterRole>], expect: Option<&[&str]>) {
        let own = role("own", "to-own", "own", gathers);
        let mut all = others.to_vec();
        all.push(own.clone());
        let rules = gathered(&own, &all);
        let verbs = rules.map(|rules| rules.into_iter().flat_map(|rule| rule.verbs).collect::<Vec<_>>());
        assert_eq!(verbs, expect.map(|verbs| verbs.iter().map(|verb| (*verb).to_owned()).collect()));
    }

    #[test]
    fn a_role_without_a_rule_for_it_gathers_nothing() {
        check(&[], &[role("a", "to-own", "get", &[])], None);
    }

    #[test]
    fn the_rules_of_roles_with_the_label_are_gathered_each_once() {
        let (a, b, c) =
            (role("a", "to-x", "get", &[]), role("b", "to-x", "get", &[]), role("c", "to-x", "list", &[]));
        check(&["to-x"], &[a, b, c, role("d", "other", "delete", &[])], Some(&["get", "list"]));
    }

    #[test]
    fn a_role_does_not_gather_itself() {
        check(&["to-own"], &[role("a", "to-own", "get", &[])], Some(&["get"]));
    }

    #[test]
    fn a_role_that_matches_nothing_has_no_rules() {
        check(&["nobody"], &[role("a", "to-x", "get", &[])], Some(&[]));
    }
}
