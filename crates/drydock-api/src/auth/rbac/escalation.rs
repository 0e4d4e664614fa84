//! Nobody gives away more than they have.
//!
//! Whoever writes a role must hold every right in it, and whoever writes a binding every right of the role it gives,
//! unless they were given the verb `escalate` or `bind` for it. Asked before a role or binding is stored.

use serde_json::Value;

use crate::auth::User;
use crate::auth::rbac::policy::{GROUP, Policy, RoleRef};
use crate::auth::rbac::rule::{self, Rule};
use crate::auth::rbac::{Attributes, is_allowed};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;

/// `old` is the stored object when this is an update.
pub(crate) fn check(cx: &Cx, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    if cx.kind.group() != GROUP || cx.user.is_master() || old.is_some_and(|old| changes_nothing(new, old)) {
        return Ok(());
    }
    match cx.kind.plural() {
        "roles" | "clusterroles" => check_role(cx, new, old),
        "rolebindings" | "clusterrolebindings" => check_binding(cx, new),
        _ => Ok(()),
    }
}

/// Whether only fields differ that the garbage collector writes.
fn changes_nothing(new: &Value, old: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.clone();
        for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
            meta::set(&mut object, field, None);
        }
        object
    };
    rest(new) == rest(old)
}

fn check_role(cx: &Cx, new: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let wanted = Attributes { namespace: cx.path.namespace.as_deref(), ..asked(cx, "escalate") };
    if is_allowed(&cx.server, &cx.user, &wanted) {
        return Ok(());
    }
    let policy = cx.server.policy.current(&cx.server.store);
    let namespace = cx.path.namespace.as_deref();
    let refused = |why: &str| ApiError::forbidden(GROUP, cx.kind.plural(), meta::name(new), why);
    confirm(&policy, &cx.user, namespace, &Rule::list(&new["rules"])).map_err(|why| refused(&why))?;
    let gathers = |role: &Value| {
        let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
        selectors.is_some_and(|selectors| !selectors.is_empty())
    };
    // It can gather anything, so it needs everything.
    if (gathers(new) || old.is_some_and(gathers))
        && confirm(&policy, &cx.user, namespace, &full_authority()).is_err()
    {
        return Err(refused("must have cluster-admin privileges to use the aggregationRule"));
    }
    Ok(())
}

fn asked<'a>(cx: &'a Cx, verb: &'a str) -> Attributes<'a> {
    Attributes { verb, group: GROUP, plural: cx.kind.plural(), name: cx.path.name(), ..Attributes::default() }
}

fn full_authority() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), urls: all(), ..Rule::default() },
    ]
}

fn check_binding(cx: &Cx, new: &Value) -> Result<(), ApiError> {
    let role = RoleRef::of(new);
    let namespace = cx.path.namespace.as_deref();
    let plural = match role.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "Role" => "roles",
        // Validation says what is wrong with it.
        _ => return Ok(()),
    };
    let bind = Attributes {
        verb: "bind",
        group: GROUP,
        plural,
        namespace,
        name: &role.name,
        ..Attributes::default()
    };
    if is_allowed(&cx.server, &cx.user, &bind) {
        return Ok(());
    }
    let policy = cx.server.policy.current(&cx.server.store);
    let rules = policy.role(&role, namespace.unwrap_or(""));
    let rules = rules.map_err(|_| ApiError::not_found(GROUP, plural, &role.name))?;
    confirm(&policy, &cx.user, namespace, rules)
        .map_err(|why| ApiError::forbidden(GROUP, cx.kind.plural(), meta::name(new), &why))
}

/// `Err` says what `user` does not hold of `rules`.
fn confirm(policy: &Policy, user: &User, namespace: Option<&str>, rules: &[Rule]) -> Result<(), String> {
    let mut held = Vec::new();
    let errors = policy.visit(user, namespace, |grant| {
        held.push(grant.rule.clone());
        false
    });
    let lacking = rule::missing(&held, rules);
    if lacking.is_empty() {
        return Ok(());
    }
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        rule::quoted(&user.groups),
        lacking.join("\n")
    );
    let errors = errors.unwrap_or_default();
    if !errors.is_empty() {
        why += &format!("; resolution errors: [{}]", errors.join(", "));
    }
    Err(why)
}
