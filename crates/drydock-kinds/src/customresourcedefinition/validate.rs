//! What a definition may say about names, versions, subresources and columns, in the words of a cluster.
//!
//! Start at [`validate`]. What we do not carry out is refused here by its field, so that nothing is ignored in silence.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema;
use crate::custom::jsonpath::JsonPath;
use crate::custom::node::{DataType, Node};
use crate::field::{FieldError, Path};
use crate::meta::immutable;
use crate::names;
use crate::read::{flag, has_condition, list, or, text, texts};

const MAX_SELECTABLE: usize = 8;
const COLUMN_TYPES: &str = "must be one of boolean,date,integer,number,string";
const COLUMN_FORMATS: [&str; 9] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password", "name"];
const APPROVED: &str = "api-approved.kubernetes.io";

pub(super) fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    own_name(new, &mut errors);
    group_and_scope(spec, &mut errors);
    versions(new, old, &mut errors);
    let names = Path::root("spec").child("names");
    for field in ["plural", "singular", "kind", "listKind"] {
        if text(&spec["names"], &format!("/{field}")).is_empty() {
            errors.push(FieldError::required(&names.child(field), ""));
        }
    }
    check_names(&spec["names"], &names, &mut errors);
    conversion(spec, &mut errors);
    stored_versions(new, &mut errors);
    approval(new, old, &mut errors);
    if spec["preserveUnknownFields"] == true {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                   spec.versions[*].schema instead";
        errors.push(FieldError::invalid(&Path::root("spec").child("preserveUnknownFields"), true, why));
    }
    if let Some(old) = old {
        unchanged(new, old, &mut errors);
    }
    errors
}

fn own_name(new: &Value, errors: &mut Vec<FieldError>) {
    let wanted = format!("{}.{}", text(new, "/spec/names/plural"), text(new, "/spec/group"));
    let name = text(new, "/metadata/name");
    if name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid(&Path::root("metadata").child("name"), name, why));
    }
}

fn group_and_scope(spec: &Value, errors: &mut Vec<FieldError>) {
    let path = Path::root("spec");
    let group = text(spec, "/group");
    let at = path.child("group");
    match names::subdomain(group) {
        _ if group.is_empty() => errors.push(FieldError::required(&at, "")),
        Some(complaint) => errors.push(FieldError::invalid(&at, group, complaint)),
        None if !group.contains('.') => {
            errors.push(FieldError::invalid(&at, group, "should be a domain with at least one dot"));
        }
        None => {}
    }
    match text(spec, "/scope") {
        "Cluster" | "Namespaced" => {}
        "" => errors.push(FieldError::required(&path.child("scope"), "")),
        other => {
            errors.push(FieldError::not_supported(&path.child("scope"), other, &["Cluster", "Namespaced"]));
        }
    }
}

fn versions(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let spec = &new["spec"];
    let all = list(spec, "/versions");
    let path = Path::root("spec").child("versions");
    for (index, version) in all.iter().enumerate() {
        let path = path.index(index);
        let name = text(version, "/name");
        if let Some(complaint) = names::label_1035(name) {
            errors.push(FieldError::invalid(&path.child("name"), name, complaint));
        }
        if !version["schema"]["openAPIV3Schema"].is_object() {
            errors.push(FieldError::required(&path.child("schema.openAPIV3Schema"), ""));
        }
        // A schema that was accepted stays accepted: checking it again would only cost time.
        let known = old.is_some_and(|old| {
            list(old, "/spec/versions")
                .iter()
                .any(|old| old["name"] == name && old["schema"] == version["schema"])
        });
        one_version(version, &path, known, errors);
    }
    let unique: BTreeSet<&str> = all.iter().map(|version| text(version, "/name")).collect();
    let wrong = |why: &str| FieldError::invalid(&path, Value::Null, why).showing_list(&shown(all));
    if unique.len() != all.len() {
        errors.push(wrong("must contain unique version names"));
    }
    if all.iter().filter(|version| flag(version, "/storage")).count() != 1 {
        errors.push(wrong("must have exactly one version marked as storage version"));
    }
}

/// Versions as Go prints them.
fn shown(versions: &[Value]) -> Vec<Vec<(&'static str, Value)>> {
    let field = |version: &Value, name: &str| version.get(name).cloned().unwrap_or_default();
    let one = |version: &Value| {
        vec![
            ("Name", field(version, "name")),
            ("Served", flag(version, "/served").into()),
            ("Storage", flag(version, "/storage").into()),
            ("Deprecated", flag(version, "/deprecated").into()),
            ("DeprecationWarning", field(version, "deprecationWarning")),
            ("Schema", field(version, "schema")),
            ("Subresources", field(version, "subresources")),
            ("AdditionalPrinterColumns", field(version, "additionalPrinterColumns")),
            ("SelectableFields", field(version, "selectableFields")),
        ]
    };
    versions.iter().map(one).collect()
}

