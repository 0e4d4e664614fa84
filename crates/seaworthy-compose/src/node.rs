//! A YAML tree that remembers where everything stood.
//!
//! Scalars stay text: what a number or a switch is, the key that holds it decides. Maps keep their order and have
//! unique keys. Aliases are written out and merge keys applied before a tree leaves [`crate::yaml`].

use std::path::PathBuf;

/// A file that was read, for excerpts.
#[derive(Debug, Clone)]
pub struct Source {
    /// As shown to people: relative to the app's folder when it lies there.
    pub path: PathBuf,
    pub text: String,
}

/// A place in one of the sources. Lines and columns count from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub file: usize,
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Mark {
    pub fn start_of(file: usize) -> Self {
        Mark { file, line: 1, column: 1, width: 1 }
    }

    pub fn shifted(self, characters: usize, width: usize) -> Self {
        Mark { column: self.column + characters, width: width.max(1), ..self }
    }
}

#[derive(Debug, Clone)]
pub struct Node {
    pub value: Value,
    pub mark: Mark,
    pub merge: MergeTag,
}

/// `!reset` and `!override` of an overriding file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MergeTag {
    #[default]
    None,
    Reset,
    Override,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    /// `quoted` tells `"no"` from `no`, and how far the text stands from its mark.
    Scalar {
        text: String,
        quoted: bool,
    },
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_mark: Mark,
    pub node: Node,
}

impl Node {
    pub fn new(value: Value, mark: Mark) -> Self {
        Node { value, mark, merge: MergeTag::None }
    }

    pub fn scalar(text: impl Into<String>, mark: Mark) -> Self {
        Node::new(Value::Scalar { text: text.into(), quoted: false }, mark)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a map, and none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub fn entries_mut(&mut self) -> &mut [Entry] {
        match &mut self.value {
            Value::Map(entries) => entries,
            _ => &mut [],
        }
    }

    /// In words for a person.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "empty",
            Value::Scalar { .. } => "a single value",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
