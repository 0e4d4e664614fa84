//! What a kind declares about itself: [`KindSpec`], built as a constant in the kind's own file.
//!
//! For the API server (routes, discovery, admission), the table printer and the garbage collector.
//! A specification holds only constants and plain functions, so the catalog costs no memory and no start-up time.
//!
//! Start at [`KindSpec::namespaced`].

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope, Resource};
use serde_json::Value;

use crate::column::Column;
use crate::field::FieldError;

/// Fills in what the author of an object left out. Runs on every write, so it must be idempotent.
pub type DefaultFn = fn(&mut Value);
/// Adjusts a new or updated object before validation; the second argument is the stored object on an update.
/// `metadata.uid` and `metadata.creationTimestamp` are set by then.
pub type PrepareFn = fn(&mut Value, Option<&Value>);
/// Checks a new object; with the stored object it also checks what must not change.
pub type ValidateFn = fn(&Value, Option<&Value>) -> Vec<FieldError>;

/// Warnings for the author of an object.
pub type WarnFn = fn(&Value) -> Vec<String>;
/// Changes an object between the form its kind shows and the form it is stored in.
pub type ConvertFn = fn(&mut Value);

/// The kind under which objects are kept when another group or version shows the same objects.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    pub group: &'static str,
    pub version: &'static str,
    /// From the shown form to the stored one.
    pub to: ConvertFn,
    /// From the stored form to the shown one.
    pub from: ConvertFn,
}

/// Everything the engine knows about one built-in kind.
#[derive(Debug, Clone, Copy)]
pub struct KindSpec {
    /// Empty for the core group.
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub scope: Scope,
    pub short_names: &'static [&'static str],
    pub categories: &'static [&'static str],
    pub verbs: &'static [&'static str],
    /// Whether `/status` is served and the main resource ignores `status`.
    pub status: bool,
    pub scale: Option<Scale<'static>>,
    /// Read them through [`KindSpec::table_columns`].
    pub columns: &'static [Column],
    /// Whether `columns` starts with its own NAME.
    pub names_itself: bool,
    /// Fields for field selectors beyond `metadata.name` and `metadata.namespace`.
    pub selectable: &'static [Selectable],
    pub name_rule: NameRule,
    pub generation: Generation,
    pub default: DefaultFn,
    pub prepare: PrepareFn,
    pub validate: ValidateFn,
    /// A subresource whose writes are checked by rules of its own, and these rules.
    pub door: Option<(&'static str, ValidateFn)>,
    /// What is worth a warning about a new or changed object that is accepted.
    pub warn: WarnFn,
    /// What a client that uses this kind is warned of; empty for kinds that are to stay.
    pub deprecated: &'static str,
    /// `None` for kinds that are stored as they are shown.
    pub stored: Option<Stored>,
}

/// Whether objects live in a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaced,
}

/// Which rule a name must obey. Labels of DNS are at most 63 characters, subdomains at most 253.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRule {
    /// Lower-case labels separated by dots (RFC 1123).
    Subdomain,
    /// One lower-case label (RFC 1123).
    Label,
    /// One lower-case label that starts with a letter (RFC 1035).
    Label1035,
    /// Anything that fits into one segment of a URL path, as RBAC objects allow.
    PathSegment,
}

/// When `metadata.generation` grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The kind has no generation.
    None,
    /// Starts at 1 and grows when anything but `metadata` and `status` changes.
    Spec,
    /// As [`Generation::Spec`], and also when annotations change (Deployment).
    SpecAndAnnotations,
}

/// Where the scale subresource finds its numbers, as JSON pointers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale<'a> {
    pub spec_replicas: &'a str,
    pub status_replicas: &'a str,
    /// A `LabelSelector`, a plain label map, or the text of a selector; empty when the kind has none.
    pub selector: &'a str,
}

/// A field that a field selector may name.
#[derive(Debug, Clone, Copy)]
pub struct Selectable {
    /// As a client writes it: `spec.nodeName`.
    pub name: &'static str,
    /// JSON pointers, the first present one wins.
    pub at: &'static [&'static str],
    /// The text compared when none is present.
    pub missing: &'static str,
}

pub const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const AGE_ONLY: &[Column] = &[Column::age()];

const SCALE: Scale<'static> = Scale {
    spec_replicas: "/spec/replicas",
    status_replicas: "/status/replicas",
    selector: "/spec/selector",
};

impl KindSpec {
    /// A kind whose objects live in a namespace; the compiler checks the scope against the published type.
    pub const fn namespaced<T: Resource<Scope = NamespaceResourceScope>>() -> Self {
        Self::of::<T>(Scope::Namespaced)
    }

    /// A kind whose objects belong to the whole cluster.
    pub const fn cluster<T: Resource<Scope = ClusterResourceScope>>() -> Self {
        Self::of::<T>(Scope::Cluster)
    }