fn one_version(version: &Value, path: &Path, known_schema: bool, errors: &mut Vec<FieldError>) {
    if let Some(warning) = version.get("deprecationWarning") {
        let at = path.child("deprecationWarning");
        let words = warning.as_str().unwrap_or("");
        let complaint = match words {
            _ if !flag(version, "/deprecated") => Some("can only be set for deprecated versions"),
            "" => Some("must not be an empty string"),
            words if words.len() > 256 => Some("must be <= 256 characters long"),
            words if words.chars().any(char::is_control) => {
                Some("must only contain printable UTF-8 characters")
            }
            _ => None,
        };
        errors.extend(complaint.map(|complaint| FieldError::invalid(&at, words, complaint)));
    }
    let schema = &version["schema"]["openAPIV3Schema"];
    let has_status = version["subresources"]["status"].is_object();
    if schema.is_object() && !known_schema {
        schema::validate(schema, has_status, &path.child("schema.openAPIV3Schema"), errors);
    }
    scale(&version["subresources"]["scale"], &path.child("subresources"), errors);
    for (index, column) in list(version, "/additionalPrinterColumns").iter().enumerate() {
        check_column(column, &path.child("additionalPrinterColumns").index(index), errors);
    }
    selectable(version, &path.child("selectableFields"), errors);
}

fn scale(scale: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if !scale.is_object() {
        return;
    }
    let fields = [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec", true),
        ("statusReplicasPath", &[".status."], "should be a json path under .status", true),
        (
            "labelSelectorPath",
            &[".spec.", ".status."],
            "should be a json path under either .spec or .status",
            false,
        ),
    ];
    for (field, roots, complaint, required) in fields {
        let at = path.child(&format!("scale.{field}"));
        let given = text(scale, &format!("/{field}"));
        if given.is_empty() {
            if required {
                errors.push(FieldError::required(&at, ""));
            }
        } else if let Some(error) = simple_path(given, &at) {
            errors.push(error);
        } else if !roots.iter().any(|root| given.starts_with(root)) {
            errors.push(FieldError::invalid(&at, given, complaint));
        } else if JsonPath::parse(given).is_none_or(|path| path.fields().is_none()) {
            errors.push(FieldError::invalid(&at, given, "must be a json path in the dot notation"));
        }
    }
}

fn simple_path(given: &str, at: &Path) -> Option<FieldError> {
    (!given.starts_with('.'))
        .then(|| FieldError::invalid(at, given, "must be a simple json path starting with ."))
}

fn check_column(column: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if text(column, "/name").is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    }
    match text(column, "/type") {
        "boolean" | "date" | "integer" | "number" | "string" => {}
        "" => errors.push(FieldError::required(&path.child("type"), COLUMN_TYPES)),
        other => errors.push(FieldError::invalid(&path.child("type"), other, COLUMN_TYPES)),
    }
    let format = text(column, "/format");
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let why = "must be one of byte,date,date-time,double,float,int32,int64,name,password";
        errors.push(FieldError::invalid(&path.child("format"), format, why));
    }
    let at = path.child("JSONPath");
    match text(column, "/jsonPath") {
        "" => errors.push(FieldError::required(&at, "")),
        given => match simple_path(given, &at) {
            Some(error) => errors.push(error),
            None if JsonPath::parse(given).is_none() => {
                errors.push(FieldError::invalid(&at, given, "unrecognized column definition"));
            }
            None => {}
        },
    }
}

fn selectable(version: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let root = Node::parse(&version["schema"]["openAPIV3Schema"]);
    let mut seen = BTreeSet::new();
    for (index, field) in list(version, "/selectableFields").iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let given = text(field, "/jsonPath");
        if given.is_empty() {
            errors.push(FieldError::required(&at, ""));
            continue;
        }
        let parsed = JsonPath::parse(given);
        let names = parsed.as_ref().and_then(JsonPath::fields).filter(|_| given.starts_with('.'));
        let found = names
            .as_ref()
            .and_then(|names| names.iter().try_fold(&root, |node, name| node.properties.get(*name)));
        let complaint = match (names.as_ref().and_then(|names| names.first()), found) {
            (Some(&"metadata"), _) => Some("must not point to fields in metadata".to_owned()),
            (_, None) => Some("is an invalid path: does not refer to a valid field".to_owned()),
            (_, Some(node)) if !matches!(node.data_type, Some(DataType::String | DataType::Boolean | DataType::Integer)) => {
                Some(
                    "must point to a field of type string, boolean or integer. Enum string fields and strings \
                     with formats are allowed."
                        .to_owned(),
                )
            }
            _ => None,
        };
        errors.extend(complaint.map(|complaint| FieldError::invalid(&at, given, complaint)));
        if !seen.insert(given) {
            errors.push(FieldError::duplicate(&at, given));
        }
    }
    if seen.len() > MAX_SELECTABLE {
        errors.push(FieldError::too_many(path, seen.len(), MAX_SELECTABLE));
    }
}

