//! YAML text to JSON values, bounded in size, depth and alias expansion.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};
use serde_json::{Map, Number, Value};

use super::fault::{Error, Stage};
use super::resolve::{Scalar, resolve};

/// What one document may consume.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    /// Values in the document, those behind aliases counted at each use.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 64 << 20, depth: 100, nodes: 5_000_000 }
    }
}

/// Reads the first document; an empty text is `null`.
pub fn read(text: &str) -> Result<Value, Error> {
    read_with(text, Limits::default())
}

/// Reads the first document within the given limits.
pub fn read_with(text: &str, limits: Limits) -> Result<Value, Error> {
    if text.len() > limits.bytes {
        return Err(Error::Limit { what: "bytes", limit: limits.bytes });
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_REPAIRS {
        match read_once(&text, limits) {
            Err(Stopped::Indentation(mark)) => text = Cow::Owned(indented(&text, mark)),
            Err(Stopped::Fault(fault)) => return Err(fault),
            Ok(value) => return Ok(value),
        }
    }
    Err(Error::Limit { what: "lines that end a flow collection left of where it began", limit: MAX_REPAIRS })
}

/// How many lines may be moved to the right before the document is refused.
const MAX_REPAIRS: usize = 100;

/// Blanks that put a line to the right of any honest indentation.
const MARGIN: usize = 200;

enum Stopped {
    Fault(Error),
    /// YAML 1.2 wants a continued flow collection or quoted text indented; go-yaml does not care.
    Indentation(Mark),
}

/// The first line that has to move.
#[derive(Clone, Copy)]
struct Mark {
    line: usize,
}

impl From<Error> for Stopped {
    fn from(fault: Error) -> Self {
        Stopped::Fault(fault)
    }
}

/// The text with one more line moved to the right; blanks there mean nothing to the reader.
fn indented(text: &str, mark: Mark) -> String {
    let margin = " ".repeat(MARGIN);
    let mut out = String::with_capacity(text.len() + MARGIN);
    let mut done = false;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if !done && i + 1 >= mark.line && !line.trim().is_empty() && !line.starts_with(&margin) {
            out.push_str(&margin);
            done = true;
        }
        out.push_str(line);
    }
    out
}

fn read_once(text: &str, limits: Limits) -> Result<Value, Stopped> {
    let mut builder = Builder {
        limits,
        nodes: 0,
        stack: Vec::new(),
        anchors: HashMap::new(),
        result: None,
        line: 1,
        tabs: Tabs::of(text),
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => return Err(stopped(&error, text)),
        };
        builder.line = span.start.line();
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.tabs.check(&event, span.start.line(), span.start.col())?;
        builder.event(event)?;
    }
    Ok(builder.result.unwrap_or(Value::Null))
}

fn stopped(error: &ScanError, text: &str) -> Stopped {
    let line = error.marker().line();
    match error.info() {
        "invalid indentation" | "invalid indentation in flow construct" => {
            Stopped::Indentation(Mark { line })
        }
        "invalid indentation in quoted scalar" => Stopped::Indentation(Mark { line: line + 1 }),
        _ => Stopped::Fault(Error::of_parser(error, text)),
    }
}

/// go-yaml takes no tab before the first token of a line, but inside `[]` and `{}`.
struct Tabs {
    /// Lines (from 1) that begin with blanks of which one is a tab, and how many blanks those are.
    lines: HashMap<usize, usize>,
    source: Vec<String>,
    /// For each open collection: whether it is a flow collection.
    open: Vec<bool>,
}

impl Tabs {
    fn of(text: &str) -> Self {
        let mut lines = HashMap::new();
        if text.contains('\t') {
            for (i, line) in text.lines().enumerate() {
                let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
                if line[..blanks].contains('\t') {
                    lines.insert(i + 1, blanks);
                }
            }
        }
        let source = if lines.is_empty() { Vec::new() } else { text.lines().map(str::to_owned).collect() };
        Tabs { lines, source, open: Vec::new() }
    }

    fn check(&mut self, event: &Event<'_>, line: usize, column: usize) -> Result<(), Error> {
        if self.lines.is_empty() {
            return Ok(());
        }
        match event {
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                return Ok(());
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {}
            _ => return Ok(()),
        }
        let in_flow = self.open.last().copied().unwrap_or(false);
        if !in_flow && self.lines.get(&line) == Some(&column) {
            let message = "found character that cannot start any token".to_owned();
            return Err(Error::Syntax { line, message, stage: Stage::Scanner });
        }
        if matches!(event, Event::SequenceStart(..) | Event::MappingStart(..)) {
            let first = self.source.get(line.wrapping_sub(1)).and_then(|text| text.chars().nth(column));
            self.open.push(in_flow || matches!(first, Some('[' | '{')));
        }
        Ok(())
    }
}

/// Splits a stream at lines that start with `---`, as Kubernetes' readers do; blank parts are left out.
pub fn split_documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let marker = line
            .strip_prefix("---")
            .is_some_and(|rest| rest.trim().is_empty() || rest.starts_with([' ', '#']));
        if marker {
            documents.push(String::new());
            let rest = line[3..].trim();
            if rest.is_empty() || rest.starts_with('#') {
                continue;
            }
        }
        let line = if marker { &line[3..] } else { line };
        if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

enum Open {
    List { items: Vec<Value>, anchor: usize },
    Map { entries: Map<String, Value>, merges: Vec<Value>, key: Option<Key>, anchor: usize },
}

enum Key {
    Name(String),
    Merge,
}

struct Builder {
    limits: Limits,
    nodes: usize,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    result: Option<Value>,
    line: usize,
    tabs: Tabs,
}

