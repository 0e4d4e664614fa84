//! What the rules read of a pod, and the words they share.

use std::collections::BTreeSet;

use serde_json::Value;

/// A pod, or the template of one.
pub(super) struct Pod<'a> {
    pub metadata: &'a Value,
    pub spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// All containers, in the order in which they are named.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> {
        let lists = ["initContainers", "containers", "ephemeralContainers"].map(|list| &self.spec[list]);
        lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten())
    }

    pub fn volumes(&self) -> impl Iterator<Item = &'a Value> {
        self.spec["volumes"].as_array().into_iter().flatten()
    }

    pub fn annotations(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.metadata["annotations"].as_object().into_iter().flatten();
        all.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    pub fn is_of_windows(&self) -> bool {
        self.spec["os"]["name"] == "windows"
    }

    /// Whether its users are none of the host's.
    pub fn has_own_users(&self) -> bool {
        self.spec["hostUsers"] == false
    }

    /// Names of the containers for which this holds.
    pub fn named(&self, mut holds: impl FnMut(&Value) -> bool) -> Vec<String> {
        self.containers().filter(|container| holds(container)).map(name).collect()
    }

    /// Who sets a value that is not allowed: `pod`, and containers by their names.
    pub fn setters(&self, mut is_bad: impl FnMut(&Value) -> bool) -> Option<String> {
        let mut setters: Vec<String> = Vec::new();
        if is_bad(&self.spec["securityContext"]) {
            setters.push("pod".to_owned());
        }
        let bad = self.named(|container| is_bad(&container["securityContext"]));
        if !bad.is_empty() {
            setters.push(containers(&bad));
        }
        (!setters.is_empty()).then(|| setters.join(" and "))
    }
}

pub(super) fn name(named: &Value) -> String {
    named["name"].as_str().unwrap_or("").to_owned()
}

/// The strings of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn containers(names: &[String]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

pub(super) fn quoted<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = texts.into_iter().map(|text| format!("\"{}\"", text.as_ref())).collect();
    all.join(", ")
}

pub(super) fn plural(one: &'static str, many: &'static str, count: usize) -> &'static str {
    if count == 1 { one } else { many }
}

/// Collects values in order, each once.
#[derive(Default)]
pub(super) struct Values(pub BTreeSet<String>);

impl Values {
    /// Takes the value in when it is not allowed; says whether it was not.
    pub fn note(&mut self, value: &str, is_allowed: bool) -> bool {
        if !is_allowed {
            self.0.insert(value.to_owned());
        }
        !is_allowed
    }
}
