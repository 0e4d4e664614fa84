//! Conflicts of a server-side apply, in the words that kubectl and Helm print and parse.

use std::fmt;

use super::managers::{Manager, Operation};

/// A field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// As a cause's message: `conflict with "kubectl" using apps/v1`
    pub message: String,
    /// `.spec.replicas`
    pub field: String,
}

/// All conflicts of one request, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(pub Vec<Conflict>);

impl Conflict {
    pub(super) fn with(manager: &Manager, field: String) -> Self {
        Self { message: format!("conflict with {}", describe(manager)), field }
    }

    fn other(&self) -> &str {
        self.message.strip_prefix("conflict with ").unwrap_or(&self.message)
    }
}

/// The time of an entry is not part of who it is.
fn describe(manager: &Manager) -> String {
    let mut text = format!("{:?}", manager.name);
    if !manager.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", manager.subresource));
    }
    if manager.operation == Operation::Update {
        text.push_str(&format!(" using {}", manager.api_version));
    }
    text
}

impl Conflicts {
    pub fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.0.iter()
    }
}

/// The message of the 409, which groups fields by their owner.
impl fmt::Display for Conflicts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(out, "Apply failed with 1 conflict: {}: {}", only.message, only.field);
        }
        let mut lines = Vec::new();
        let mut last = "";
        for conflict in &self.0 {
            if conflict.other() != last {
                last = conflict.other();
                lines.push(format!("conflicts with {last}:"));
            }
            lines.push(format!("- {}", conflict.field));
        }
        write!(out, "Apply failed with {} conflicts: {}", self.0.len(), lines.join("\n"))
    }
}