fn check_names(own: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular"] {
        let name = text(own, &format!("/{field}"));
        let complaint = names::label_1035(name).filter(|_| !name.is_empty());
        errors.extend(complaint.map(|complaint| FieldError::invalid(&path.child(field), name, complaint)));
    }
    for field in ["kind", "listKind"] {
        let name = text(own, &format!("/{field}"));
        let complaint = names::label_1035(&name.to_lowercase()).filter(|_| !name.is_empty());
        let complaint =
            complaint.map(|text| format!("may have mixed case, but should otherwise match: {text}"));
        errors.extend(complaint.map(|complaint| FieldError::invalid(&path.child(field), name, complaint)));
    }
    let (kind, list_kind) = (text(own, "/kind"), text(own, "/listKind"));
    for field in ["shortNames", "categories"] {
        for (index, name) in texts(own, &format!("/{field}")).enumerate() {
            let at = path.child(field).index(index);
            errors.extend(names::label_1035(name).map(|complaint| FieldError::invalid(&at, name, complaint)));
        }
    }
    if !kind.is_empty() && kind == list_kind {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(&path.child("listKind"), list_kind, why));
    }
}

fn conversion(spec: &Value, errors: &mut Vec<FieldError>) {
    let path = Path::root("spec").child("conversion");
    match text(spec, "/conversion/strategy") {
        "None" => {
            if spec["conversion"].get("webhook").is_some() {
                let why = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(&path.child("webhookClientConfig"), why));
            }
        }
        // With one version there is nothing to convert, and the webhook would never be asked.
        "Webhook" if list(spec, "/versions").len() == 1 => {}
        "Webhook" => {
            let why = "drydock does not call conversion webhooks yet: serve a single version, or use None when \
                       versions differ in nothing but their name";
            errors.push(FieldError::invalid(&path.child("strategy"), "Webhook", why));
        }
        other => errors.push(FieldError::not_supported(
            &path.child("strategy"),
            or(other, ""),
            &["None", "Webhook"],
        )),
    }
}

fn stored_versions(new: &Value, errors: &mut Vec<FieldError>) {
    let path = Path::root("status").child("storedVersions");
    let stored: Vec<&str> = texts(new, "/status/storedVersions").collect();
    let versions: Vec<&str> =
        list(new, "/spec/versions").iter().map(|version| text(version, "/name")).collect();
    let is_storing = list(new, "/spec/versions").iter().any(|version| flag(version, "/storage"));
    if stored.is_empty() && !is_storing {
        errors.push(FieldError::invalid(&path, Value::Null, "must have at least one stored version"));
    }
    for (index, version) in stored.iter().enumerate().filter(|(_, version)| !versions.contains(version)) {
        let why = format!(
            "missing from spec.versions; {version} was previously a storage version, and must remain in \
             spec.versions until a storage migration ensures no data remains persisted in {version} and removes \
             {version} from status.storedVersions"
        );
        errors.push(FieldError::invalid(&path.index(index), *version, why));
    }
}

/// Groups of Kubernetes itself need a note that their API was reviewed, or that it was not.
fn approval(new: &Value, old: Option<&Value>, errors: &mut Vec<FieldError>) {
    let group = text(new, "/spec/group");
    let protected = |own: &str| group == own || group.ends_with(&format!(".{own}"));
    if !protected("k8s.io") && !protected("kubernetes.io") {
        return;
    }
    let note = |object: &Value| object["metadata"]["annotations"][APPROVED].as_str().map(str::to_owned);
    if old.is_some_and(|old| note(old) == note(new)) {
        return;
    }
    let at = Path::root("metadata").child("annotations").key(APPROVED);
    let hint = "see https://github.com/kubernetes/enhancements/pull/1111";
    match note(new).as_deref() {
        None | Some("") => {
            let why = format!("protected groups must have approval annotation {APPROVED:?}, {hint}");
            errors.push(FieldError::required(&at, why));
        }
        Some(note) if note.starts_with("unapproved") => {}
        Some(note) if note.contains("://") => {}
        Some(note) => {
            let why = format!(
                "protected groups must have approval annotation {APPROVED:?} with either a URL or a reason \
                 starting with \"unapproved\", {hint}"
            );
            errors.push(FieldError::invalid(&at, note, why));
        }
    }
}

fn unchanged(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let always: &[&str] = &["group", "names.plural"];
    let served: &[&str] = &["scope", "names.kind"];
    let established = has_condition(old, "Established");
    let fields = served.iter().filter(|_| established).chain(always);
    for field in fields {
        let pointer = format!("/spec/{}", field.replace('.', "/"));
        let (new, old) = (new.pointer(&pointer), old.pointer(&pointer));
        if new != old {
            errors.push(immutable(&Path::root("spec").child(field), new.unwrap_or(&Value::Null)));
        }
    }
}
