//! A kind as the server sees it, so that custom kinds take the same path as built-in ones.
//!
//! Start at [`ServedKind`]. Built-in kinds come from the catalog, custom ones from the [`Registry`](crate::custom::Registry).

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use drydock_kinds::schema::{self, Mismatch, Schema, Type};
use drydock_kinds::spec::{ALL_VERBS, Scale};
use drydock_kinds::{Column, CustomColumn, CustomKind, FieldError, KindSpec};
use jiff::Timestamp;
use serde_json::{Value, json};

/// One served kind. Cheap to clone; everything handlers need goes through its methods.
#[derive(Debug, Clone)]
pub struct ServedKind {
    origin: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Builtin(&'static KindSpec),
    Custom(Arc<CustomKind>),
}

/// A column of a kind's table, whatever brought the kind.
#[derive(Debug, Clone, Copy)]
pub enum ServedColumn<'a> {
    Builtin(&'static Column),
    Custom(&'a CustomColumn),
}

impl ServedKind {
    /// A built-in kind.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        drydock_kinds::by_plural(group, version, plural).map(Self::builtin)
    }

    /// All built-in kinds.
    pub fn all() -> impl Iterator<Item = Self> {
        drydock_kinds::catalog().iter().map(Self::builtin)
    }

    fn builtin(spec: &'static KindSpec) -> Self {
        Self { origin: Origin::Builtin(spec) }
    }

    pub fn of_custom(kind: Arc<CustomKind>) -> Self {
        Self { origin: Origin::Custom(kind) }
    }

    /// The custom kind behind this one, when it is one.
    pub fn custom(&self) -> Option<&Arc<CustomKind>> {
        match &self.origin {
            Origin::Builtin(_) => None,
            Origin::Custom(kind) => Some(kind),
        }
    }

    pub fn group(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.group,
            Origin::Custom(kind) => &kind.group,
        }
    }

