//! What can be wrong with a Compose file, where, and what to do about it.
//!
//! Inside the crate a [`Fault`] travels: a problem and a [`Mark`]. At the border it becomes an [`Error`], which
//! owns the excerpt it shows. Values of variables never appear: only their names do.

use std::fmt;
use std::path::PathBuf;

use seaworthy_app::looks_secret;

use crate::node::{Mark, Source};

pub(crate) type Result<T, E = Box<Fault>> = std::result::Result<T, E>;

/// The ways in which a Compose file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("no Compose file in `{}`", folder.display())]
    NoFile { folder: PathBuf },
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is larger than {limit_bytes} bytes", path.display())]
    TooLarge { path: PathBuf, limit_bytes: u64 },
    #[error("this is not YAML: {info}")]
    Syntax { info: String },
    #[error("the file nests deeper than {limit} levels")]
    TooDeep { limit: usize },
    #[error("the file grows beyond {limit} values once its aliases are written out")]
    TooMany { limit: usize },
    #[error("the key `{key}` is there twice")]
    DuplicateKey { key: String },
    #[error("the file is empty")]
    Empty,
    #[error("the file has no services")]
    NoServices,
    #[error("`{path}` must be {expected}, and is {found}")]
    WrongType { path: String, expected: &'static str, found: &'static str },
    #[error("`{path}` has no key `{key}`")]
    UnknownKey { path: String, key: String },
    #[error("`{path}` must be {expected}, and is `{found}`")]
    BadValue { path: String, expected: String, found: String },
    #[error("the variable `{name}` is not set{}", reason(message))]
    MissingVariable { name: String, message: String },
    #[error("`{text}` is not a reference to a variable")]
    BadInterpolation { text: String },
    #[error("`{name}` is generated when the app is installed, so it cannot stand here")]
    GeneratedElsewhere { name: String },
    #[error("the services `{first}` and `{second}` both publish port {port} of this machine")]
    PortTaken { first: String, second: String, port: u16 },
    #[error("the services wait for each other: {}", cycle.join(" -> "))]
    DependencyCycle { cycle: Vec<String> },
    #[error("`{service}` depends on `{missing}`, which is not a service")]
    UnknownDependency { service: String, missing: String },
    #[error("`{service}` uses the {what} `{name}`, which the file does not define")]
    Undefined { service: String, what: &'static str, name: String },
    #[error("the service `{service}` has neither `image` nor `build`")]
    NoImage { service: String },
    #[error("`{name}` is not a name for {what}")]
    BadName { what: &'static str, name: String },
    #[error("`{service}` extends `{base}`, which {why}")]
    Extends { service: String, base: String, why: &'static str },
}

fn reason(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Nobody reads a longer line; it is told by its number only.
const MAX_SHOWN_BYTES: usize = 400;

/// A problem before its excerpt is looked up.
#[derive(Debug)]
pub(crate) struct Fault {
    pub problem: Problem,
    pub mark: Option<Mark>,
    pub hint: Option<String>,
}

impl Fault {
    pub fn at<T>(mark: Mark, problem: Problem) -> Result<T> {
        Err(Box::new(Fault { problem, mark: Some(mark), hint: None }))
    }

    pub fn hinted<T>(mark: Mark, problem: Problem, hint: impl Into<String>) -> Result<T> {
        Err(Box::new(Fault { problem, mark: Some(mark), hint: Some(hint.into()) }))
    }

    pub fn nowhere(problem: Problem, hint: Option<String>) -> Box<Fault> {
        Box::new(Fault { problem, mark: None, hint })
    }

    pub fn into_error(self, sources: &[Source]) -> Error {
        let at = self.mark.and_then(|mark| {
            let source = sources.get(mark.file)?;
            let text = source.text.lines().nth(mark.line.saturating_sub(1)).unwrap_or_default();
            Some(At {
                file: source.path.clone(),
                line: mark.line,
                column: mark.column,
                width: mark.width,
                text: masked(text),
            })
        });
        Error(Box::new(Inner { problem: self.problem, at, hint: self.hint }))
    }
}

/// Why a Compose file could not be loaded. `Display` is one line; [`Error::explain`] shows the place too.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Problem,
    at: Option<At>,
    hint: Option<String>,
}

/// A place in a file. Lines and columns count from one, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    /// How many characters to underline, at least one.
    pub width: usize,
    /// The whole line.
    pub text: String,
}

impl Error {
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    pub fn at(&self) -> Option<&At> {
        self.0.at.as_ref()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The line it stands on, underlined, on three lines that begin with two spaces; nothing for a place that must
    /// not be shown, such as a line of `.env`.
    pub fn excerpt(&self) -> Option<String> {
        self.0.at.as_ref().filter(|at| !at.text.is_empty()).map(excerpt)
    }

    /// Message, cause, excerpt and hint on several lines, for a terminal. Ends without a line feed. Whoever prints
    /// it need not walk [`std::error::Error::source`] any more.
    pub fn explain(&self) -> String {
        let mut out = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            out.push_str(&format!("\n  because: {source}"));
            cause = source.source();
        }
        if let Some(excerpt) = self.excerpt() {
            out.push('\n');
            out.push_str(&excerpt);
        }
        if let Some(hint) = &self.0.hint {
            out.push_str(&format!("\n  hint: {hint}"));
        }
        out
    }
}

/// `line` with stars in place of a secret that stands in it, as wide as before, so that underlines still fit.
///
/// References to variables are not secret: `${POSTGRES_PASSWORD}` stays.
fn masked(line: &str) -> String {
    if line.len() > MAX_SHOWN_BYTES {
        return String::new();
    }
    let Some(at) = line.match_indices([':', '=']).map(|(at, _)| at + 1).find(|&at| begins_secret(line, at))
    else {
        return line.to_owned();
    };
    let stars = line[at..].chars().map(|c| if c.is_whitespace() { c } else { '*' });
    line[..at].chars().chain(stars).collect()
}

/// Whether what stands behind the name that ends before `at` is secret.
fn begins_secret(line: &str, at: usize) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let before = line[..at - 1].trim_end_matches(['"', '\'']);
    let name = before.rsplit(|c| !is_part(c)).next().unwrap_or_default();
    let value = line[at..].trim_matches([' ', '"', '\'']);
    let in_reference = before.rfind("${") > before.rfind('}');
    if value.is_empty() || value.starts_with(['$', '[', '{']) || in_reference {
        return false;
    }
    let by_value = !value.contains("${") && looks_secret("", value).is_some();
    by_value || looks_secret(name, value).is_some() && looks_secret(name, "").is_some()
}

fn excerpt(at: &At) -> String {
    let number = at.line.to_string();
    let gutter = " ".repeat(number.len());
    let length = at.text.chars().count();
    let indent = " ".repeat(at.column.saturating_sub(1).min(length));
    let room = length.saturating_sub(at.column.saturating_sub(1)).max(1);
    let underline = "^".repeat(at.width.clamp(1, room));
    format!("  {gutter} |\n  {number} | {}\n  {gutter} | {indent}{underline}", at.text)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(At { file, line, column, .. }) = &self.0.at {
            write!(f, "{}:{line}:{column}: ", file.display())?;
        }
        self.0.problem.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.problem.source()
    }
}

/// The word among `known` that `typed` was probably meant to be.
pub(crate) fn closest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.into_iter().map(|word| (strsim::damerau_levenshtein(typed, word), word));
    let (distance, word) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(typed.chars().count() / 4) && distance < word.len()).then_some(word)
}

/// "did you mean ...?", when there is a candidate.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(typed, known).map(|word| format!("did you mean `{word}`?"))
}