    const fn of<T: Resource>(scope: Scope) -> Self {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural: T::URL_PATH_SEGMENT,
            scope,
            short_names: &[],
            categories: &[],
            verbs: ALL_VERBS,
            status: false,
            scale: None,
            columns: AGE_ONLY,
            names_itself: false,
            selectable: &[],
            name_rule: NameRule::Subdomain,
            generation: Generation::None,
            default: |_| {},
            prepare: |_, _| {},
            validate: |_, _| Vec::new(),
            door: None,
            warn: |_| Vec::new(),
            deprecated: "",
            stored: None,
        }
    }

    /// Offers fewer verbs than [`ALL_VERBS`].
    pub const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    pub const fn warn_with(mut self, warn: WarnFn) -> Self {
        self.warn = warn;
        self
    }

    /// Warns whoever uses this kind.
    pub const fn deprecated(mut self, warning: &'static str) -> Self {
        self.deprecated = warning;
        self
    }

    /// Shares the stored objects of another group or version of the same plural.
    pub const fn stored_as(mut self, stored: Stored) -> Self {
        self.stored = Some(stored);
        self
    }

    pub const fn short_names(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    pub const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    pub const fn with_status(mut self) -> Self {
        self.status = true;
        self
    }

    /// Serves `/scale` over `spec.replicas`, `status.replicas` and `spec.selector`.
    pub const fn with_scale(mut self) -> Self {
        self.scale = Some(SCALE);
        self
    }

    /// The columns after NAME. Without this call a table has NAME and AGE.
    pub const fn columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self
    }

    /// All columns, where NAME is not simply the name or not the first.
    pub const fn all_columns(mut self, columns: &'static [Column]) -> Self {
        self.columns = columns;
        self.names_itself = true;
        self
    }

    /// The columns of a table, in order, NAME included.
    pub fn table_columns(&self) -> impl Iterator<Item = &'static Column> {
        const NAME: &[Column] = &[Column::name()];
        let lead: &'static [Column] = if self.names_itself { &[] } else { NAME };
        lead.iter().chain(self.columns)
    }

    pub const fn selectable(mut self, fields: &'static [Selectable]) -> Self {
        self.selectable = fields;
        self
    }

    pub const fn named(mut self, rule: NameRule) -> Self {
        self.name_rule = rule;
        self
    }

    pub const fn generation(mut self, rule: Generation) -> Self {
        self.generation = rule;
        self
    }

    pub const fn default_with(mut self, default: DefaultFn) -> Self {
        self.default = default;
        self
    }

    pub const fn prepare_with(mut self, prepare: PrepareFn) -> Self {
        self.prepare = prepare;
        self
    }

    pub const fn validate_with(mut self, validate: ValidateFn) -> Self {
        self.validate = validate;
        self
    }

    pub const fn validate_through(mut self, subresource: &'static str, validate: ValidateFn) -> Self {
        self.door = Some((subresource, validate));
        self
    }

    /// `v1` or `apps/v1`, as objects carry it.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The singular resource name, `deployment`.
    pub fn singular(&self) -> String {
        self.kind.to_ascii_lowercase()
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// The top-level fields that a write through `subresource` (empty for the main resource) must not touch
    /// and does not own in `managedFields`.
    pub fn excluded_fields(&self, subresource: &str) -> &'static [&'static str] {
        match (subresource, self.status) {
            ("status", _) => &["spec"],
            (_, true) => &["status"],
            _ => &[],
        }
    }

    /// The generation after a write; `None` when the kind has none.
    pub fn next_generation(&self, new: &Value, old: Option<&Value>) -> Option<i64> {
        if self.generation == Generation::None {
            return None;
        }
        let Some(old) = old else { return Some(1) };
        let before = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
        let annotations_count = self.generation == Generation::SpecAndAnnotations;
        let changed = !same_desired_state(new, old)
            || (annotations_count
                && new.pointer("/metadata/annotations") != old.pointer("/metadata/annotations"));
        Some(if changed { before + 1 } else { before })
    }

    /// The text that a field selector compares for `field`; `None` when the kind does not offer that field.
    pub fn selectable_value(&self, object: &Value, field: &str) -> Option<String> {
        match field {
            "metadata.name" => Some(text_at(object, "/metadata/name").unwrap_or_default()),
            "metadata.namespace" if self.is_namespaced() => {
                Some(text_at(object, "/metadata/namespace").unwrap_or_default())
            }
            _ => {
                let found = self.selectable.iter().find(|selectable| selectable.name == field)?;
                let text = found.at.iter().find_map(|pointer| text_at(object, pointer));
                Some(text.unwrap_or_else(|| found.missing.to_owned()))
            }
        }
    }
}

impl Selectable {
    pub const fn at(name: &'static str, at: &'static [&'static str]) -> Self {
        Self { name, at, missing: "" }
    }

    pub const fn or(mut self, missing: &'static str) -> Self {
        self.missing = missing;
        self
    }
}

fn text_at(object: &Value, pointer: &str) -> Option<String> {
    match object.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

fn same_desired_state(new: &Value, old: &Value) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return new == old };
    let desired = |key: &str| !matches!(key, "metadata" | "status" | "apiVersion" | "kind");
    let keys = new.keys().chain(old.keys()).filter(|key| desired(key));
    keys.into_iter().all(|key| new.get(key) == old.get(key))
}
