//! Whether a user may do something, by the roles and bindings in the store.
//!
//! `system:masters` may do everything. All else needs a rule in a ClusterRole or Role that a binding gives to the
//! user, a group of theirs, or their service account; what everybody may do is said by the default roles (`defaults`),
//! as in any cluster. Decisions are made in memory: `cache` follows the stored objects. `rule` and `policy` are pure.
//!
//! Start at [`authorize`].

pub mod cache;
pub mod defaults;
pub mod escalation;
pub mod policy;
pub mod reconcile;
pub mod rule;

use crate::auth::User;
use crate::request::{Query, ResourcePath};
use crate::server::Server;
use crate::status::ApiError;

/// One question: may this happen?
#[derive(Debug, Clone, Default)]
pub struct Attributes<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    pub plural: &'a str,
    pub subresource: &'a str,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    /// Set instead of the others for paths that name no object.
    pub path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    pub fn of(path: &'a ResourcePath, verb: &'a str, query: &'a Query) -> Self {
        // A namespace is asked about from inside: who may see things in it may be allowed to see it too.
        let inside = (path.group.is_empty() && path.plural == "namespaces").then_some(path.name.as_deref());
        let name = match &path.name {
            Some(name) => name,
            None if matches!(verb, "list" | "watch" | "deletecollection") => selected_name(query),
            None => "",
        };
        Self {
            verb,
            group: &path.group,
            plural: &path.plural,
            subresource: &path.subresource,
            namespace: path.namespace.as_deref().or(inside.flatten()),
            name,
            path: None,
        }
    }

    pub fn of_path(path: &'a str, verb: &'a str) -> Self {
        Self { verb, path: Some(path), ..Self::default() }
    }

    fn resource(&self) -> String {
        match self.subresource {
            "" => self.plural.to_owned(),
            subresource => format!("{}/{subresource}", self.plural),
        }
    }
}

/// The one name that a field selector leaves, so that a right to one object allows to watch it.
fn selected_name(query: &Query) -> &str {
    let terms = query.get("fieldSelector").unwrap_or("").split(',');
    let name = |term: &'_ str| {
        let value = term.strip_prefix("metadata.name=")?;
        Some(value.len() - value.trim_start_matches('=').len() + "metadata.name=".len())
    };
    let mut names = terms.filter_map(|term| Some(&term[name(term)?..]));
    names.next().unwrap_or("")
}

/// An answer to [`Attributes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// What gave the right, or what stood in the way of looking everywhere; often nothing.
    pub reason: String,
}

pub(crate) fn decide(server: &Server, user: &User, wanted: &Attributes<'_>) -> Decision {
    if user.is_master() {
        return Decision { allowed: true, reason: String::new() };
    }
    let policy = server.policy.current(&server.store);
    let mut reason = String::new();
    let looked = policy.visit(user, wanted.namespace, |grant| {
        let allows = grant.rule.allows(wanted);
        if allows {
            reason = grant.reason();
        }
        allows
    });
    match looked {
        None => Decision { allowed: true, reason },
        Some(errors) => {
            let reason = match errors.as_slice() {
                [] => String::new(),
                [one] => format!("RBAC: {one}"),
                many => format!("RBAC: [{}]", many.join(", ")),
            };
            Decision { allowed: false, reason }
        }
    }
}

pub(crate) fn is_allowed(server: &Server, user: &User, wanted: &Attributes<'_>) -> bool {
    decide(server, user, wanted).allowed
}

pub(crate) fn authorize(server: &Server, user: &User, wanted: &Attributes<'_>) -> Result<(), ApiError> {
    let decision = decide(server, user, wanted);
    match decision.allowed {
        true => Ok(()),
        false => Err(refusal(user, wanted, &decision.reason)),
    }
}

fn refusal(user: &User, wanted: &Attributes<'_>, reason: &str) -> ApiError {
    let name = &user.name;
    let tail = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if let Some(path) = wanted.path {
        return ApiError::forbidden_path(&format!(
            "User {name:?} cannot {} path {path:?}{tail}",
            wanted.verb
        ));
    }
    let (verb, resource, group) = (wanted.verb, wanted.resource(), wanted.group);
    let place = match wanted.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let why =
        format!("User {name:?} cannot {verb} resource {resource:?} in API group {group:?} {place}{tail}");
    ApiError::forbidden(wanted.group, wanted.plural, wanted.name, &why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expect: &str) {
        let uri: http::Uri = format!("/api/v1/pods?{query}").parse().unwrap();
        assert_eq!(selected_name(&Query::of(&uri)), expect);
    }

    #[test]
    fn a_name_in_the_field_selector_is_the_name_asked_about() {
        check("fieldSelector=metadata.name%3Da", "a");
        check("fieldSelector=metadata.name==a", "a");
        check("fieldSelector=status.phase%3DRunning,metadata.name%3Da", "a");
        check("fieldSelector=metadata.name!=a", "");
        check("fieldSelector=spec.nodeName%3Da", "");
        check("", "");
    }
}
