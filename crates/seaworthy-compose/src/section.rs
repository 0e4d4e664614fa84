//! Reads one mapping of the file: typed access to its keys, and an account of those nobody read.
//!
//! Each section has a table of [`Key`]s. A key in the table is carried or dropped with a reason; one that is not
//! is an error with a suggestion, because a misspelt key is a setting that silently does not apply.

use crate::error::{Fault, Problem, Result, did_you_mean};
use crate::node::{Entry, Mark, Node, Value};
use crate::{Report, scalars};

/// A key of a section and what becomes of it.
pub struct Key {
    pub name: &'static str,
    /// Why it is not carried over; `None` for keys that are.
    pub dropped: Option<&'static str>,
}

pub const fn carried(name: &'static str) -> Key {
    Key { name, dropped: None }
}

pub const fn dropped(name: &'static str, why: &'static str) -> Key {
    Key { name, dropped: Some(why) }
}

/// The path of the mapping that is the file.
pub const WHOLE_FILE: &str = "the file";

/// A mapping with its path, for messages: `services.web.deploy`.
#[derive(Clone)]
pub struct Section<'a> {
    pub path: String,
    pub mark: Mark,
    entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// An empty node counts as an empty mapping.
    pub fn new(node: &'a Node, path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        match &node.value {
            Value::Map(entries) => Ok(Section { path, mark: node.mark, entries }),
            Value::Null => Ok(Section { path, mark: node.mark, entries: &[] }),
            _ => wrong_type(node, path, "a mapping"),
        }
    }

    pub fn empty(path: impl Into<String>, mark: Mark) -> Self {
        Section { path: path.into(), mark, entries: &[] }
    }

    /// Reports keys that are dropped and refuses those no table knows. `x-` keys are nobody's business.
    pub fn account(&self, keys: &[Key], report: &mut Report) -> Result<()> {
        for entry in self.entries.iter().filter(|entry| !entry.key.starts_with("x-")) {
            let Some(key) = keys.iter().find(|key| key.name == entry.key) else {
                return self.unknown(entry, keys);
            };
            if let Some(reason) = key.dropped {
                report.drop_key(entry.key_mark, self.below(&entry.key), reason);
            }
        }
        Ok(())
    }

    fn unknown(&self, entry: &Entry, keys: &[Key]) -> Result<()> {
        let hint = did_you_mean(&entry.key, keys.iter().map(|key| key.name));
        let problem = Problem::UnknownKey { path: self.path.clone(), key: entry.key.clone() };
        Err(Box::new(Fault { problem, mark: Some(entry.key_mark), hint }))
    }

    pub fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// The value of `key`; an empty one counts as absent.
    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.entry(key).map(|entry| &entry.node).filter(|node| !node.is_null())
    }

    pub fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub fn below(&self, key: &str) -> String {
        if self.path == WHOLE_FILE { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        self.get(key).map(|node| Section::new(node, self.below(key))).transpose()
    }

    pub fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key).map(|node| text(node, &self.below(key)).map(str::to_owned)).transpose()
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.parsed(key, "`true` or `false`", scalars::flag)
    }

    pub fn duration_s(&self, key: &str) -> Result<Option<u32>> {
        self.parsed(key, "a duration such as `1m30s`", scalars::duration_s)
    }

    pub fn bytes(&self, key: &str) -> Result<Option<u64>> {
        self.parsed(key, "an amount of memory such as `512M`", scalars::bytes)
    }

    pub fn number(&self, key: &str) -> Result<Option<u32>> {
        self.parsed(key, "a whole number", |text| text.parse().ok())
    }

    /// The value of `key` through `parse`, whose failure is told as "must be `expected`".
    pub fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let found = text(node, &self.below(key))?;
        match parse(found) {
            Some(value) => Ok(Some(value)),
            None => bad_value(node, self.below(key), expected, found),
        }
    }

    pub fn list(&self, key: &str) -> Result<&'a [Node]> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Node { value: Value::Seq(items), .. }) => Ok(items),
            Some(node) => wrong_type(node, self.below(key), "a list"),
        }
    }

    /// A list of texts, or a single text taken for a list of one.
    pub fn texts(&self, key: &str) -> Result<Vec<String>> {
        match self.get(key) {
            Some(node @ Node { value: Value::Scalar { .. }, .. }) => {
                Ok(vec![text(node, &self.below(key))?.to_owned()])
            }
            _ => self.list(key)?.iter().map(|node| Ok(text(node, &self.below(key))?.to_owned())).collect(),
        }
    }

    /// Pairs of a mapping; `None` for a key without a value.
    pub fn pairs(&self, key: &str) -> Result<Vec<(&'a Entry, Option<String>)>> {
        let Some(section) = self.section(key)? else { return Ok(Vec::new()) };
        let pair = |entry: &'a Entry| {
            let value = match &entry.node.value {
                Value::Null => None,
                _ => Some(text(&entry.node, &section.below(&entry.key))?.to_owned()),
            };
            Ok((entry, value))
        };
        section.entries.iter().map(pair).collect()
    }
}

pub fn text<'a>(node: &'a Node, path: &str) -> Result<&'a str> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text),
        _ => wrong_type(node, path, "a single value"),
    }
}

pub fn wrong_type<T>(node: &Node, path: impl Into<String>, expected: &'static str) -> Result<T> {
    Fault::at(node.mark, Problem::WrongType { path: path.into(), expected, found: node.kind() })
}

pub fn bad_value<T>(
    node: &Node,
    path: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T> {
    Fault::at(
        node.mark,
        Problem::BadValue { path: path.into(), expected: expected.into(), found: found.into() },
    )
}
