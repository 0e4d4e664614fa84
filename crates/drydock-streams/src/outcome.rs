//! How a remote command ended, as clients are told: a `Status` object since protocol v4, plain text before.

use serde_json::{Value, json};

/// The end of an exec or attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// The command's own exit code, other than zero.
    ExitCode(i32),
    /// The command could not be run, or not to its end.
    Failed(String),
}

impl Outcome {
    pub fn of_code(code: i32) -> Self {
        match code {
            0 => Self::Success,
            code => Self::ExitCode(code),
        }
    }

    /// For protocol v4 and v5.
    pub fn to_status(&self) -> Value {
        match self {
            Self::Success => json!({ "metadata": {}, "status": "Success" }),
            Self::ExitCode(code) => json!({
                "metadata": {}, "status": "Failure", "message": self.to_text(), "reason": "NonZeroExitCode",
                "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
            }),
            Self::Failed(_) => json!({
                "metadata": {}, "status": "Failure", "message": self.to_text(), "reason": "InternalError", "code": 500,
            }),
        }
    }

    /// For older protocols, which say nothing of a success.
    pub fn to_text(&self) -> String {
        match self {
            Self::Success => String::new(),
            Self::ExitCode(code) => {
                format!(
                    "command terminated with non-zero exit code: command terminated with exit code {code}"
                )
            }
            Self::Failed(why) => format!("Internal error occurred: {why}"),
        }
    }

    pub(crate) fn message(&self, as_status: bool) -> Vec<u8> {
        match as_status {
            true => self.to_status().to_string().into_bytes(),
            false => self.to_text().into_bytes(),
        }
    }
}
