//! Brings the default roles and bindings into the store at every start.
//!
//! What is missing is created. What is there gets the rights and subjects it lacks, and keeps what somebody added,
//! unless its annotation `rbac.authorization.kubernetes.io/autoupdate` says `false`: then it is left alone.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use crate::auth::rbac::defaults::{self, AUTOUPDATE};
use crate::auth::rbac::policy::GROUP;
use crate::auth::rbac::rule::Rule;
use crate::bootstrap;
use crate::server::Server;
use crate::status::ApiError;
use crate::{meta, stored};

/// Writes under way at once; they share the store's commits.
const AT_ONCE: usize = 64;

pub(crate) async fn run(server: &Arc<Server>) -> Result<(), ApiError> {
    let objects = defaults::objects();
    // Bindings last: escalation is no question here, but a binding without its role would be one for readers.
    let (bindings, roles): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object| object["roleRef"].is_object());
    for objects in [roles, bindings] {
        let writes = objects.into_iter().map(|object| ensure(server, object));
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

async fn ensure(server: &Arc<Server>, wanted: Value) -> Result<(), ApiError> {
    let kind = wanted["kind"].as_str().unwrap_or("").to_ascii_lowercase();
    let plural = format!("{kind}s");
    let (namespace, name) = (meta::namespace(&wanted).to_owned(), meta::name(&wanted).to_owned());
    let home = match namespace.as_str() {
        "" => String::new(),
        namespace => format!("namespaces/{namespace}/"),
    };
    let path = format!("/apis/{GROUP}/v1/{home}{plural}");
    let stored = server.store.get(&format!("{GROUP}/{plural}/{namespace}/{name}"));
    let Some(stored) = stored.as_ref().map(stored::decode).transpose()? else {
        return bootstrap::create(server, &path, &wanted).await;
    };
    match plan(&stored.value, &wanted) {
        Plan::Keep => Ok(()),
        Plan::Update(object) => bootstrap::replace(server, &format!("{path}/{name}"), &object).await,
        Plan::Anew => {
            bootstrap::delete(server, &format!("{path}/{name}")).await?;
            bootstrap::create(server, &path, &wanted).await
        }
    }
}

/// What a start does to a default object that is there.
#[derive(Debug, PartialEq)]
enum Plan {
    Keep,
    Update(Value),
    /// It gives another role, which cannot be changed.
    Anew,
}

fn plan(stored: &Value, wanted: &Value) -> Plan {
    if stored["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return Plan::Keep;
    }
    if wanted["roleRef"].is_object() && stored["roleRef"] != wanted["roleRef"] {
        return Plan::Anew;
    }
    let mut object = stored.clone();
    for field in ["labels", "annotations"] {
        for (key, value) in wanted["metadata"][field].as_object().into_iter().flatten() {
            object["metadata"][field][key] = value.clone();
        }
    }
    if wanted["aggregationRule"].is_object() {
        object["aggregationRule"] = wanted["aggregationRule"].clone();
    } else if wanted["rules"].is_array() {
        add(&mut object, "rules", lacking_rules(stored, wanted));
    }
    if wanted["subjects"].is_array() {
        let has = |subject: &&Value| !list(stored, "subjects").contains(subject);
        add(&mut object, "subjects", list(wanted, "subjects").iter().filter(has).cloned().collect());
    }
    if object == *stored { Plan::Keep } else { Plan::Update(object) }
}

fn lacking_rules(stored: &Value, wanted: &Value) -> Vec<Value> {
    let held = Rule::list(&stored["rules"]);
    let lacks = |rule: &Rule| !crate::auth::rbac::rule::missing(&held, std::slice::from_ref(rule)).is_empty();
    Rule::list(&wanted["rules"]).iter().filter(|rule| lacks(rule)).map(Rule::to_value).collect()
}

fn list<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    object[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn add(object: &mut Value, field: &str, more: Vec<Value>) {
    if more.is_empty() {
        return;
    }
    match object[field].as_array_mut() {
        Some(list) => list.extend(more),
        None => object[field] = json!(more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(rules: Value, autoupdate: &str) -> Value {
        json!({ "metadata": { "name": "a", "annotations": { AUTOUPDATE: autoupdate } }, "rules": rules })
    }

    fn rule(verb: &str) -> Value {
        json!({ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] })
    }

    #[test]
    fn a_role_that_holds_everything_is_kept_with_what_was_added() {
        let stored = role(json!([rule("get"), rule("delete")]), "true");
        assert_eq!(plan(&stored, &role(json!([rule("get")]), "true")), Plan::Keep);
    }

    #[test]
    fn a_role_that_lacks_a_rule_gets_it() {
        let Plan::Update(object) =
            plan(&role(json!([rule("delete")]), "true"), &role(json!([rule("get")]), "true"))
        else {
            panic!("not updated");
        };
        assert_eq!(object["rules"], json!([rule("delete"), rule("get")]));
    }

    #[test]
    fn what_somebody_took_into_their_own_hands_is_left_alone() {
        assert_eq!(plan(&role(json!([]), "false"), &role(json!([rule("get")]), "true")), Plan::Keep);
    }

    #[test]
    fn an_aggregated_role_keeps_the_rules_it_gathered() {
        let mut wanted = role(json!([]), "true");
        wanted["aggregationRule"] = json!({ "clusterRoleSelectors": [] });
        let mut stored = role(json!([rule("get")]), "true");
        stored["aggregationRule"] = wanted["aggregationRule"].clone();
        assert_eq!(plan(&stored, &wanted), Plan::Keep);
    }

    #[test]
    fn a_binding_that_gives_another_role_is_made_anew_and_one_that_lost_a_subject_gets_it_back() {
        let binding = |role: &str, subjects: Value| {
            json!({ "metadata": { "name": "a", "annotations": { AUTOUPDATE: "true" } },
                "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": subjects })
        };
        let group = json!({ "kind": "Group", "name": "g" });
        assert_eq!(plan(&binding("x", json!([])), &binding("y", json!([]))), Plan::Anew);
        let other = json!({ "kind": "User", "name": "u" });
        let planned = plan(&binding("x", json!([other])), &binding("x", json!([group])));
        assert_eq!(planned, Plan::Update(binding("x", json!([other, group]))));
    }
}
