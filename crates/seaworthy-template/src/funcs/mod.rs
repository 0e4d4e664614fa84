//! The functions a template can call: Go's builtins, Sprig's, and Helm's own. One file per family.
//!
//! Each family exports a `TABLE`; [`find`] joins them. A function states its parameter types as Go would see
//! them, so that a wrong argument fails with Go's sentence before the function runs.

pub mod builtins;
pub mod cases;
pub mod coding;
pub mod crypto;
pub mod dates;
pub mod decimals;
pub mod dicts;
pub mod durations;
pub mod goregex;
pub mod helm;
pub mod lists;
pub mod logic;
pub mod numbers;
pub mod paths;
pub mod random;
pub mod regexes;
pub mod strings;
pub mod urls;
pub mod versions;

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::LazyLock;

use crate::engine::{Runtime, Scope};
use crate::error::Failure;
use crate::value::{Map, Param, Value};

/// What a function may reach besides its arguments.
pub struct Cx<'a> {
    pub(crate) runtime: &'a mut Runtime,
    pub(crate) scope: &'a Rc<Scope>,
}

pub(crate) type Returned = Result<Value, Failure>;
type Run = fn(&mut Cx<'_>, &[Value]) -> Returned;

/// One function of the template language.
pub struct Function {
    pub name: &'static str,
    pub params: &'static [Param],
    /// The type of any further arguments.
    pub rest: Option<Param>,
    pub run: Run,
}

/// A function with exactly these parameters.
const fn f(name: &'static str, params: &'static [Param], run: Run) -> Function {
    Function { name, params, rest: None, run }
}

/// A function with these parameters and any number of `rest`.
const fn v(name: &'static str, params: &'static [Param], rest: Param, run: Run) -> Function {
    Function { name, params, rest: Some(rest), run }
}

const FAMILIES: &[&[Function]] = &[
    builtins::TABLE,
    coding::TABLE,
    crypto::TABLE,
    dates::TABLE,
    dicts::TABLE,
    durations::TABLE,
    helm::TABLE,
    lists::TABLE,
    logic::TABLE,
    numbers::TABLE,
    paths::TABLE,
    random::TABLE,
    regexes::TABLE,
    strings::TABLE,
    urls::TABLE,
    versions::TABLE,
];

static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.iter()).map(|f| (f.name, f)).collect());

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(name).copied()
}

/// Whether a template may call `name`.
pub fn exists(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// The text of a string argument, lossy where it is not UTF-8.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(bytes) => String::from_utf8_lossy(bytes),
        other => Cow::Owned(String::from_utf8_lossy(&crate::gofmt::print(other)).into_owned()),
    }
}

/// Sprig's `strval`: a string as it is, anything else as `%v`.
fn strval(value: &Value) -> Vec<u8> {
    match value {
        Value::Str(bytes) | Value::Bytes(bytes) => bytes.to_vec(),
        other => crate::gofmt::print(other),
    }
}

fn int(value: &Value) -> i64 {
    match value {
        Value::Int(n) | Value::Int64(n) | Value::Duration(n) => *n,
        _ => 0,
    }
}

/// A map parameter; Go passes a nil map where nothing was given.
fn map(value: &Value) -> Rc<Map> {
    match value {
        Value::Map(map) => map.clone(),
        _ => Map::new(crate::value::MapType::Any),
    }
}

/// The elements of anything Go calls a slice.
fn items(value: &Value) -> Option<Vec<Value>> {
    match value.plain() {
        Value::List(list) => Some(list.items.clone()),
        Value::Bytes(bytes) => Some(bytes.iter().map(|b| Value::Int(i64::from(*b))).collect()),
        _ => None,
    }
}

fn yes(b: bool) -> Returned {
    Ok(Value::Bool(b))
}

fn string(text: impl AsRef<[u8]>) -> Returned {
    Ok(Value::str(text))
}
