//! All roles and bindings, indexed by whom they are given to.
//!
//! Built from the stored objects and changed object by object, so that a decision looks only at the bindings of the
//! user, their groups and the namespace asked about. Knows nothing of the store: [`Policy::apply`] is handed keys and
//! objects.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::auth::rbac::rule::Rule;
use crate::auth::{User, account_name};

pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Whom a binding gives its role to. A service account is the user it signs in as.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

/// Which role a binding gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRef {
    pub kind: String,
    pub name: String,
}

impl RoleRef {
    pub fn of(binding: &Value) -> Self {
        let text = |field: &str| binding["roleRef"][field].as_str().unwrap_or("").to_owned();
        Self { kind: text("kind"), name: text("name") }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Binding {
    role: RoleRef,
    /// Each with the words that describe it in reasons.
    subjects: Vec<(Subject, String)>,
}

/// The bindings of one namespace, or of the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bindings {
    by_name: HashMap<String, Binding>,
    by_subject: HashMap<Subject, BTreeSet<String>>,
}

/// A rule a user holds, and where from.
pub struct Grant<'a> {
    pub rule: &'a Rule,
    binding: &'a str,
    namespace: &'a str,
    role: &'a RoleRef,
    subject: &'a str,
}

impl Grant<'_> {
    /// As `status.reason` of an access review says it.
    pub fn reason(&self) -> String {
        let (kind, name) = (&self.role.kind, &self.role.name);
        let (word, binding) = match self.namespace {
            "" => ("ClusterRoleBinding", self.binding.to_owned()),
            namespace => ("RoleBinding", format!("{}/{namespace}", self.binding)),
        };
        format!("RBAC: allowed by {word} {binding:?} of {kind} {name:?} to {}", self.subject)
    }
}

/// Everything authorisation needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// By namespace and name; ClusterRoles have no namespace.
    roles: HashMap<(String, String), Arc<[Rule]>>,
    /// By namespace; ClusterRoleBindings have none.
    bindings: HashMap<String, Bindings>,
}

impl Policy {
    /// Takes in what is stored under `key` now: `GROUP/PLURAL/NAMESPACE/NAME`, `None` when it was deleted.
    pub fn apply(&mut self, key: &str, object: Option<&Value>) {
        let mut words = key.splitn(4, '/').skip(1).map(str::to_owned);
        let (Some(plural), Some(namespace), Some(name)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        match plural.as_str() {
            "clusterroles" | "roles" => {
                let place = (namespace, name);
                match object {
                    Some(role) => self.roles.insert(place, Rule::list(&role["rules"]).into()),
                    None => self.roles.remove(&place),
                };
            }
            "clusterrolebindings" | "rolebindings" => {
                let bindings = self.bindings.entry(namespace.clone()).or_default();
                bindings.set(name, object.map(|binding| Binding::of(binding, &namespace)));
                if bindings.by_name.is_empty() {
                    self.bindings.remove(&namespace);
                }
            }
            _ => {}
        }
    }

    /// The rules of a role; `Err` names the one that is missing.
    pub fn role(&self, reference: &RoleRef, namespace: &str) -> Result<&[Rule], String> {
        let (home, kind) = match reference.kind.as_str() {
            "ClusterRole" => ("", "clusterrole"),
            _ => (namespace, "role"),
        };
        let found = self.roles.get(&(home.to_owned(), reference.name.clone()));
        found.map(|rules| &**rules).ok_or_else(|| format!("{kind}.{GROUP} {:?} not found", reference.name))
    }

    /// Shows `visit` the rules `user` holds in `namespace` (`None`: in the whole cluster) until it returns true.
    /// Returns what stood in the way of showing all of them, or `None` when stopped by `visit`.
    pub fn visit<'p>(
        &'p self,
        user: &User,
        namespace: Option<&str>,
        mut visit: impl FnMut(Grant<'p>) -> bool,
    ) -> Option<Vec<String>> {
        let mut errors = Vec::new();
        let own = Subject::User(user.name.clone());
        let groups = user.groups.iter().map(|group| Subject::Group(group.clone()));
        let subjects: Vec<Subject> = std::iter::once(own).chain(groups).collect();
        for scope in std::iter::once("").chain(namespace.filter(|namespace| !namespace.is_empty())) {
            let Some((scope, bindings)) = self.bindings.get_key_value(scope) else { continue };
            for (name, binding, subject) in bindings.of(&subjects) {
                let rules = match self.role(&binding.role, scope) {
                    Ok(rules) => rules,
                    Err(error) => {
                        errors.push(error);
                        continue;
                    }
                };
                for rule in rules {
                    let grant = Grant { rule, binding: name, namespace: scope, role: &binding.role, subject };
                    if visit(grant) {
                        return None;
                    }
                }
            }
        }
        errors.sort();
        errors.dedup();
        Some(errors)
    }
}

impl Bindings {
    fn set(&mut self, name: String, binding: Option<Binding>) {
        if let Some(old) = self.by_name.remove(&name) {
            for (subject, _) in &old.subjects {
                if let Some(names) = self.by_subject.get_mut(subject) {
                    names.remove(&name);
                    if names.is_empty() {
                        self.by_subject.remove(subject);
                    }
                }
            }
        }
        let Some(binding) = binding else { return };
        for (subject, _) in &binding.subjects {
            self.by_subject.entry(subject.clone()).or_default().insert(name.clone());
        }
        self.by_name.insert(name, binding);
    }

