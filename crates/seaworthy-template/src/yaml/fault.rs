//! What is wrong with a document: precisely for people, and in go-yaml's words for whoever compares.

use saphyr_parser::ScanError;

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("yaml: line {line}: {message}")]
    Syntax { line: usize, message: String, stage: Stage },
    #[error("yaml: the document exceeds the limit of {limit} {what}")]
    Limit { what: &'static str, limit: usize },
}

/// Which part of go-yaml finds the mistake; it counts lines differently in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Scanner,
    Parser,
    /// What is written is YAML, but it cannot become JSON: no line is named.
    Value,
}

impl Error {
    /// The sentence Helm prints: no line where go-yaml would say line 0.
    pub fn in_gos_words(&self) -> String {
        match self {
            Error::Syntax { line, message, stage } => match (stage, line) {
                (Stage::Value, _) => message.clone(),
                (_, 0 | 1) => format!("yaml: {message}"),
                (Stage::Scanner, line) => format!("yaml: line {line}: {message}"),
                (Stage::Parser, line) => format!("yaml: line {}: {message}", line - 1),
            },
            limit => limit.to_string(),
        }
    }

    /// A failure of the parser, in go-yaml's vocabulary.
    pub(super) fn of_parser(error: &ScanError, text: &str) -> Error {
        let line = error.marker().line().max(1);
        let info = error.info();
        let reason = match info.rsplit_once(", ") {
            Some((context, reason)) if context.starts_with("while ") => reason,
            _ => info,
        };
        let (stage, message) = match reason {
            "found unknown anchor" => (Stage::Value, unknown_anchor(error, text)),
            reason if reason.starts_with("unexpected character") || reason.contains("tab") => {
                (Stage::Scanner, "found character that cannot start any token".to_owned())
            }
            "simple key expect ':'" | "simple key expected" => {
                (Stage::Scanner, "could not find expected ':'".to_owned())
            }
            "expected ',' or ']'" => (Stage::Parser, format!("did not find {reason}")),
            reason => {
                let parsing = ["while parsing a node", "while parsing a block", "while parsing a flow"];
                let is_parser = parsing.iter().any(|start| info.starts_with(start));
                (if is_parser { Stage::Parser } else { Stage::Scanner }, reason.to_owned())
            }
        };
        Error::Syntax { line, message, stage }
    }
}

fn unknown_anchor(error: &ScanError, text: &str) -> String {
    let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
    let after: String = line.chars().skip(error.marker().col()).collect();
    let name = after.trim_start_matches('*').split(|c: char| c.is_whitespace() || ",]}".contains(c)).next();
    format!("yaml: unknown anchor '{}' referenced", name.unwrap_or_default())
}
