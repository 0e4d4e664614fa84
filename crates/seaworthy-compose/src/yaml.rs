//! YAML text to a [`Node`] tree, within bounds.
//!
//! Works on the parser's events, so a file that is too deep, or that explodes when its aliases are written out, is
//! refused while it is read. Only the first document counts.
//!
//! Start at [`parse`].

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::error::{Fault, Problem, Result};
use crate::node::{Entry, Mark, MergeTag, Node, Value};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 50_000;

/// Parses `text`, which is source number `file`.
pub fn parse(text: &str, file: usize) -> Result<Node> {
    let mut builder = Builder { file, open: Vec::new(), anchors: BTreeMap::new(), root: None, nodes: 0 };
    let mut parser = Parser::new_from_str(text.trim_start_matches('\u{feff}'));
    while let Some(next) = parser.next_event() {
        match next {
            Ok((Event::StreamEnd | Event::DocumentEnd, _)) => break,
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => {
                let at = error.marker();
                let mark = Mark { file, line: at.line().max(1), column: at.col() + 1, width: 1 };
                let info = error.info().to_owned();
                let hint = syntax_hint(text, mark.line);
                return Err(Box::new(Fault { problem: Problem::Syntax { info }, mark: Some(mark), hint }));
            }
        }
    }
    match builder.root {
        Some(node) if !node.is_null() => Ok(node),
        _ => Fault::at(Mark::start_of(file), Problem::Empty),
    }
}

/// The commonest reason on the line itself or the one above.
fn syntax_hint(text: &str, line: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let near = lines.get(line.saturating_sub(2)..line.min(lines.len()))?;
    let indented_by_tab = |line: &&str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    near.iter().any(indented_by_tab).then(|| "YAML is indented with spaces; there is a tab here".to_owned())
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, in a map.
    key: Option<(String, Mark)>,
    /// Maps given by `<<`, applied when the map ends.
    merged: Vec<Node>,
}

struct Builder {
    file: usize,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let mark = self.mark(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node =
                    Node { merge: merge_tag(tag.as_deref()), ..scalar(&text, style, tag.as_deref(), mark) };
                self.finish(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.start(Value::Seq(Vec::new()), anchor, tag.as_deref(), mark)
            }
            Event::MappingStart(anchor, tag) => {
                self.start(Value::Map(Vec::new()), anchor, tag.as_deref(), mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => self.alias(id, mark),
            _ => Ok(()),
        }
    }

    fn mark(&self, span: Span) -> Mark {
        let width = if span.end.line() == span.start.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        Mark {
            file: self.file,
            line: span.start.line().max(1),
            column: span.start.col() + 1,
            width: width.max(1),
        }
    }

    fn start(&mut self, value: Value, anchor: usize, tag: Option<&Tag>, mark: Mark) -> Result<()> {
        if self.open.len() >= MAX_DEPTH {
            return Fault::at(mark, Problem::TooDeep { limit: MAX_DEPTH });
        }
        let node = Node { value, mark, merge: merge_tag(tag) };
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(Open { mut node, anchor, merged, .. }) = self.open.pop() else { return Ok(()) };
        for given in merged {
            apply_merge_key(&mut node, given)?;
        }
        self.finish(node, anchor)
    }

    fn alias(&mut self, id: usize, mark: Mark) -> Result<()> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            return Fault::at(
                mark,
                Problem::Syntax { info: "this alias stands inside its own anchor".to_owned() },
            );
        };
        self.nodes += count(&node);
        if self.open.len() + depth(&node) > MAX_DEPTH {
            return Fault::at(mark, Problem::TooDeep { limit: MAX_DEPTH });
        }
        self.finish(node, 0)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<()> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Fault::at(node.mark, Problem::TooMany { limit: MAX_NODES });
        }
        if anchor != 0 {
            self.nodes += count(&node);
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(parent) => parent.add(node)?,
        }
        Ok(())
    }
}

impl Open {
    fn add(&mut self, node: Node) -> Result<()> {
        match &mut self.node.value {
            Value::Seq(items) => items.push(node),
            Value::Map(entries) => match self.key.take() {
                None => self.key = Some(as_key(node)?),
                Some((key, _)) if key == "<<" => self.merged.push(node),
                Some((key, key_mark)) => {
                    if entries.iter().any(|entry| entry.key == key) {
                        return Fault::at(key_mark, Problem::DuplicateKey { key });
                    }
                    entries.push(Entry { key, key_mark, node });
                }
            },
            Value::Null | Value::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn as_key(node: Node) -> Result<(String, Mark)> {
    match node.value {
        Value::Scalar { text, .. } => Ok((text, node.mark)),
        Value::Null => Ok((String::new(), node.mark)),
        _ => Fault::at(node.mark, Problem::Syntax { info: "a key must be a single value".to_owned() }),
    }
}

/// `<<: *base` or `<<: [*one, *two]`: keys that are not there yet are added.
fn apply_merge_key(node: &mut Node, given: Node) -> Result<()> {
    let mark = given.mark;
    match (given.value, &mut node.value) {
        (Value::Seq(maps), _) => maps.into_iter().try_for_each(|map| apply_merge_key(node, map)),
        (Value::Map(added), Value::Map(entries)) => {
            for entry in added {
                if !entries.iter().any(|own| own.key == entry.key) {
                    entries.push(entry);
                }
            }
            Ok(())
        }
        _ => {
            Fault::at(mark, Problem::Syntax { info: "`<<` takes a mapping or a list of mappings".to_owned() })
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Node {
    let plain = style == ScalarStyle::Plain && tag.is_none_or(|tag| tag.suffix != "str");
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
        _ => Value::Scalar { text: text.to_owned(), quoted: !plain },
    };
    Node::new(value, mark)
}

fn merge_tag(tag: Option<&Tag>) -> MergeTag {
    match tag.map(|tag| tag.suffix.as_str()) {
        Some("reset") => MergeTag::Reset,
        Some("override") => MergeTag::Override,
        _ => MergeTag::None,
    }
}

fn children(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match &node.value {
        Value::Seq(items) => Box::new(items.iter()),
        Value::Map(entries) => Box::new(entries.iter().map(|entry| &entry.node)),
        _ => Box::new(std::iter::empty()),
    }
}

fn count(node: &Node) -> usize {
    1 + children(node).map(count).sum::<usize>()
}

fn depth(node: &Node) -> usize {
    1 + children(node).map(depth).max().unwrap_or(0)
}