    /// The bindings of any of `subjects`, each once.
    fn of<'b>(&'b self, subjects: &[Subject]) -> impl Iterator<Item = (&'b str, &'b Binding, &'b str)> {
        let mut found = BTreeSet::new();
        for subject in subjects {
            found.extend(self.by_subject.get(subject).into_iter().flatten().map(String::as_str));
        }
        let subjects = subjects.to_vec();
        found.into_iter().filter_map(move |name| {
            let binding = self.by_name.get(name)?;
            let (_, words) = binding.subjects.iter().find(|(subject, _)| subjects.contains(subject))?;
            Some((name, binding, words.as_str()))
        })
    }
}

impl Binding {
    fn of(binding: &Value, home: &str) -> Self {
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        Self {
            role: RoleRef::of(binding),
            subjects: subjects.filter_map(|subject| subject_of(subject, home)).collect(),
        }
    }
}

fn subject_of(subject: &Value, home: &str) -> Option<(Subject, String)> {
    let name = subject["name"].as_str()?.to_owned();
    match subject["kind"].as_str()? {
        "User" => Some((Subject::User(name.clone()), format!("User {name:?}"))),
        "Group" => Some((Subject::Group(name.clone()), format!("Group {name:?}"))),
        "ServiceAccount" => {
            let namespace = subject["namespace"].as_str().filter(|namespace| !namespace.is_empty());
            let namespace = namespace.unwrap_or(home);
            let words = format!("ServiceAccount {:?}", format!("{name}/{namespace}"));
            (!namespace.is_empty()).then(|| (Subject::User(account_name(namespace, &name)), words))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy() -> Policy {
        let mut policy = Policy::default();
        let role = json!({ "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }] });
        policy.apply(&format!("{GROUP}/clusterroles//reader"), Some(&role));
        policy.apply(&format!("{GROUP}/roles/a/reader"), Some(&role));
        policy
    }

    fn bind(policy: &mut Policy, key: &str, kind: &str, role: &str, subject: Value) {
        let binding = json!({ "roleRef": { "kind": kind, "name": role }, "subjects": [subject] });
        policy.apply(&format!("{GROUP}/{key}"), Some(&binding));
    }

    #[track_caller]
    fn check(policy: &Policy, user: &User, namespace: Option<&str>, expect: &[&str]) {
        let mut seen = Vec::new();
        let errors = policy.visit(user, namespace, |grant| {
            seen.push(grant.reason().replace("RBAC: allowed by ", ""));
            false
        });
        seen.extend(errors.unwrap());
        assert_eq!(seen, expect);
    }

    #[test]
    fn a_binding_of_the_cluster_counts_everywhere() {
        let mut policy = policy();
        let jane = json!({ "kind": "User", "name": "jane" });
        bind(&mut policy, "clusterrolebindings//all", "ClusterRole", "reader", jane);
        let reason = r#"ClusterRoleBinding "all" of ClusterRole "reader" to User "jane""#;
        let user = User::new("jane", ["dev"]);
        check(&policy, &user, None, &[reason]);
        check(&policy, &user, Some("a"), &[reason]);
        check(&policy, &User::new("joe", ["jane"]), Some("a"), &[]);
    }

    #[test]
    fn a_binding_of_a_namespace_counts_there_alone() {
        let mut policy = policy();
        bind(&mut policy, "rolebindings/a/b", "Role", "reader", json!({ "kind": "Group", "name": "dev" }));
        let user = User::new("jane", ["dev"]);
        check(&policy, &user, Some("a"), &[r#"RoleBinding "b/a" of Role "reader" to Group "dev""#]);
        check(&policy, &user, Some("c"), &[]);
        check(&policy, &user, None, &[]);
    }

    #[test]
    fn an_account_without_a_namespace_is_one_of_the_bindings_own() {
        let mut policy = policy();
        let bot = json!({ "kind": "ServiceAccount", "name": "bot" });
        bind(&mut policy, "rolebindings/a/b", "ClusterRole", "reader", bot.clone());
        bind(&mut policy, "clusterrolebindings//b", "ClusterRole", "reader", bot);
        let user = |namespace: &str| User::new(account_name(namespace, "bot"), [""; 0]);
        let reason = r#"RoleBinding "b/a" of ClusterRole "reader" to ServiceAccount "bot/a""#;
        check(&policy, &user("a"), Some("a"), &[reason]);
        check(&policy, &user("b"), Some("a"), &[]);
    }

    #[test]
    fn a_role_that_is_missing_is_named() {
        let mut policy = policy();
        bind(&mut policy, "rolebindings/a/b", "Role", "gone", json!({ "kind": "User", "name": "jane" }));
        let user = User::new("jane", [""; 0]);
        check(&policy, &user, Some("a"), &[r#"role.rbac.authorization.k8s.io "gone" not found"#]);
    }

    #[test]
    fn what_was_taken_in_and_removed_again_leaves_nothing() {
        let mut policy = policy();
        let before = policy.clone();
        bind(&mut policy, "rolebindings/a/b", "Role", "reader", json!({ "kind": "Group", "name": "dev" }));
        bind(&mut policy, "rolebindings/a/b", "Role", "reader", json!({ "kind": "User", "name": "jane" }));
        policy.apply(&format!("{GROUP}/rolebindings/a/b"), None);
        assert_eq!(policy, before);
    }
}
