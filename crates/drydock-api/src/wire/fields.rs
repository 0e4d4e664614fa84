//! `fieldValidation`: what happens to fields that a kind does not know or that were given twice.

use drydock_kinds::FieldError;
use drydock_kinds::field::Path;

use crate::served::ServedKind;
use crate::status::ApiError;

/// What the client wants done about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

impl FieldValidation {
    pub fn parse(text: Option<&str>) -> Result<Self, FieldError> {
        match text {
            None | Some("Warn") => Ok(Self::Warn),
            Some("Ignore") => Ok(Self::Ignore),
            Some("Strict") => Ok(Self::Strict),
            Some(other) => {
                let (path, known) = (Path::root("fieldValidation"), ["", "Ignore", "Strict", "Warn"]);
                Err(FieldError::not_supported(&path, other, &known))
            }
        }
    }
}

impl FieldValidation {
    /// The warnings to send along, or the refusal. `findings` read `unknown field "spec.foo"`.
    pub fn judge(self, findings: Vec<String>, kind: &ServedKind) -> Result<Vec<String>, ApiError> {
        match self {
            _ if findings.is_empty() => Ok(findings),
            Self::Ignore => Ok(Vec::new()),
            Self::Warn => Ok(findings),
            Self::Strict => {
                Err(undecodable(kind, &format!("strict decoding error: {}", findings.join(", "))))
            }
        }
    }
}

/// The answer to a body that is no object of its kind.
pub fn undecodable(kind: &ServedKind, why: &str) -> ApiError {
    let (version, name) = (kind.version(), kind.kind());
    ApiError::bad_request(format!("{name} in version {version:?} cannot be handled as a {name}: {why}"))
}
