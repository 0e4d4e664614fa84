//! Values of expressions: JSON seen through its schema, and what expressions make of it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::custom::node::{DataType, Node};
use crate::schema::ListType;

/// One value. Objects and lists of the checked object are borrowed and opened only where an expression looks.
#[derive(Debug, Clone)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Rc<[u8]>),
    Duration(SignedDuration),
    Time(Timestamp),
    List(Rc<Vec<Val<'a>>>),
    Map(Rc<BTreeMap<Key, Val<'a>>>),
    Items(&'a [Value], Option<&'a Node>),
    Object(&'a Map<String, Value>, Option<&'a Node>),
    Optional(Option<Rc<Val<'a>>>),
    Type(&'static str),
    /// Billionths.
    Quantity(i128),
    Ip(IpAddr),
    Cidr(IpAddr, u8),
    Url(Rc<super::url::Url>),
    Semver(Rc<super::semver::Semver>),
    /// A named format.
    Format(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(String),
}

/// A JSON value as its schema means it.
pub(super) fn lift<'a>(value: &'a Value, node: Option<&'a Node>) -> Val<'a> {
    match value {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::Number(number) => {
            let is_double = node.is_some_and(|node| node.data_type == Some(DataType::Number));
            match (is_double, number.as_i64()) {
                (false, Some(whole)) => Val::Int(whole),
                _ => {
                    let value = number.as_f64().unwrap_or(f64::NAN);
                    let whole = node
                        .is_some_and(|node| node.data_type == Some(DataType::Integer) || node.int_or_string);
                    if whole && value.fract() == 0.0 { Val::Int(value as i64) } else { Val::Double(value) }
                }
            }
        }
        Value::String(text) => text_of(text, node),
        Value::Array(items) => Val::Items(items, node),
        Value::Object(fields) => Val::Object(fields, node),
    }
}

fn text_of<'a>(text: &'a str, node: Option<&'a Node>) -> Val<'a> {
    let plain = || Val::Text(Cow::Borrowed(text));
    match node.and_then(|node| node.checks.format).map(|format| format.name) {
        Some("date-time" | "datetime") => text.parse().map_or_else(|_| plain(), Val::Time),
        Some("date") => format!("{text}T00:00:00Z").parse().map_or_else(|_| plain(), Val::Time),
        Some("duration") => go_duration::parse(text)
            .map_or_else(plain, |nanos| Val::Duration(SignedDuration::from_nanos(nanos))),
        Some("byte") => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_or_else(|_| plain(), |bytes| Val::Bytes(bytes.into()))
        }
        _ => plain(),
    }
}

/// Words that no name in an expression may be.
pub(crate) const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name under which a schema's field can be written in an expression.
pub(super) fn unescaped(name: &str) -> Cow<'_, str> {
    if !name.starts_with("__") && !name.contains("__") {
        return Cow::Borrowed(name);
    }
    let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
    if let Some(inner) = inner.filter(|inner| RESERVED.contains(inner)) {
        return Cow::Owned(inner.to_owned());
    }
    let replaced = name
        .replace("__underscores__", "\u{0}")
        .replace("__dot__", ".")
        .replace("__dash__", "-")
        .replace("__slash__", "/")
        .replace('\u{0}', "__");
    Cow::Owned(replaced)
}

impl<'a> Val<'a> {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    pub fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    /// What `type()` says, and error texts repeat.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Time(_) => "google.protobuf.Timestamp",
            Self::List(_) | Self::Items(..) => "list",
            Self::Map(_) | Self::Object(..) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Ip(_) => "net.IP",
            Self::Cidr(..) => "net.CIDR",
            Self::Url(_) => "kubernetes.URL",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }

    /// The items of a list.
    pub fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Self::List(items) => Some(items.as_ref().clone()),
            Self::Items(items, node) => {
                let item = node.and_then(|node| node.items.as_deref());
                Some(items.iter().map(|value| lift(value, item)).collect())
            }
            _ => None,
        }
    }

    /// The entries of a map or object.
    pub fn entries(&self) -> Option<Vec<(Val<'a>, Val<'a>)>> {
        match self {
            Self::Map(entries) => {
                Some(entries.iter().map(|(key, value)| (key.value(), value.clone())).collect())
            }
            Self::Object(fields, node) => {
                let entry = |(name, value): (&'a String, &'a Value)| {
                    (
                        Val::Text(Cow::Borrowed(name.as_str())),
                        lift(value, node.and_then(|node| node.field(name))),
                    )
                };
                Some(fields.iter().map(entry).collect())
            }
            _ => None,
        }
    }

    /// How many characters, bytes, items or entries there are.
    pub fn size(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) => text.chars().count(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.len(),
            Self::Items(items, _) => items.len(),
            Self::Map(entries) => entries.len(),
            Self::Object(fields, _) => fields.len(),
            _ => return None,
        })
    }

    /// A field or entry.
    pub fn get(&self, key: &Val<'a>) -> Option<Val<'a>> {
        match (self, key) {
            (Self::Object(fields, node), Val::Text(name)) => {
                let (name, value) = fields.get_key_value(name.as_ref())?;
                Some(lift(value, node.and_then(|node| node.field(name))))
            }
            (Self::Map(entries), key) => entries.get(&Key::of(key)?).cloned(),
            _ => None,
        }
    }

    /// Roughly how much work looking at all of it is.
    pub fn weight(&self) -> u64 {
        let size = match self {
            Self::Text(text) => text.len() / 10,
            Self::Bytes(bytes) => bytes.len() / 10,
            other => other.size().unwrap_or(0),
        };
        1 + size as u64
    }

    fn list_type(&self) -> Option<&'a ListType> {
        match self {
            Self::Items(_, Some(node)) => Some(&node.list),
            _ => None,
        }
    }
}

