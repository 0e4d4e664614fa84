//! Kinds that a CustomResourceDefinition brings, made at run time and served like the built-in ones.
//!
//! For the API, which holds them behind an `Arc`. A [`CustomKind`] is one served version of one definition; it never
//! changes: a changed definition makes a new one.
//!
//! Start at [`CustomKind::all`]. `node` is the parsed schema; `prune`, `check` and `cel` work along it.

pub(crate) mod cel;
pub(crate) mod check;
#[cfg(test)]
mod check_tests;
mod column;
pub(crate) mod formats;
pub(crate) mod jsonpath;
pub(crate) mod node;
mod numbers;
pub mod openapi;
pub(crate) mod pattern;
mod prune;
mod shape;

use std::sync::Arc;

use serde_json::Value;

pub use column::CustomColumn;
use jsonpath::JsonPath;
use node::Node;

use crate::field::FieldError;
use crate::meta;
use crate::schema::{Mismatch, Schema, Type, conform};
use crate::spec::{NameRule, Scope};

/// One served version of a custom kind.
#[derive(Debug)]
pub struct CustomKind {
    /// The name of the definition, `widgets.example.com`.
    pub definition: String,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub list_kind: String,
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub scope: Scope,
    /// Whether `/status` is served and the main resource ignores `status`.
    pub status: bool,
    pub scale: Option<CustomScale>,
    pub columns: Vec<CustomColumn>,
    /// What every request to a deprecated version is told.
    pub deprecation: Option<String>,
    /// The version in which objects are stored.
    pub storage_version: String,
    selectable: Vec<(String, JsonPath)>,
    node: Node,
    schema: Schema,
}

/// Where the scale subresource finds its numbers, as JSON pointers.
#[derive(Debug, Clone)]
pub struct CustomScale {
    pub spec_replicas: String,
    pub status_replicas: String,
    pub selector: String,
}

impl CustomKind {
    /// The served versions of a definition, best version first.
    pub fn all(definition: &Value) -> Vec<Arc<Self>> {
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let served = versions.filter(|version| version["served"] == true);
        let mut kinds: Vec<Arc<Self>> =
            served.map(|version| Arc::new(Self::of(definition, version))).collect();
        kinds.sort_by(|a, b| version_order(&a.version, &b.version));
        kinds
    }

    /// The version in which objects are stored, served or not.
    pub fn stored(definition: &Value) -> Option<Arc<Self>> {
        let mut versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        let storage = versions.find(|version| version["storage"] == true)?;
        Some(Arc::new(Self::of(definition, storage)))
    }

