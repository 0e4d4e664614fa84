//! Whether a user may do something, by the RBAC objects in the store.
//!
//! `system:masters` may do everything. Everybody who is authenticated may read discovery and ask about themselves.
//! All else needs a rule in a ClusterRole or Role that a binding gives to the user, a group of theirs, or their
//! service account. Aggregated ClusterRoles count with the rules they hold; escalation is not checked here.

use drydock_store::List;
use serde_json::Value;

use crate::auth::User;
use crate::request::ResourcePath;
use crate::server::Server;
use crate::status::ApiError;
use crate::stored;

const RBAC: &str = "rbac.authorization.k8s.io";

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
    pub fn of(path: &'a ResourcePath, verb: &'a str) -> Self {
        Self {
            verb,
            group: &path.group,
            plural: &path.plural,
            subresource: &path.subresource,
            namespace: path.namespace.as_deref(),
            name: path.name(),
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

pub(crate) fn authorize(server: &Server, user: &User, wanted: &Attributes<'_>) -> Result<(), ApiError> {
    if is_allowed(server, user, wanted) {
        return Ok(());
    }
    let name = &user.name;
    let Some(path) = wanted.path else {
        let (resource, group) = (wanted.resource(), wanted.group);
        let place = match wanted.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        let verb = wanted.verb;
        let why = format!("User {name:?} cannot {verb} resource {resource:?} in API group {group:?} {place}");
        return Err(ApiError::forbidden(wanted.group, wanted.plural, wanted.name, &why));
    };
    Err(ApiError::forbidden_path(&format!("User {name:?} cannot {} path {path:?}", wanted.verb)))
}

pub(crate) fn is_allowed(server: &Server, user: &User, wanted: &Attributes<'_>) -> bool {
    user.is_master() || is_for_everybody(wanted) || is_granted(server, user, wanted)
}

fn is_for_everybody(wanted: &Attributes<'_>) -> bool {
    if let Some(path) = wanted.path {
        let open = ["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"];
        let under =
            |root: &str| path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
        return matches!(wanted.verb, "get" | "head") && open.into_iter().any(under);
    }
    let own = ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"];
    wanted.verb == "create" && own.contains(&wanted.plural) && wanted.group.ends_with(".k8s.io")
}

fn is_granted(server: &Server, user: &User, wanted: &Attributes<'_>) -> bool {
    let everywhere = bindings(server, "clusterrolebindings", "");
    let here = wanted.namespace.map(|namespace| bindings(server, "rolebindings", namespace));
    everywhere.into_iter().chain(here.into_iter().flatten()).any(|binding| {
        let home = binding["metadata"]["namespace"].as_str().unwrap_or("");
        let subjects = binding["subjects"].as_array();
        subjects.into_iter().flatten().any(|subject| is_subject(user, subject, home))
            && rules(server, &binding["roleRef"], home).iter().any(|rule| covers(rule, wanted))
    })
}

fn bindings(server: &Server, plural: &str, namespace: &str) -> Vec<Value> {
    let prefix = format!("{RBAC}/{plural}/{namespace}/");
    let page = server.store.list(List { prefix: &prefix, ..List::default() });
    let items = page.map(|page| page.items).unwrap_or_default();
    items.iter().filter_map(|item| stored::decode(&item.entry).ok()).map(|object| object.value).collect()
}

fn is_subject(user: &User, subject: &Value, home: &str) -> bool {
    let name = subject["name"].as_str().unwrap_or("");
    match subject["kind"].as_str() {
        Some("User") => user.name == name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().unwrap_or(home);
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn rules(server: &Server, reference: &Value, home: &str) -> Vec<Value> {
    let name = reference["name"].as_str().unwrap_or("");
    let key = match reference["kind"].as_str() {
        Some("ClusterRole") => format!("{RBAC}/clusterroles//{name}"),
        _ => format!("{RBAC}/roles/{home}/{name}"),
    };
    let role = server.store.get(&key).and_then(|entry| stored::decode(&entry).ok());
    role.and_then(|role| role.value["rules"].as_array().cloned()).unwrap_or_default()
}

fn covers(rule: &Value, wanted: &Attributes<'_>) -> bool {
    let texts = |field: &str| rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let lists = |field: &str, value: &str| texts(field).any(|text| text == "*" || text == value);
    if !lists("verbs", wanted.verb) {
        return false;
    }
    if let Some(path) = wanted.path {
        return texts("nonResourceURLs").any(|url| match url.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == url,
        });
    }
    let any_parent = format!("*/{}", wanted.subresource);
    let resource = lists("resources", &wanted.resource())
        || (!wanted.subresource.is_empty() && texts("resources").any(|text| text == any_parent));
    let named = texts("resourceNames").next().is_none()
        || (!wanted.name.is_empty() && texts("resourceNames").any(|name| name == wanted.name));
    lists("apiGroups", wanted.group) && resource && named
}
