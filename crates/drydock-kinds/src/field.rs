//! Field errors as a `422 Invalid` answer lists them.
//!
//! For validators, which collect them, and for the API, which turns them into `details.causes`.
//! The texts are those that clients of a real cluster already know.

use std::fmt;

use serde_json::Value;

/// One reason why an object is refused.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    /// `spec.template.spec.containers[0].image`
    pub path: String,
    pub kind: FieldErrorKind,
    /// The offending value, where showing it helps.
    pub value: Option<Value>,
    /// The same as it is printed, where it is a structure of Go whose fields keep their order.
    pub printed: Option<String>,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    Duplicate,
    Forbidden,
    NotSupported,
    TooLong,
    TooMany,
    NotFound,
    TypeInvalid,
}

impl FieldErrorKind {
    /// The `reason` of a status cause.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
        }
    }
}

impl FieldError {
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Required, None, detail)
    }

    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, None, detail)
    }

    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Invalid, Some(value.into()), detail)
    }

    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, Some(value.into()), "")
    }

    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::NotFound, Some(value.into()), "")
    }

    pub fn too_long(path: &Path, max: usize) -> Self {
        Self::new(path, FieldErrorKind::TooLong, None, format!("may not be more than {max} bytes"))
    }

    pub fn too_many(path: &Path, count: usize, max: usize) -> Self {
        let detail = format!("must have at most {max} items");
        Self::new(path, FieldErrorKind::TooMany, Some(count.into()), detail)
    }

    /// `supported` in the order that a real cluster lists it.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        let detail = format!("supported values: {}", names.join(", "));
        Self::new(path, FieldErrorKind::NotSupported, Some(value.into()), detail)
    }

    /// The same where clients know the supported values in an order of their own.
    pub fn not_supported_in_order(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let names: Vec<String> = supported.iter().map(|name| format!("{name:?}")).collect();
        let detail = format!("supported values: {}", names.join(", "));
        Self::new(path, FieldErrorKind::NotSupported, Some(value.into()), detail)
    }

    /// Shows a structure as Go prints it instead of the value: these fields, in this order.
    pub fn showing(mut self, fields: &[(&str, Value)]) -> Self {
        self.printed = Some(go_struct(fields));
        self
    }

    /// The same for a list of structures.
    pub fn showing_list(mut self, items: &[Vec<(&str, Value)>]) -> Self {
        let items: Vec<String> = items.iter().map(|fields| go_struct(fields)).collect();
        self.printed = Some(format!("[{}]", items.join(",")));
        self
    }

    fn new(path: &Path, kind: FieldErrorKind, value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { path: path.to_string(), kind, value, printed: None, detail: detail.into() }
    }

    /// The message without the path, as a status cause carries it.
    pub fn message(&self) -> String {
        let mut text = self.kind.words().to_owned();
        match (&self.printed, &self.value) {
            (Some(printed), _) => text.push_str(&format!(": {printed}")),
            (None, Some(value)) => text.push_str(&format!(": {value}")),
            (None, None) => {}
        }
        if !self.detail.is_empty() {
            text.push_str(&format!(": {}", self.detail));
        }
        text
    }
}

fn go_struct(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

impl fmt::Display for FieldError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.message())
    }
}

/// A path into an object, grown as a validator descends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    pub fn root(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// `path.name`; dots in `name` descend several fields at once.
    pub fn child(&self, name: &str) -> Self {
        Self(format!("{}.{name}", self.0))
    }

    /// `path[3]`
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// `path[key]`, for entries of a map.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}
