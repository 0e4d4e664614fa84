//! Which values templates mention, read off their text.

use std::collections::BTreeSet;

use crate::chart::Chart;

/// How a path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Printed, opened by `with`, ranged over or handed on: everything below it counts.
    Whole,
    /// Looked at by `if`, `not`, `and`...: says nothing of what is below.
    Test,
}

/// What the templates of a chart mention.
#[derive(Debug, Default)]
pub(super) struct References {
    paths: BTreeSet<(Vec<String>, Use)>,
    /// `.Values` itself is handed on somewhere.
    pub everything: bool,
}

impl References {
    /// Those of a chart's templates, and of the partials that its subcharts and libraries lend it.
    pub fn of(chart: &Chart) -> References {
        let mut found = References::default();
        chart.templates.iter().for_each(|file| found.read(&String::from_utf8_lossy(&file.data)));
        for subchart in &chart.dependencies {
            let lent = |name: &str| {
                subchart.metadata.is_library()
                    || name.rsplit('/').next().is_some_and(|name| name.starts_with('_'))
            };
            let files = subchart.templates.iter().filter(|file| lent(&file.name));
            files.for_each(|file| found.read(&String::from_utf8_lossy(&file.data)));
        }
        for wanted in &chart.metadata.dependencies {
            let steps = |path: &str| path.trim().split('.').map(str::to_owned).collect();
            found.paths.extend(wanted.condition.split(',').map(|path| (steps(path), Use::Whole)));
        }
        found
    }

    fn read(&mut self, text: &str) {
        let mut rest = text;
        let mut before = String::new();
        while let Some(at) = rest.find(".Values") {
            before = action_before(&before, &rest[..at]);
            rest = &rest[at + ".Values".len()..];
            if rest.starts_with(is_word) {
                continue;
            }
            let (mut path, length) = steps(rest);
            let used = if path.is_empty() { literals(&before, rest, &mut path) } else { use_of(&before) };
            match path.is_empty() {
                true if used == Use::Test => {}
                true => self.everything = true,
                false => {
                    self.paths.insert((path, used));
                }
            }
            rest = &rest[length..];
        }
    }

    /// The path or something below it is mentioned.
    pub fn mentions(&self, path: &[String]) -> bool {
        self.paths.iter().any(|(known, _)| known.starts_with(path))
    }

    /// The path or something above it is taken whole.
    pub fn takes_whole(&self, path: &[String]) -> bool {
        (1..=path.len()).any(|length| self.paths.contains(&(path[..length].to_vec(), Use::Whole)))
    }

    /// Names that are mentioned right below a path.
    pub fn below(&self, above: &[String]) -> BTreeSet<String> {
        let below = |(path, _): &(Vec<String>, Use)| path.strip_prefix(above)?.first().cloned();
        self.paths.iter().filter_map(below).collect()
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `.a.b` and `.a).b`; with the length of what was read.
fn steps(text: &str) -> (Vec<String>, usize) {
    let (mut path, mut at) = (Vec::new(), 0);
    loop {
        let rest = &text[at..];
        let closed = rest.len() - rest.trim_start_matches(')').len();
        let closed = if path.is_empty() { 0 } else { closed };
        let Some(after) = rest[closed..].strip_prefix('.') else { return (path, at) };
        let name: String = after.chars().take_while(|c| is_word(*c)).collect();
        if name.is_empty() {
            return (path, at);
        }
        at += closed + 1 + name.len();
        path.push(name);
    }
}

/// What stands in the current action before this mention.
fn action_before(before: &str, skipped: &str) -> String {
    match skipped.rfind("{{") {
        Some(at) => skipped[at + 2..].to_owned(),
        None => format!("{before} {skipped}"),
    }
}

/// The word that decides what happens to a path.
fn use_of(before: &str) -> Use {
    let before = before.trim_end_matches(['$', '(', ' ', '\t', '\n']);
    let last = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let first = before.trim_start_matches('-').split_whitespace().next().unwrap_or_default();
    match (first, last) {
        (_, "if" | "not" | "and" | "or" | "empty" | "eq" | "ne" | "kindIs" | "hasKey") => Use::Test,
        ("if", _) => Use::Test,
        ("else", _) if before.contains(" if") => Use::Test,
        _ => Use::Whole,
    }
}

/// `index .Values "a" "b"`: literal steps after the bare values.
fn literals(before: &str, after: &str, path: &mut Vec<String>) -> Use {
    let last =
        before.trim_end_matches(['$', ' ', '(']).rsplit(|c: char| c.is_whitespace() || c == '(').next();
    if !matches!(last.unwrap_or_default(), "index" | "get" | "hasKey") {
        return Use::Whole;
    }
    let mut rest = after.trim_start();
    while let Some((literal, next)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
        path.push(literal.to_owned());
        rest = next.trim_start();
    }
    Use::Whole
}
