//! The roles and bindings every cluster has from its start, as data: `defaults.txt`, whose head explains its form.
//!
//! Start at [`objects`].

use serde_json::{Value, json};

use crate::auth::rbac::policy::GROUP;
use crate::auth::rbac::rule::Rule;

const TEXT: &str = include_str!("defaults.txt");
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// What keeps a default role up to date; somebody who sets it to false keeps their own version.
pub const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// All default objects, roles before the bindings that give them.
pub fn objects() -> Vec<Value> {
    parse(TEXT)
}

fn parse(text: &str) -> Vec<Value> {
    let mut objects: Vec<Value> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        match (line.strip_prefix("  "), objects.last_mut()) {
            (Some(rule), Some(role)) => {
                if let Some(rules) = role["rules"].as_array_mut() {
                    rules.push(parse_rule(rule).to_value());
                }
            }
            _ => objects.push(parse_head(line)),
        }
    }
    objects
}

fn parse_head(line: &str) -> Value {
    let mut words = line.split(' ');
    let (kind, place) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (namespace, name) = match kind {
        "Role" | "RoleBinding" => place.split_once('/').unwrap_or(("", place)),
        _ => ("", place),
    };
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {
            "name": name, "annotations": { AUTOUPDATE: "true" },
            "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
        },
    });
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    if kind.ends_with("Binding") {
        let kind = kind.trim_end_matches("Binding");
        object["roleRef"] = json!({ "apiGroup": GROUP, "kind": kind, "name": name });
        object["subjects"] = json!([]);
    } else {
        object["rules"] = json!([]);
    }
    let mut selectors = Vec::new();
    for word in words {
        if let Some(label) = word.strip_prefix('+') {
            object["metadata"]["labels"][format!("{GROUP}/{label}")] = "true".into();
        } else if let Some(label) = word.strip_prefix('<') {
            selectors.push(json!({ "matchLabels": { format!("{GROUP}/{label}"): "true" } }));
        } else if let Some(subject) = word.strip_prefix('@')
            && let Some(subjects) = object["subjects"].as_array_mut()
        {
            subjects.push(parse_subject(subject));
        } else if let Some((kind, name)) = word.split_once('/') {
            object["roleRef"] = json!({ "apiGroup": GROUP, "kind": kind, "name": name });
        }
    }
    if !selectors.is_empty() {
        object["aggregationRule"] = json!({ "clusterRoleSelectors": selectors });
    }
    object
}

fn parse_subject(text: &str) -> Value {
    match text.split_once('=') {
        Some(("user", name)) => json!({ "apiGroup": GROUP, "kind": "User", "name": name }),
        Some(("group", name)) => json!({ "apiGroup": GROUP, "kind": "Group", "name": name }),
        Some((_, place)) => {
            let (namespace, name) = place.split_once('/').unwrap_or(("", place));
            json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
        }
        None => Value::Null,
    }
}

fn parse_rule(text: &str) -> Rule {
    let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_owned).collect() };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let mut words = text.split(' ');
    let mut word = || words.next().unwrap_or("");
    let verbs = match word() {
        "READ" => names(READ),
        "WRITE" => names(WRITE),
        "ALL" => names(ALL),
        verbs => list(verbs),
    };
    match word() {
        "url" => Rule { verbs, urls: list(word()), ..Rule::default() },
        groups => {
            let nameless = |group: String| if group == "core" { String::new() } else { group };
            let groups = list(groups).into_iter().map(nameless).collect();
            let resources = list(word());
            let names = Some(word()).filter(|names| !names.is_empty()).map(list).unwrap_or_default();
            Rule { verbs, groups, resources, names, ..Rule::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_of_the_defaults_is_understood() {
        let objects = objects();
        let mut names = HashSet::new();
        for object in &objects {
            let (kind, name) =
                (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("");
            assert!(names.insert((kind, namespace, name)), "{kind} {name} is there twice");
            assert_eq!(namespace.is_empty(), kind.starts_with("Cluster"), "{kind} {name}");
            for rule in Rule::list(&object["rules"]) {
                assert!(!rule.verbs.is_empty(), "{name}");
                assert!(rule.urls.is_empty() != rule.resources.is_empty(), "{name}: {rule:?}");
                assert_eq!(rule.resources.is_empty(), rule.groups.is_empty(), "{name}: {rule:?}");
            }
            assert!(!object["subjects"].as_array().into_iter().flatten().any(Value::is_null), "{name}");
        }
        let count = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
        assert!(count("ClusterRole") > 60 && count("ClusterRoleBinding") > 40, "{}", objects.len());
    }

    #[test]
    fn every_binding_gives_a_role_that_is_there() {
        let objects = objects();
        for binding in objects.iter().filter(|object| object["roleRef"].is_object()) {
            let role = &binding["roleRef"];
            let found = objects.iter().any(|object| {
                object["kind"] == role["kind"]
                    && object["metadata"]["name"] == role["name"]
                    && (role["kind"] == "ClusterRole"
                        || object["metadata"]["namespace"] == binding["metadata"]["namespace"])
            });
            assert!(found, "{binding}");
        }
    }

    #[test]
    fn heads_and_rules_become_objects() {
        let text =
            "ClusterRole view +aggregate-to-edit <aggregate-to-view\n  READ core,apps a,b x\n  get url /x";
        let [role] = parse(text).try_into().unwrap();
        let labels = &role["metadata"]["labels"];
        assert_eq!(labels["rbac.authorization.k8s.io/aggregate-to-edit"], "true");
        let gathers = &role["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"];
        assert_eq!(gathers["rbac.authorization.k8s.io/aggregate-to-view"], "true");
        let rule = json!({ "verbs": READ, "apiGroups": ["", "apps"], "resources": ["a", "b"], "resourceNames": ["x"] });
        assert_eq!(role["rules"][0], rule);
        assert_eq!(role["rules"][1], json!({ "verbs": ["get"], "nonResourceURLs": ["/x"] }));
        let [binding] =
            parse("RoleBinding ns/b -> ClusterRole/view @group=g @account=n/a").try_into().unwrap();
        assert_eq!(binding["roleRef"], json!({ "apiGroup": GROUP, "kind": "ClusterRole", "name": "view" }));
        assert_eq!(binding["metadata"]["namespace"], "ns");
        assert_eq!(
            binding["subjects"][1],
            json!({ "kind": "ServiceAccount", "name": "a", "namespace": "n" })
        );
    }
}
