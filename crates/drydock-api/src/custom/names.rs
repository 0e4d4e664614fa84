//! Who gets which name: within a group, plural, singular and short names are unique, and so are kinds.
//!
//! Start at [`settle`], which writes a definition's accepted names and conditions.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Registry;
use crate::meta;

const APPROVED: &str = "api-approved.kubernetes.io";

/// Whether a condition is true.
pub(super) fn has_condition(definition: &Value, kind: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// Gives a definition the names it asks for, as far as they are free, and says so in its conditions.
pub(super) fn settle(registry: &Registry, definition: &mut Value) {
    let taken = Taken::by_others(registry, definition);
    let wanted = definition["spec"]["names"].clone();
    let (accepted, conflict) = taken.accept(&wanted, &definition["status"]["acceptedNames"]);
    definition["status"]["acceptedNames"] = accepted;
    let was_established = has_condition(definition, "Established");
    let is_accepted = conflict.is_none();
    set_approval(definition);
    match conflict {
        None => set_condition(definition, "NamesAccepted", true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => set_condition(definition, "NamesAccepted", false, reason, &message),
    }
    // Once established a definition stays so, with the names it had.
    if was_established || is_accepted {
        set_condition(
            definition,
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
        );
    } else {
        set_condition(definition, "Established", false, "NotAccepted", "not all names are accepted");
    }
}

/// Groups of Kubernetes itself say where their definition was reviewed.
fn set_approval(definition: &mut Value) {
    let group = definition["spec"]["group"].as_str().unwrap_or("");
    let protected =
        ["k8s.io", "kubernetes.io"].iter().any(|own| group == *own || group.ends_with(&format!(".{own}")));
    if !protected {
        return;
    }
    let note = definition["metadata"]["annotations"][APPROVED].as_str().unwrap_or("").to_owned();
    let (status, reason, message) = match note.as_str() {
        "" => (
            false,
            "MissingAnnotation",
            format!(
                "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
            ),
        ),
        note if note.starts_with("unapproved") => {
            (false, "UnapprovedAnnotation", format!("not approved: {note:?}"))
        }
        note => (true, "ApprovedAnnotation", format!("approved in {note}")),
    };
    set_condition(definition, "KubernetesAPIApprovalPolicyConformant", status, reason, &message);
}

/// Names that other definitions of the group hold.
struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    fn by_others(registry: &Registry, definition: &Value) -> Self {
        let mut taken = Self { resources: HashSet::new(), kinds: HashSet::new() };
        let own = meta::name(definition);
        for (_, other) in registry
            .read()
            .iter()
            .filter(|(name, other)| *name != own && definition["spec"]["group"] == other.group.as_str())
        {
            let text =
                |key: &str| other.accepted[key].as_str().filter(|name| !name.is_empty()).map(str::to_owned);
            let short =
                other.accepted["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
            taken
                .resources
                .extend(text("plural").into_iter().chain(text("singular")).chain(short.map(str::to_owned)));
            taken.kinds.extend(text("kind").into_iter().chain(text("listKind")));
        }
        taken
    }

    /// The names given, and the last conflict with its reason. A name that is taken leaves the old one in place.
    fn accept(&self, wanted: &Value, before: &Value) -> (Value, Option<(&'static str, String)>) {
        let mut accepted = if before.is_object() { before.clone() } else { json!({}) };
        let mut conflict = None;
        let fields = [
            ("plural", "PluralConflict", &self.resources),
            ("singular", "SingularConflict", &self.resources),
            ("shortNames", "ShortNamesConflict", &self.resources),
            ("kind", "KindConflict", &self.kinds),
            ("listKind", "ListKindConflict", &self.kinds),
        ];
        for (field, reason, taken) in fields {
            match refused(&wanted[field], &before[field], taken) {
                Some(message) => conflict = Some((reason, message)),
                None => copy(&mut accepted, wanted, field),
            }
        }
        copy(&mut accepted, wanted, "categories");
        (accepted, conflict)
    }
}

fn copy(accepted: &mut Value, wanted: &Value, field: &str) {
    let Some(fields) = accepted.as_object_mut() else { return };
    match wanted.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

fn refused(wanted: &Value, before: &Value, taken: &HashSet<String>) -> Option<String> {
    if wanted == before {
        return None;
    }
    let names = |value: &Value| match value {
        Value::Array(list) => list.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
        Value::String(name) => vec![name.clone()],
        _ => Vec::new(),
    };
    let own = names(before);
    let mut clashes: Vec<String> = names(wanted)
        .into_iter()
        .filter(|name| taken.contains(name) && !own.contains(name))
        .map(|name| format!("{name:?} is already in use"))
        .collect();
    match clashes.len() {
        0 => None,
        1 => clashes.pop(),
        _ => Some(format!("[{}]", clashes.join(", "))),
    }
}

/// Sets a condition; its time is that of the last change of its status.
pub(super) fn set_condition(definition: &mut Value, kind: &str, status: bool, reason: &str, message: &str) {
    let status = if status { "True" } else { "False" };
    if !definition["status"]["conditions"].is_array() {
        definition["status"]["conditions"] = json!([]);
    }
    let Some(conditions) = definition["status"]["conditions"].as_array_mut() else { return };
    let now = meta::timestamp(jiff::Timestamp::now());
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    match conditions.iter_mut().find(|known| known["type"] == kind) {
        Some(known) => {
            if known["status"] == status {
                condition["lastTransitionTime"] = known["lastTransitionTime"].clone();
            }
            *known = condition;
        }
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, names: Value) -> Value {
        json!({ "metadata": { "name": name, "uid": name }, "spec": { "group": "example.com", "names": names, "versions": [] } })
    }

    fn settled(registry: &Registry, name: &str, names: Value) -> Value {
        let mut new = definition(name, names);
        settle(registry, &mut new);
        registry.announce(&new);
        new
    }

    #[test]
    fn free_names_are_accepted_and_the_definition_is_established() {
        let registry = Registry::default();
        let names = json!({ "plural": "a", "singular": "a", "kind": "A", "listKind": "AList", "categories": ["all"] });
        let new = settled(&registry, "a.example.com", names.clone());
        assert_eq!(new["status"]["acceptedNames"], names);
        assert!(has_condition(&new, "NamesAccepted") && has_condition(&new, "Established"));
    }

    #[test]
    fn a_taken_kind_is_a_conflict_and_stays_with_its_owner() {
        let registry = Registry::default();
        settled(
            &registry,
            "a.example.com",
            json!({ "plural": "a", "singular": "a", "kind": "A", "listKind": "AList", "shortNames": ["x", "y"] }),
        );
        let new = settled(
            &registry,
            "b.example.com",
            json!({ "plural": "b", "singular": "b", "kind": "A", "listKind": "BList" }),
        );
        assert!(!has_condition(&new, "Established"));
        assert_eq!(new["status"]["conditions"][0]["reason"], "KindConflict");
        assert_eq!(new["status"]["conditions"][0]["message"], r#""A" is already in use"#);
        let new = settled(
            &registry,
            "c.example.com",
            json!({ "plural": "c", "singular": "c", "kind": "C", "listKind": "CList", "shortNames": ["x", "y"] }),
        );
        assert_eq!(
            new["status"]["conditions"][0]["message"],
            r#"["x" is already in use, "y" is already in use]"#
        );
    }

    #[test]
    fn the_time_of_a_condition_moves_with_its_status_only() {
        let mut object = json!({ "status": { "conditions": [{ "type": "A", "status": "True", "lastTransitionTime": "then" }] } });
        set_condition(&mut object, "A", true, "B", "c");
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "then");
        set_condition(&mut object, "A", false, "B", "c");
        assert_ne!(object["status"]["conditions"][0]["lastTransitionTime"], "then");
    }
}