impl Key {
    pub fn of(value: &Val<'_>) -> Option<Self> {
        Some(match value {
            Val::Bool(value) => Self::Bool(*value),
            Val::Int(value) => Self::Int(*value),
            Val::Uint(value) => i64::try_from(*value).map_or(Self::Uint(*value), Self::Int),
            Val::Double(value) if value.fract() == 0.0 => Self::Int(*value as i64),
            Val::Text(text) => Self::Text(text.to_string()),
            _ => return None,
        })
    }

    fn value<'a>(&self) -> Val<'a> {
        match self {
            Self::Bool(value) => Val::Bool(*value),
            Self::Int(value) => Val::Int(*value),
            Self::Uint(value) => Val::Uint(*value),
            Self::Text(text) => Val::text(text.clone()),
        }
    }
}

/// Numbers compare across their types.
fn number(value: &Val<'_>) -> Option<f64> {
    Some(match value {
        Val::Int(value) => *value as f64,
        Val::Uint(value) => *value as f64,
        Val::Double(value) => *value,
        _ => return None,
    })
}

fn whole(value: &Val<'_>) -> Option<i128> {
    Some(match value {
        Val::Int(value) => i128::from(*value),
        Val::Uint(value) => i128::from(*value),
        _ => return None,
    })
}

/// Equality as expressions see it; `spend` is told about the work.
pub(super) fn equal<'a>(a: &Val<'a>, b: &Val<'a>, spend: &dyn Fn(u64) -> bool) -> bool {
    if !spend(1) {
        return false;
    }
    match (a, b) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Text(a), Val::Text(b)) => spend(a.len().min(b.len()) as u64 / 10) && a == b,
        (Val::Bytes(a), Val::Bytes(b)) => a == b,
        (Val::Duration(a), Val::Duration(b)) => a == b,
        (Val::Time(a), Val::Time(b)) => a == b,
        (Val::Type(a), Val::Type(b)) => a == b,
        (Val::Quantity(a), Val::Quantity(b)) => a == b,
        (Val::Ip(a), Val::Ip(b)) => a == b,
        (Val::Cidr(a, m), Val::Cidr(b, n)) => a == b && m == n,
        (Val::Url(a), Val::Url(b)) => a == b,
        (Val::Semver(a), Val::Semver(b)) => a.order(b).is_eq(),
        (Val::Format(a), Val::Format(b)) => a == b,
        (Val::Optional(a), Val::Optional(b)) => match (a, b) {
            (Some(a), Some(b)) => equal(a, b, spend),
            (a, b) => a.is_none() && b.is_none(),
        },
        _ => {
            if let (Some(a), Some(b)) = (whole(a), whole(b)) {
                return a == b;
            }
            if let (Some(a), Some(b)) = (number(a), number(b)) {
                return a == b;
            }
            if let (Some(left), Some(right)) = (a.items(), b.items()) {
                return same_items(&left, &right, a.list_type().or(b.list_type()), spend);
            }
            match (a.entries(), b.entries()) {
                (Some(left), Some(_)) => {
                    a.size() == b.size()
                        && left
                            .iter()
                            .all(|(key, value)| b.get(key).is_some_and(|other| equal(value, &other, spend)))
                }
                _ => false,
            }
        }
    }
}

/// The order of sets and associative lists means nothing.
fn same_items<'a>(
    a: &[Val<'a>],
    b: &[Val<'a>],
    list: Option<&ListType>,
    spend: &dyn Fn(u64) -> bool,
) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match list {
        None | Some(ListType::Atomic) => a.iter().zip(b).all(|(a, b)| equal(a, b, spend)),
        Some(_) => a.iter().all(|a| b.iter().any(|b| equal(a, b, spend))),
    }
}

/// `None` for values that have no order.
pub(super) fn order(a: &Val<'_>, b: &Val<'_>) -> Option<Ordering> {
    match (a, b) {
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
        (Val::Duration(a), Val::Duration(b)) => Some(a.cmp(b)),
        (Val::Time(a), Val::Time(b)) => Some(a.cmp(b)),
        _ => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => number(a)?.partial_cmp(&number(b)?),
        },
    }
}
