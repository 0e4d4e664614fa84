//! What can go wrong while parsing or executing a template.
//!
//! `Display` of both errors is what Go's text/template prints, because people search the web for those
//! sentences; the fields carry the same facts for callers that point at the source instead.

use std::fmt;

/// A template that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {template}:{line}: {message}")]
pub struct ParseError {
    pub template: String,
    /// First line is 1.
    pub line: usize,
    pub message: String,
}

/// An execution that stopped, with the place and the expression it stopped at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecError {
    /// The file (or `gotpl` for text given to `tpl`) that holds the expression.
    pub template: String,
    /// First line is 1, first column 0; both are 0 when the failure has no place in a template.
    pub line: usize,
    pub column: usize,
    /// The defined name that was being executed, often the same as `template`.
    pub executing: String,
    /// The failing expression as written, for example `.Values.image.tag`.
    pub expression: String,
    pub message: String,
    pub cause: Option<Box<Error>>,
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "template: {}:{}:{}: executing {} at <{}>: {}",
            self.template,
            self.line,
            self.column,
            crate::gofmt::quote(self.executing.as_bytes()),
            self.expression,
            self.message
        )?;
        // Go prints the whole chain in one sentence; the cause is part of the message.
        match &self.cause {
            Some(cause) => write!(f, "{cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExecError {}

/// Any failure of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Exec(#[from] Box<ExecError>),
    /// `include` or the caller named a template that nobody defined.
    #[error("template: no template {} associated with template \"gotpl\"", crate::gofmt::quote(.0.as_bytes()))]
    NoTemplate(String),
    /// One of the [`crate::Limits`] was reached; a caller may raise it.
    #[error("the template exceeds the limit of {limit} {what}")]
    Limit { what: &'static str, limit: usize },
    /// A plain sentence from a function, wrapped by the expression that called it.
    #[error("{0}")]
    Message(String),
}

impl Error {
    /// The innermost failure that has a place in a template: where the mistake is, not who included it.
    pub fn innermost(&self) -> Option<&ExecError> {
        match self {
            Error::Exec(exec) => Some(exec.cause.as_deref().and_then(Error::innermost).unwrap_or(exec)),
            _ => None,
        }
    }
}

impl Error {
    /// Helm's way to print a failed execution: one place per paragraph where it can tell them apart, which it
    /// cannot once a function failed for a reason of its own.
    pub fn in_helms_words(&self) -> String {
        let mut paragraphs: Vec<String> = Vec::new();
        let mut next = Some(self);
        while let Some(error) = next {
            match error {
                Error::Exec(exec) if !exec.is_reason_of_function() => {
                    paragraphs.push(exec.paragraph());
                    next = exec.cause.as_deref();
                }
                Error::NoTemplate(_) => {
                    paragraphs.push(format!("{error}\n"));
                    next = None;
                }
                _ => return self.to_string(),
            }
        }
        paragraphs.dedup();
        paragraphs.concat().trim().to_owned()
    }
}

impl ExecError {
    /// The message is the text of another error, which in Go is an error of its own.
    fn is_reason_of_function(&self) -> bool {
        self.cause.is_none() && self.message.starts_with("error calling ")
    }

    fn paragraph(&self) -> String {
        let executing = crate::gofmt::quote(self.executing.as_bytes());
        let message = self.message.split(" template:").next().unwrap_or_default();
        // A cause follows a colon and a space, where Helm cuts.
        let message = if self.cause.is_some() { message.trim_end() } else { message };
        format!(
            "{}:{}:{}\n  executing {executing} at <{}>:\n    {message}\n",
            self.template, self.line, self.column, self.expression
        )
    }
}

/// How a function reports failure: a sentence, or an error of a template it executed.
pub type Failure = Error;

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error::Message(message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        Error::Message(message.to_owned())
    }
}