impl Builder {
    fn syntax<T>(&self, message: impl Into<String>) -> Result<T, Error> {
        Err(Error::Syntax { line: self.line, message: message.into(), stage: Stage::Parser })
    }

    fn count(&mut self, nodes: usize) -> Result<(), Error> {
        self.nodes = self.nodes.saturating_add(nodes);
        let limit = self.limits.nodes;
        if self.nodes > limit { Err(Error::Limit { what: "nodes", limit }) } else { Ok(()) }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1)?;
                let plain = style == ScalarStyle::Plain;
                if plain && tag.is_none() && self.wants_key() && resolve(&text) == Scalar::Merge {
                    return self.set_key(Key::Merge);
                }
                let value = self.scalar(&text, plain, tag.as_deref())?;
                self.complete(value, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Open::List { items: Vec::new(), anchor }),
            Event::MappingStart(anchor, _) => {
                self.open(Open::Map { entries: Map::new(), merges: Vec::new(), key: None, anchor })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some((value, size)) = self.anchors.get(&id).cloned() else {
                    return self.syntax("alias refers to an anchor that contains it or does not exist");
                };
                self.count(size)?;
                self.complete(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Error> {
        self.count(1)?;
        let limit = self.limits.depth;
        if self.stack.len() >= limit {
            return Err(Error::Limit { what: "levels", limit });
        }
        if self.wants_key() {
            return self.syntax("a mapping or sequence cannot be a key");
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        match self.stack.pop() {
            Some(Open::List { items, anchor }) => self.complete(Value::Array(items), anchor),
            Some(Open::Map { mut entries, merges, anchor, .. }) => {
                for merge in merges {
                    self.merge(&mut entries, merge)?;
                }
                self.complete(Value::Object(entries), anchor)
            }
            None => Ok(()),
        }
    }

    /// `<<`: keys that the mapping does not set itself.
    fn merge(&self, entries: &mut Map<String, Value>, from: Value) -> Result<(), Error> {
        match from {
            Value::Object(from) => {
                for (key, value) in from {
                    entries.entry(key).or_insert(value);
                }
                Ok(())
            }
            Value::Array(maps) if maps.iter().all(Value::is_object) => {
                maps.into_iter().try_for_each(|map| self.merge(entries, map))
            }
            _ => self.syntax("map merge requires map or sequence of maps as the value"),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Open::Map { key: None, .. }))
    }

    fn set_key(&mut self, new: Key) -> Result<(), Error> {
        if let Some(Open::Map { key, .. }) = self.stack.last_mut() {
            *key = Some(new);
        }
        Ok(())
    }

    fn complete(&mut self, value: Value, anchor: usize) -> Result<(), Error> {
        if anchor > 0 {
            let size = node_count(&value);
            self.count(size)?;
            self.anchors.insert(anchor, (value.clone(), size));
        }
        if self.wants_key() {
            let name = self.key_text(value)?;
            return self.set_key(Key::Name(name));
        }
        match self.stack.last_mut() {
            Some(Open::List { items, .. }) => items.push(value),
            Some(Open::Map { entries, merges, key, .. }) => match key.take() {
                Some(Key::Name(name)) => {
                    entries.insert(name, value);
                }
                _ => merges.push(value),
            },
            None => self.result = Some(value),
        }
        Ok(())
    }

    fn key_text(&self, key: Value) -> Result<String, Error> {
        match key {
            Value::String(text) => Ok(text),
            Value::Bool(b) => Ok(b.to_string()),
            Value::Number(n) => Ok(match n.as_f64() {
                Some(f) if n.is_f64() => crate::gofmt::float_g(f),
                _ => n.to_string(),
            }),
            _ => self.syntax("a mapping key must be a string, a number or a bool"),
        }
    }

    fn scalar(&self, text: &str, plain: bool, tag: Option<&Tag>) -> Result<Value, Error> {
        let suffix = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
        let resolved = match (suffix, plain, tag) {
            (Some("binary"), ..) => return self.binary(text),
            (Some("str"), ..) => {
                return Ok(Value::String(if plain && text == "~" { "" } else { text }.to_owned()));
            }
            (Some(_), ..) | (None, true, None) => resolve(text),
            _ => Scalar::Str,
        };
        match (resolved, suffix) {
            (Scalar::Null, _) => Ok(Value::Null),
            (Scalar::Bool(b), _) => Ok(Value::Bool(b)),
            (Scalar::Int(n), Some("float")) => self.float(n as f64),
            (Scalar::Int(n), _) => Ok(Value::Number(n.into())),
            (Scalar::Uint(n), _) => Ok(Value::Number(n.into())),
            (Scalar::Float(f), _) => self.float(f),
            (_, Some(wanted @ ("int" | "float" | "bool" | "null"))) => {
                self.syntax(format!("cannot decode !!str `{text}` as a !!{wanted}"))
            }
            _ => Ok(Value::String(text.to_owned())),
        }
    }

    fn float(&self, f: f64) -> Result<Value, Error> {
        match Number::from_f64(f) {
            Some(number) => Ok(Value::Number(number)),
            None => {
                let message = format!("json: unsupported value: {}", crate::gofmt::float_g(f));
                Err(Error::Syntax { line: self.line, message, stage: Stage::Value })
            }
        }
    }

    fn binary(&self, text: &str) -> Result<Value, Error> {
        use base64::Engine as _;
        let compact: String = text.split_whitespace().collect();
        match base64::engine::general_purpose::STANDARD.decode(compact) {
            Ok(bytes) => Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned())),
            Err(_) => self.syntax("!!binary value contains invalid base64 data"),
        }
    }
}

fn node_count(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(node_count).sum::<usize>(),
        Value::Object(entries) => 1 + entries.values().map(node_count).sum::<usize>(),
        _ => 1,
    }
}
