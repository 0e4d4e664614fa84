//! A kind as the server sees it, so that custom kinds can take the same path as built-in ones.

use drydock_kinds::schema::{Schema, Type};
use drydock_kinds::spec::Scale;
use drydock_kinds::{Column, FieldError, KindSpec};
use serde_json::Value;

/// One served kind. Cheap to copy; everything handlers need goes through its methods.
#[derive(Debug, Clone, Copy)]
pub struct ServedKind {
    spec: &'static KindSpec,
}

impl ServedKind {
    pub fn find(group: &str, version: &str, plural: &str) -> Option<Self> {
        drydock_kinds::by_plural(group, version, plural).map(|spec| Self { spec })
    }

    pub fn all() -> impl Iterator<Item = Self> {
        drydock_kinds::catalog().iter().map(|spec| Self { spec })
    }

    pub fn group(&self) -> &str {
        self.spec.group
    }

    pub fn version(&self) -> &str {
        self.spec.version
    }

    pub fn kind(&self) -> &str {
        self.spec.kind
    }

    pub fn plural(&self) -> &str {
        self.spec.plural
    }

    pub fn singular(&self) -> String {
        self.spec.singular()
    }

    pub fn api_version(&self) -> String {
        self.spec.api_version()
    }

    pub fn is_namespaced(&self) -> bool {
        self.spec.is_namespaced()
    }

    pub fn short_names(&self) -> &[&str] {
        self.spec.short_names
    }

    pub fn categories(&self) -> &[&str] {
        self.spec.categories
    }

    pub fn verbs(&self) -> &[&str] {
        self.spec.verbs
    }

    pub fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.spec.table_columns()
    }

    pub fn has_status(&self) -> bool {
        self.spec.status
    }

    pub fn scale(&self) -> Option<Scale> {
        self.spec.scale
    }

    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group() == group && self.plural() == plural
    }

    /// Built-in kinds merge strategically; custom ones answer 415 to that patch type.
    pub fn merges_strategically(&self) -> bool {
        true
    }

    /// The type of the whole object; `None` while a kind has no published schema.
    pub fn root(&self) -> Option<Type<'static>> {
        Schema::builtin().kind(self.group(), self.version(), self.kind())
    }

    pub fn excluded_fields(&self, subresource: &str) -> &'static [&'static str] {
        self.spec.excluded_fields(subresource)
    }

    pub fn apply_defaults(&self, object: &mut Value) {
        (self.spec.default)(object);
    }

    pub fn prepare(&self, object: &mut Value, old: Option<&Value>) {
        (self.spec.prepare)(object, old);
    }

    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        self.spec.check(object, old)
    }

    pub fn next_generation(&self, new: &Value, old: Option<&Value>) -> Option<i64> {
        self.spec.next_generation(new, old)
    }

    pub fn has_generation(&self) -> bool {
        self.spec.generation != drydock_kinds::Generation::None
    }

    pub fn selectable_value(&self, object: &Value, field: &str) -> Option<String> {
        self.spec.selectable_value(object, field)
    }

    /// An object as this kind shows it. Kinds of several groups or versions share one stored form; what already has
    /// this kind's form stays as it is.
    pub fn present(&self, mut object: Value) -> Value {
        if object["apiVersion"] != self.api_version().as_str() {
            if let Some(stored) = &self.spec.stored {
                (stored.from)(&mut object);
            }
            object["apiVersion"] = self.api_version().into();
        }
        object
    }

    /// An object of this kind in the form it is stored in.
    pub fn shelve(&self, mut object: Value) -> Value {
        if let Some(stored) = &self.spec.stored {
            (stored.to)(&mut object);
            object["apiVersion"] = match stored.group {
                "" => stored.version.into(),
                group => format!("{group}/{}", stored.version).into(),
            };
        }
        object
    }

    /// Whether stored objects are shown as they are, but for their version's name. What more [`Self::present`] does
    /// for a kind has to be reason for a no here.
    pub fn reads_as_stored(&self) -> bool {
        self.spec.stored.is_none()
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
        let group = self.spec.stored.map_or(self.group(), |stored| stored.group);
        format!("{}/{}/", if group.is_empty() { "core" } else { group }, self.plural())
    }
}