    pub fn version(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.version,
            Origin::Custom(kind) => &kind.version,
        }
    }

    pub fn kind(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.kind,
            Origin::Custom(kind) => &kind.kind,
        }
    }

    pub fn list_kind(&self) -> String {
        match &self.origin {
            Origin::Builtin(spec) => format!("{}List", spec.kind),
            Origin::Custom(kind) => kind.list_kind.clone(),
        }
    }

    pub fn plural(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.plural,
            Origin::Custom(kind) => &kind.plural,
        }
    }

    pub fn singular(&self) -> String {
        match &self.origin {
            Origin::Builtin(spec) => spec.singular(),
            Origin::Custom(kind) => kind.singular.clone(),
        }
    }

    pub fn api_version(&self) -> String {
        match &self.origin {
            Origin::Builtin(spec) => spec.api_version(),
            Origin::Custom(kind) => kind.api_version(),
        }
    }

    pub fn is_namespaced(&self) -> bool {
        match &self.origin {
            Origin::Builtin(spec) => spec.is_namespaced(),
            Origin::Custom(kind) => kind.is_namespaced(),
        }
    }

    pub fn short_names(&self) -> Vec<&str> {
        match &self.origin {
            Origin::Builtin(spec) => spec.short_names.to_vec(),
            Origin::Custom(kind) => kind.short_names.iter().map(String::as_str).collect(),
        }
    }

    pub fn categories(&self) -> Vec<&str> {
        match &self.origin {
            Origin::Builtin(spec) => spec.categories.to_vec(),
            Origin::Custom(kind) => kind.categories.iter().map(String::as_str).collect(),
        }
    }

    pub fn verbs(&self) -> &[&str] {
        match &self.origin {
            Origin::Builtin(spec) => spec.verbs,
            Origin::Custom(_) => ALL_VERBS,
        }
    }

    pub fn columns(&self) -> Vec<ServedColumn<'_>> {
        match &self.origin {
            Origin::Builtin(spec) => spec.table_columns().map(ServedColumn::Builtin).collect(),
            Origin::Custom(kind) => kind.columns.iter().map(ServedColumn::Custom).collect(),
        }
    }

    pub fn has_status(&self) -> bool {
        match &self.origin {
            Origin::Builtin(spec) => spec.status,
            Origin::Custom(kind) => kind.status,
        }
    }

    pub fn scale(&self) -> Option<Scale<'_>> {
        match &self.origin {
            Origin::Builtin(spec) => spec.scale,
            Origin::Custom(kind) => kind.scale.as_ref().map(|scale| Scale {
                spec_replicas: &scale.spec_replicas,
                status_replicas: &scale.status_replicas,
                selector: &scale.selector,
            }),
        }
    }

    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group() == group && self.plural() == plural
    }

    /// Built-in kinds merge strategically; custom ones answer 415 to that patch type.
    pub fn merges_strategically(&self) -> bool {
        matches!(self.origin, Origin::Builtin(spec) if spec.stored.is_none())
    }

    /// Whether clients may speak protobuf about this kind. Custom kinds have no published message.
    pub fn has_protobuf(&self) -> bool {
        drydock_protobuf::has_kind(&self.api_version(), self.kind())
    }

    /// The type of the whole object; `None` while a kind has no published schema.
    pub fn root(&self) -> Option<Type<'_>> {
        match &self.origin {
            Origin::Builtin(spec) => Schema::builtin().kind(spec.group, spec.version, spec.kind),
            Origin::Custom(kind) => kind.root(),
        }
    }

    /// Brings an object into the shape of its kind; returns the unknown fields that were dropped.
    pub fn conform(&self, object: &mut Value) -> Result<Vec<String>, Mismatch> {
        match (&self.origin, self.root()) {
            (Origin::Custom(kind), _) => kind.conform(object),
            (Origin::Builtin(_), Some(root)) => schema::conform(object, root),
            (Origin::Builtin(_), None) => Ok(Vec::new()),
        }
    }

    /// Adds the empty fields that a real API server writes for this kind.
    pub fn complete(&self, object: &mut Value) {
        if let Origin::Builtin(_) = &self.origin {
            drydock_protobuf::complete(object);
        }
    }

    /// An object of this kind in which nobody has set anything.
    pub fn blank(&self) -> Value {
        let blank = match &self.origin {
            Origin::Builtin(spec) => drydock_protobuf::blank(&spec.api_version(), spec.kind),
            Origin::Custom(_) => None,
        };
        blank.unwrap_or_else(|| json!({}))
    }

    /// Whether items of a list say their version and kind, which those of built-in kinds leave to the list.
    pub fn names_items(&self) -> bool {
        matches!(self.origin, Origin::Custom(_))
    }

    pub fn excluded_fields(&self, subresource: &str) -> &'static [&'static str] {
        match &self.origin {
            Origin::Builtin(spec) => spec.excluded_fields(subresource),
            Origin::Custom(kind) => kind.excluded_fields(subresource),
        }
    }

    pub fn apply_defaults(&self, object: &mut Value) {
        match &self.origin {
            Origin::Builtin(spec) => (spec.default)(object),
            Origin::Custom(kind) => kind.apply_defaults(object),
        }
    }

    pub fn prepare(&self, object: &mut Value, old: Option<&Value>) {
        if let Origin::Builtin(spec) = &self.origin {
            (spec.prepare)(object, old);
        }
    }

    /// What is wrong with an object that is written through `subresource`, or empty for the object itself.
    pub fn validate(&self, subresource: &str, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        match &self.origin {
            Origin::Builtin(spec) => spec.check_through(subresource, object, old),
            Origin::Custom(kind) => kind.check(object, old),
        }
    }

    pub fn next_generation(&self, new: &Value, old: Option<&Value>) -> Option<i64> {
        match &self.origin {
            Origin::Builtin(spec) => spec.next_generation(new, old),
            Origin::Custom(kind) => Some(kind.next_generation(new, old)),
        }
    }

    pub fn has_generation(&self) -> bool {
        match &self.origin {
            Origin::Builtin(spec) => spec.generation != drydock_kinds::Generation::None,
            Origin::Custom(_) => true,
        }
    }

    /// Whether field selectors may name more than name and namespace.
    pub fn has_own_selectable_fields(&self) -> bool {
        match &self.origin {
            Origin::Builtin(spec) => !spec.selectable.is_empty(),
            Origin::Custom(_) => true,
        }
    }

    pub fn selectable_value(&self, object: &Value, field: &str) -> Option<String> {
        match &self.origin {
            Origin::Builtin(spec) => spec.selectable_value(object, field),
            Origin::Custom(kind) => kind.selectable_value(object, field),
        }
    }

    /// `GROUP/VERSION/KIND` of the form in which objects are stored.
    pub fn stored_name(&self) -> String {
        if self.is("apiextensions.k8s.io", "customresourcedefinitions") {
            // Clusters keep definitions in a version that is not served any more, and tell so.
            return format!("{}/v1beta1/{}", self.group(), self.kind());
        }
        let (group, version) = match &self.origin {
            Origin::Builtin(spec) => match &spec.stored {
                Some(stored) => (stored.group, stored.version),
                None => (spec.group, spec.version),
            },
            Origin::Custom(kind) => (kind.group.as_str(), kind.storage_version.as_str()),
        };
        format!("{group}/{version}/{}", self.kind())
    }

    /// Whether stored objects can be handed out as they lie there, given that they name this version.
    pub fn reads_as_stored(&self) -> bool {
        matches!(self.origin, Origin::Builtin(spec) if spec.stored.is_none())
    }

    /// An object as this kind shows it. Kinds of several groups or versions share one stored form; what already has
    /// this kind's form stays as it is.
    pub fn present(&self, mut object: Value) -> Value {
        match &self.origin {
            Origin::Custom(kind) => kind.present(&mut object),
            Origin::Builtin(spec) if object["apiVersion"] != self.api_version().as_str() => {
                if let Some(stored) = &spec.stored {
                    (stored.from)(&mut object);
                }
                object["apiVersion"] = self.api_version().into();
            }
            Origin::Builtin(_) => {}
        }
        object
    }

    /// What the author of an accepted object is warned of.
    pub fn warnings(&self, object: &Value) -> Vec<String> {
        match &self.origin {
            Origin::Builtin(spec) => (spec.warn)(object),
            Origin::Custom(_) => Vec::new(),
        }
    }

    /// What whoever uses this kind is warned of; empty for kinds that are to stay.
    pub fn deprecation(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.deprecated,
            Origin::Custom(kind) => kind.deprecation.as_deref().unwrap_or(""),
        }
    }

    /// The group that errors about objects of this kind name: the one they are stored in.
    pub fn stored_group(&self) -> &str {
        match &self.origin {
            Origin::Builtin(spec) => spec.stored.map_or(spec.group, |stored| stored.group),
            Origin::Custom(_) => self.group(),
        }
    }

    /// An object as it is stored.
    pub fn to_storage(&self, object: &mut Value) {
        match &self.origin {
            Origin::Custom(kind) => kind.to_storage(object),
            Origin::Builtin(spec) => {
                let Some(stored) = &spec.stored else { return };
                (stored.to)(object);
                object["apiVersion"] = match stored.group {
                    "" => stored.version.into(),
                    group => format!("{group}/{}", stored.version).into(),
                };
            }
        }
    }

    /// The store key of an object; `namespace` is empty for kinds of the whole cluster.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}{namespace}/{name}", self.prefix())
    }

    /// The store prefix of all objects, or of those in one namespace.
    pub fn prefix_in(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}{namespace}/", self.prefix()),
            None => self.prefix(),
        }
    }

    fn prefix(&self) -> String {
        let group = match &self.origin {
            Origin::Builtin(spec) => spec.stored.map_or(spec.group, |stored| stored.group),
            Origin::Custom(_) => self.group(),
        };
        format!("{}/{}/", if group.is_empty() { "core" } else { group }, self.plural())
    }

    /// What tells one served kind from another: a changed definition makes a new kind.
    fn identity(&self) -> usize {
        match &self.origin {
            Origin::Builtin(spec) => std::ptr::from_ref(*spec) as usize,
            Origin::Custom(kind) => Arc::as_ptr(kind) as usize,
        }
    }
}

impl PartialEq for ServedKind {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for ServedKind {}

impl Hash for ServedKind {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl ServedColumn<'_> {
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin(column) => column.name,
            Self::Custom(column) => &column.name,
        }
    }

    pub fn type_name(&self) -> &str {
        match self {
            Self::Builtin(column) => column.kind.as_str(),
            Self::Custom(column) => &column.kind,
        }
    }

    pub fn format(&self) -> &str {
        match self {
            Self::Builtin(column) => column.format,
            Self::Custom(column) => &column.format,
        }
    }

    pub fn description(&self) -> &str {
        match self {
            Self::Builtin(column) => column.description,
            Self::Custom(column) => &column.description,
        }
    }

    pub fn priority(&self) -> i64 {
        match self {
            Self::Builtin(column) => i64::from(column.priority),
            Self::Custom(column) => column.priority,
        }
    }

    pub fn value(&self, object: &Value, now: Timestamp) -> Value {
        match self {
            Self::Builtin(column) => column.value(object, now),
            Self::Custom(column) => column.value(object, now),
        }
    }
}
