//! The table of messages: which field number means which JSON name, and how it is written.
//!
//! Decoded once, on first use, from the committed artefact; names stay slices of its text, so it takes little memory.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;

const ARTEFACT: &[u8] = include_bytes!("../schema/messages.tsv.gz");

/// Kinds of `meta.k8s.io/v1` are known in every group version: `DeleteOptions` in `apps/v1`, and so on.
const META: &str = "meta.k8s.io/v1";

/// All messages; fields refer to one another by index.
#[derive(Debug)]
pub(crate) struct Table {
    messages: Vec<Message>,
    kinds: HashMap<&'static str, usize>,
}

#[derive(Debug)]
pub(crate) struct Message {
    /// `apps/v1/DeploymentSpec`.
    pub name: &'static str,
    /// By number.
    pub fields: Box<[Field]>,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub number: u32,
    pub json: &'static str,
    /// A zero is a value, and unset is something else.
    pub pointer: bool,
    /// Left out of JSON when empty.
    pub omit_empty: bool,
    /// Left out of JSON when the whole structure is zero.
    pub omit_zero: bool,
    /// Its fields appear in the surrounding object.
    pub inline: bool,
    pub many: Many,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Many {
    One,
    List,
    Map,
}

/// What one value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Bytes,
    Bool,
    Int32,
    Int64,
    Double,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    /// JSON in a message's only field.
    Raw,
    /// A list of strings in a message's only field.
    Strings,
    Message(usize),
    /// A message, or several: `items` of a JSON schema.
    OrArray(usize),
    /// A message, or yes or no.
    OrBool(usize),
    /// A message, or strings.
    OrStrings(usize),
}

static TABLE: LazyLock<Table> = LazyLock::new(load);

pub(crate) fn table() -> &'static Table {
    &TABLE
}

/// Whether there is a protobuf form of this kind. Custom kinds have none.
pub fn has_kind(api_version: &str, kind: &str) -> bool {
    table().kind(api_version, kind).is_some()
}

impl Table {
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<&Message> {
        let find = |version: &str| self.kinds.get(format!("{version}/{kind}").as_str());
        find(api_version).or_else(|| find(META)).map(|index| &self.messages[*index])
    }

    pub fn message(&self, index: usize) -> &Message {
        // Indices are written by the generator and checked when the table is made.
        &self.messages[index]
    }
}

impl Field {
    /// Whether unset is nil, which JSON writes as null.
    pub fn can_be_nil(&self) -> bool {
        self.pointer || self.many != Many::One || matches!(self.kind, Kind::Bytes | Kind::Strings)
    }

    /// Whether JSON leaves the field out when it is empty: `omitempty` does so with what is nil or a plain zero, never
    /// with a structure.
    pub fn is_left_out(&self) -> bool {
        let is_plain =
            matches!(self.kind, Kind::String | Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Double);
        self.omit_zero || self.inline || (self.omit_empty && (self.can_be_nil() || is_plain))
    }
}

impl Message {
    pub fn field(&self, number: u32) -> Option<(usize, &Field)> {
        let index = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        Some((index, &self.fields[index]))
    }

    /// The name without its API version, for people.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }
}

fn load() -> Table {
    let mut text = String::new();
    GzDecoder::new(ARTEFACT).read_to_string(&mut text).expect("the committed artefact is a gzip of text");
    let text: &'static str = Box::leak(text.into_boxed_str());
    let mut table = Table { messages: Vec::new(), kinds: HashMap::new() };
    for (index, line) in text.lines().enumerate() {
        let (name, fields) = line.split_once('\t').expect("the committed artefact has a tab per line");
        if let Some(kind) = name.strip_prefix('+') {
            table.kinds.insert(kind, index);
        }
        let fields = fields.split(' ').filter(|text| !text.is_empty());
        let fields = fields.map(|text| field(text).expect("the committed artefact has whole fields"));
        table.messages.push(Message { name: name.trim_start_matches('+'), fields: fields.collect() });
    }
    table
}

fn field(text: &'static str) -> Option<Field> {
    let mut parts = text.split(',');
    let (number, json, flags, ty) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (many, ty) = match ty.as_bytes().first()? {
        b'[' => (Many::List, &ty[1..]),
        b'{' => (Many::Map, &ty[1..]),
        _ => (Many::One, ty),
    };
    let target = || ty.get(1..).and_then(|digits| digits.parse().ok());
    let kind = match ty.as_bytes().first()? {
        b's' => Kind::String,
        b'b' => Kind::Bytes,
        b'B' => Kind::Bool,
        b'i' => Kind::Int32,
        b'l' => Kind::Int64,
        b'd' => Kind::Double,
        b't' => Kind::Time,
        b'u' => Kind::MicroTime,
        b'D' => Kind::Duration,
        b'q' => Kind::Quantity,
        b'I' => Kind::IntOrString,
        b'r' => Kind::Raw,
        b'E' => Kind::Strings,
        b'#' => Kind::Message(target()?),
        b'A' => Kind::OrArray(target()?),
        b'O' => Kind::OrBool(target()?),
        b'S' => Kind::OrStrings(target()?),
        _ => return None,
    };
    let has = |flag: char| flags.contains(flag);
    Some(Field {
        number: number.parse().ok()?,
        json,
        pointer: has('p'),
        omit_empty: has('o'),
        omit_zero: has('z'),
        inline: has('l'),
        many,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_the_table_resolves() {
        let table = table();
        for message in &table.messages {
            for field in &message.fields {
                if let Kind::Message(index)
                | Kind::OrArray(index)
                | Kind::OrBool(index)
                | Kind::OrStrings(index) = field.kind
                {
                    assert!(index < table.messages.len(), "{}.{}", message.name, field.json);
                }
            }
        }
    }

    #[test]
    fn options_are_known_in_every_group() {
        assert!(has_kind("policy/v1", "DeleteOptions"));
        assert!(has_kind("v1", "Status"));
        assert!(!has_kind("example.com/v1", "Widget"));
        assert!(!has_kind("v1", "Deployment"));
    }

    #[test]
    fn fields_stand_in_order_of_their_numbers() {
        for message in &table().messages {
            assert!(message.fields.is_sorted_by_key(|field| field.number), "{}", message.name);
            // The decoder marks fields it has seen in one number.
            assert!(message.fields.len() <= 128, "{}", message.name);
        }
    }
}