    fn of(definition: &Value, version: &Value) -> Self {
        let spec = &definition["spec"];
        let names = match &definition["status"]["acceptedNames"] {
            accepted if accepted["plural"].is_string() => accepted,
            _ => &spec["names"],
        };
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let node = Node::parse(&version["schema"]["openAPIV3Schema"]);
        let selectable = version["selectableFields"].as_array().into_iter().flatten();
        let selectable = selectable.filter_map(|field| {
            let path = field["jsonPath"].as_str()?;
            Some((path.trim_start_matches('.').to_owned(), JsonPath::parse(path)?))
        });
        let versions = spec["versions"].as_array().into_iter().flatten();
        let storage = versions.clone().find(|version| version["storage"] == true);
        Self {
            definition: text(&definition["metadata"]["name"]),
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&names["kind"]),
            list_kind: text(&names["listKind"]),
            plural: text(&names["plural"]),
            singular: text(&names["singular"]),
            short_names: list(&names["shortNames"]),
            categories: list(&names["categories"]),
            scope: if spec["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
            status: version["subresources"]["status"].is_object(),
            scale: CustomScale::parse(&version["subresources"]["scale"]),
            columns: CustomColumn::all(version),
            deprecation: deprecation(definition, version),
            storage_version: storage.map(|version| text(&version["name"])).unwrap_or_default(),
            selectable: selectable.collect(),
            schema: shape::schema(&node),
            node,
        }
    }

    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// The type of a whole object, for patches and the ownership of fields.
    pub fn root(&self) -> Option<Type<'_>> {
        self.schema.definition(shape::ROOT)
    }

    /// As `KindSpec::excluded_fields`.
    pub fn excluded_fields(&self, subresource: &str) -> &'static [&'static str] {
        match (subresource, self.status) {
            ("status", _) => &["spec"],
            (_, true) => &["status"],
            _ => &[],
        }
    }

    /// Brings metadata into its shape and drops unknown fields; returns those as `unknown field "spec.foo"`.
    pub fn conform(&self, object: &mut Value) -> Result<Vec<String>, Mismatch> {
        let mut unknown = conform_metadata(object)?;
        self.embedded(object, &self.node)?;
        let dropped = prune::prune(object, &self.node);
        unknown.extend(dropped.iter().map(|path| format!("unknown field {path:?}")));
        Ok(unknown)
    }

    fn embedded(&self, value: &mut Value, node: &Node) -> Result<(), Mismatch> {
        match value {
            Value::Object(fields) => {
                for (name, child) in fields {
                    if let Some(field) = node.field(name) {
                        if field.embedded {
                            conform_metadata(child)?;
                        }
                        self.embedded(child, field)?;
                    }
                }
            }
            Value::Array(items) => {
                for child in items {
                    if let Some(item) = &node.items {
                        if item.embedded {
                            conform_metadata(child)?;
                        }
                        self.embedded(child, item)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn apply_defaults(&self, object: &mut Value) {
        prune::drop_nulls(object, &self.node);
        prune::fill_defaults(object, &self.node);
    }

    /// A stored object as this version shows it: its name, its fields, its defaults.
    pub fn present(&self, object: &mut Value) {
        self.set_version(object, &self.version);
        prune::prune(object, &self.node);
        self.apply_defaults(object);
    }

    /// The form in which the object is stored.
    pub fn to_storage(&self, object: &mut Value) {
        self.set_version(object, &self.storage_version);
    }

    fn set_version(&self, object: &mut Value, version: &str) {
        let wanted = format!("{}/{version}", self.group);
        if object["apiVersion"] != wanted.as_str() {
            object["apiVersion"] = wanted.into();
        }
    }

    /// All reasons to refuse `new`, or its update over `old`.
    pub fn check(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = meta::check(NameRule::Subdomain, self.is_namespaced(), new, old);
        errors.extend(check::check(new, old, &self.node, ""));
        errors.extend(self.check_scale(new));
        let lists = |object: &Value| {
            let mut found = Vec::new();
            check::check_lists(object, &self.node, "", &mut found);
            found
        };
        if old.is_none_or(|old| lists(old).is_empty()) {
            errors.extend(lists(new));
        }
        errors.extend(self.check_rules(new, old, &errors));
        errors
    }

    /// Rules are evaluated only on objects whose shape is as it should be: they rely on it.
    fn check_rules(&self, new: &Value, old: Option<&Value>, errors: &[FieldError]) -> Vec<FieldError> {
        use crate::field::FieldErrorKind::{Invalid, NotSupported, Required, TooLong, TooMany, TypeInvalid};
        if !self.node.has_rules {
            return Vec::new();
        }
        let blocks = |error: &FieldError| {
            matches!(error.kind, NotSupported | Required | TooLong | TooMany | TypeInvalid)
        };
        if !errors.iter().any(blocks) {
            return cel::check(new, old, &self.node, "");
        }
        let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                      errors to complete validation";
        let path = "<nil>".to_owned();
        vec![FieldError {
            path,
            kind: Invalid,
            value: Some(Value::Null),
            printed: None,
            detail: detail.to_owned(),
        }]
    }

    /// A negative number of replicas would confuse whoever scales.
    fn check_scale(&self, object: &Value) -> Vec<FieldError> {
        let Some(scale) = &self.scale else { return Vec::new() };
        let negative = |pointer: &String| {
            let number = object.pointer(pointer)?.as_i64().filter(|number| *number < 0)?;
            let path = crate::field::Path::root(&pointer.trim_start_matches('/').replace('/', "."));
            Some(FieldError::invalid(&path, number, "should be a non-negative integer"))
        };
        [&scale.spec_replicas, &scale.status_replicas].into_iter().filter_map(negative).collect()
    }

    /// Everything but metadata counts, and the status only where it has no door of its own.
    pub fn next_generation(&self, new: &Value, old: Option<&Value>) -> i64 {
        let Some(old) = old else { return 1 };
        let before = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        let desired =
            |key: &str| key != "metadata" && key != "apiVersion" && (key != "status" || !self.status);
        let (Some(a), Some(b)) = (new.as_object(), old.as_object()) else { return before };
        let keys = a.keys().chain(b.keys()).filter(|key| desired(key));
        let changed = keys.into_iter().any(|key| a.get(key) != b.get(key));
        before + i64::from(changed)
    }

    /// As `KindSpec::selectable_value`.
    pub fn selectable_value(&self, object: &Value, field: &str) -> Option<String> {
        let plain = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        match field {
            "metadata.name" => Some(plain(object.pointer("/metadata/name"))),
            "metadata.namespace" if self.is_namespaced() => {
                Some(plain(object.pointer("/metadata/namespace")))
            }
            _ => {
                let (_, path) = self.selectable.iter().find(|(name, _)| name == field)?;
                Some(plain(path.find(object).first().copied()))
            }
        }
    }
}

impl CustomScale {
    fn parse(scale: &Value) -> Option<Self> {
        let pointer = |key: &str| {
            let path = JsonPath::parse(scale[key].as_str()?)?;
            Some(
                path.fields()?
                    .iter()
                    .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")))
                    .collect(),
            )
        };
        Some(Self {
            spec_replicas: pointer("specReplicasPath")?,
            status_replicas: pointer("statusReplicasPath")?,
            selector: pointer("labelSelectorPath").unwrap_or_default(),
        })
    }
}

/// Drops what a schema does not mention from a value inside an object.
pub(crate) fn prune_value(value: &mut Value, node: &Node) {
    prune::prune_inside(value, node);
}

fn conform_metadata(object: &mut Value) -> Result<Vec<String>, Mismatch> {
    let Some(metadata) = object.get_mut("metadata").filter(|metadata| !metadata.is_null()) else {
        return Ok(Vec::new());
    };
    let Some(ty) = Schema::builtin().definition(shape::OBJECT_META) else { return Ok(Vec::new()) };
    let mut wrapped = serde_json::json!({});
    wrapped["metadata"] = metadata.take();
    let unknown = conform(&mut wrapped["metadata"], ty)?;
    *metadata = wrapped["metadata"].take();
    let below = |text: String| text.replacen("unknown field \"", "unknown field \"metadata.", 1);
    Ok(unknown.into_iter().map(below).collect())
}

fn deprecation(definition: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(own) = version["deprecationWarning"].as_str() {
        return Some(own.to_owned());
    }
    let spec = &definition["spec"];
    let (group, kind) = (spec["group"].as_str().unwrap_or(""), spec["names"]["kind"].as_str().unwrap_or(""));
    let name = version["name"].as_str().unwrap_or("");
    let text = format!("{group}/{name} {kind} is deprecated");
    let names = spec["versions"].as_array().into_iter().flatten();
    let better = names
        .filter(|other| other["served"] == true && other["deprecated"] != true)
        .filter_map(|other| other["name"].as_str())
        .min_by(|a, b| version_order(a, b))
        .filter(|other| version_order(other, name).is_lt());
    Some(match better {
        Some(better) => format!("{text}; use {group}/{better} {kind}"),
        None => text,
    })
}

/// `v10`, `v2`, `v1`, `v11beta2`, `v10beta3`, `v3beta1`, `v12alpha1`, then everything else by its name.
pub fn version_order(a: &str, b: &str) -> std::cmp::Ordering {
    match (parse_version(a), parse_version(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Stability (2 is stable), major, minor.
fn parse_version(name: &str) -> Option<(u8, u64, u64)> {
    let rest = name.strip_prefix('v')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    for (word, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return Some((stability, number(major)?, number(minor)?));
        }
    }
    Some((2, number(rest)?, 0))
}
