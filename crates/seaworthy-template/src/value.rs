//! Values as Go templates see them: dynamically typed, with Go's nil, number and mutability rules.
//!
//! Maps are shared and mutable (`set` and `merge` change what others hold), lists are shared and immutable.
//! [`Value::Nil`] is a nil `interface{}`, on which a field is an error; [`Value::Absent`] is what a pipeline
//! makes of it, on which a field is nothing. Go draws that line and charts depend on both sides of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Failure;

/// How deep values may nest before they are refused; keeps every recursion over values finite.
pub const MAX_VALUE_DEPTH: usize = 1_000;

/// One value.
#[derive(Clone, Default)]
pub enum Value {
    /// No value at all (Go's zero `reflect.Value`).
    #[default]
    Absent,
    /// A nil `interface{}`.
    Nil,
    Bool(bool),
    /// Go's `int`: literals, lengths, `until`.
    Int(i64),
    /// Go's `int64`: arithmetic and `--set`.
    Int64(i64),
    /// Every number that came out of YAML or JSON.
    Float(f64),
    /// Bytes, because Go strings need not be UTF-8 (`.Files.Get "logo.png" | b64enc`).
    Str(Rc<[u8]>),
    /// `[]byte`.
    Bytes(Rc<[u8]>),
    List(Rc<List>),
    Map(Rc<Map>),
    /// `time.Time`
    Time(crate::moment::Moment),
    /// `time.Duration` in nanoseconds.
    Duration(i64),
    Object(Rc<dyn Object>),
}

/// What a list says its elements are; only types and deep equality notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Elem {
    Any,
    Str,
    Int,
    List,
    Map,
}

/// A nil slice prints like an empty one; only JSON and YAML tell `null` from `[]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Made {
    #[default]
    Yes,
    Nil,
}

/// An immutable list.
pub struct List {
    pub elem: Elem,
    pub made: Made,
    pub items: Vec<Value>,
}

/// What a map says its values are; a missing key yields the zero value of that type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapType {
    /// `map[string]interface {}`
    Any,
    /// `map[string]string`, what `split` returns.
    Str,
    /// `common.Values`, the root of a chart's values.
    Values,
}

/// A shared, mutable map, sorted by key as Go templates iterate.
pub struct Map {
    pub kind: MapType,
    /// Behind a pointer of its own, because Go gives one map several types.
    entries: Rc<RefCell<BTreeMap<Rc<str>, Value>>>,
}

/// Parameter types of functions and methods, as Go's `reflect` would check them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Param {
    Any,
    /// Like `Any`, but keeps the difference between absent and nil (`reflect.Value` in Go).
    Raw,
    Str,
    Int,
    Int64,
    Float,
    Bool,
    Uint32,
    Map,
    /// `[]interface {}`
    List,
    Time,
    Duration,
    /// A struct of this Go type.
    Object(&'static str),
}

/// Something with fields and methods that a template can reach, such as `.Files` or `.Capabilities`.
pub trait Object {
    /// As `%T` prints it.
    fn type_name(&self) -> &'static str;
    /// As `kindOf` prints it.
    fn kind(&self) -> &'static str {
        "struct"
    }
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }
    /// The parameters of a method, or `None` when there is no such method.
    fn method(&self, _name: &str) -> Option<&'static [Param]> {
        None
    }
    fn call(&self, name: &str, _args: &[Value]) -> Result<Value, Failure> {
        Err(format!("no method {name}").into())
    }
    /// The fields in the order in which Go declares them, where JSON shows that order.
    fn ordered(&self) -> Option<Vec<(Rc<str>, Value)>> {
        None
    }
    /// The list or map this is made of, for `range`, `index`, `len`, `has` and encoders.
    fn plain(&self) -> Value;
    /// Go's `String()`, when the type has one: what `{{ .It }}` prints.
    fn text(&self) -> Option<String> {
        None
    }
    /// What `printf "%v"` and `toString` print, where Go's `String()` needs a pointer and they hold a copy.
    fn formatted(&self) -> Option<String> {
        self.text()
    }
}

impl Map {
    pub fn new(kind: MapType) -> Rc<Self> {
        Rc::new(Map { kind, entries: Rc::default() })
    }

    /// The same map under another type: what is set through one is seen through the other.
    pub fn retyped(&self, kind: MapType) -> Rc<Self> {
        Rc::new(Map { kind, entries: self.entries.clone() })
    }

    pub fn get(&self, key: &str) -> Option<Value> {
        self.entries.borrow().get(key).cloned()
    }

    /// What a template sees for a key that may be missing.
    pub fn get_or_zero(&self, key: &str) -> Value {
        self.get(key).unwrap_or_else(|| match self.kind {
            MapType::Str => Value::str(""),
            MapType::Any | MapType::Values => Value::Nil,
        })
    }

    pub fn contains(&self, key: &str) -> bool {
        self.entries.borrow().contains_key(key)
    }

    pub fn insert(&self, key: impl Into<Rc<str>>, value: Value) {
        let value = if matches!(value, Value::Absent) { Value::Nil } else { value };
        self.entries.borrow_mut().insert(key.into(), value);
    }

    pub fn remove(&self, key: &str) -> Option<Value> {
        self.entries.borrow_mut().remove(key)
    }

    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// A copy of the entries, so that a loop body may change the map it walks.
    pub fn snapshot(&self) -> Vec<(Rc<str>, Value)> {
        self.entries.borrow().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    pub fn keys(&self) -> Vec<Rc<str>> {
        self.entries.borrow().keys().cloned().collect()
    }
}

impl Value {
    pub fn str(text: impl AsRef<[u8]>) -> Self {
        Value::Str(Rc::from(text.as_ref()))
    }

    pub fn list(items: Vec<Value>) -> Self {
        Value::List(Rc::new(List { elem: Elem::Any, made: Made::Yes, items }))
    }

    /// A slice that Go never made: empty, and `null` in JSON.
    pub fn nil_list(elem: Elem) -> Self {
        Value::List(Rc::new(List { elem, made: Made::Nil, items: Vec::new() }))
    }

    pub fn strings<S: AsRef<[u8]>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(Value::str).collect();
        Value::List(Rc::new(List { elem: Elem::Str, made: Made::Yes, items }))
    }

    pub fn ints(items: impl IntoIterator<Item = i64>) -> Self {
        let items = items.into_iter().map(Value::Int).collect();
        Value::List(Rc::new(List { elem: Elem::Int, made: Made::Yes, items }))
    }

    pub fn map<K: Into<Rc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        let map = Map::new(MapType::Any);
        for (key, value) in entries {
            map.insert(key, value);
        }
        Value::Map(map)
    }

    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil | Value::Absent)
    }

    /// What a pipeline yields: a nil interface becomes no value at all.
    pub fn unwrapped(self) -> Self {
        if matches!(self, Value::Nil) { Value::Absent } else { self }
    }

    /// What a function parameter of type `interface{}` sees.
    pub fn boxed(self) -> Self {
        if matches!(self, Value::Absent) { Value::Nil } else { self }
    }

    /// The list or map behind an object; anything else as it is.
    pub fn plain(&self) -> Value {
        match self {
            Value::Object(object) => object.plain(),
            other => other.clone(),
        }
    }

    /// The bytes of a string.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Go's truth: everything that is not the zero value of its type.
    pub fn truth(&self) -> bool {
        match self {
            Value::Absent | Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Int64(n) | Value::Duration(n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) | Value::Bytes(s) => !s.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Time(_) => true,
            Value::Object(object) => match object.plain() {
                plain @ (Value::List(_) | Value::Map(_))
                    if object.kind() != "struct" && object.kind() != "ptr" =>
                {
                    plain.truth()
                }
                _ => true,
            },
        }
    }

    /// As `%T` prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Absent | Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::List(list) => match list.elem {
                Elem::Any => "[]interface {}",
                Elem::Str => "[]string",
                Elem::Int => "[]int",
                Elem::List => "[][]interface {}",
                Elem::Map => "[]map[string]interface {}",
            },
            Value::Map(map) => match map.kind {
                MapType::Any => "map[string]interface {}",
                MapType::Str => "map[string]string",
                MapType::Values => "common.Values",
            },
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Object(object) => object.type_name(),
        }
    }

    /// As Go's error messages name the static type of what a field or argument held.
    pub fn static_type(&self) -> &'static str {
        if self.is_nil() { "interface {}" } else { self.type_name() }
    }

    /// As `kindOf` prints it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Absent | Value::Nil => "invalid",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) | Value::Duration(_) => "int64",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Bytes(_) | Value::List(_) => "slice",
            Value::Map(_) => "map",
            Value::Time(_) => "struct",
            Value::Object(object) => object.kind(),
        }
    }

    /// A copy that shares nothing mutable with the original.
    pub fn deep_copy(&self) -> Value {
        self.copy_below(0)
    }

    fn copy_below(&self, depth: usize) -> Value {
        match self {
            // Deeper than any honest chart; sharing is harmless and keeps the recursion finite.
            _ if depth > MAX_VALUE_DEPTH => self.clone(),
            Value::List(list) => {
                let items = list.items.iter().map(|item| item.copy_below(depth + 1)).collect();
                Value::List(Rc::new(List { elem: list.elem, made: Made::Yes, items }))
            }
            Value::Map(map) => {
                let copy = Map::new(map.kind);
                for (key, value) in map.snapshot() {
                    copy.insert(key, value.copy_below(depth + 1));
                }
                Value::Map(copy)
            }
            other => other.clone(),
        }
    }

    /// Go's `reflect.DeepEqual`: types count, so `1` and `int64 1` differ.
    pub fn deep_equal(&self, other: &Value) -> bool {
        equal_below(self, other, 0)
    }

    /// A JSON document as Go's `encoding/json` reads it into `interface{}`: every number a float.
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Value::str(s),
            serde_json::Value::Array(items) => Value::list(items.iter().map(Value::from_json).collect()),
            serde_json::Value::Object(entries) => {
                Value::map(entries.iter().map(|(key, value)| (key.as_str(), Value::from_json(value))))
            }
        }
    }
}

fn equal_below(a: &Value, b: &Value, depth: usize) -> bool {
    if depth > MAX_VALUE_DEPTH {
        return false;
    }
    match (a, b) {
        (Value::Absent | Value::Nil, Value::Absent | Value::Nil) => true,
        (Value::Bool(x), Value::Bool(y)) => x == y,
        (Value::Int(x), Value::Int(y)) | (Value::Int64(x), Value::Int64(y)) => x == y,
        (Value::Duration(x), Value::Duration(y)) => x == y,
        (Value::Float(x), Value::Float(y)) => x == y,
        (Value::Str(x), Value::Str(y)) | (Value::Bytes(x), Value::Bytes(y)) => x == y,
        (Value::Time(x), Value::Time(y)) => x == y,
        (Value::List(x), Value::List(y)) => {
            x.elem == y.elem
                && x.made == y.made
                && x.items.len() == y.items.len()
                && x.items.iter().zip(&y.items).all(|(x, y)| equal_below(x, y, depth + 1))
        }
        (Value::Map(x), Value::Map(y)) => {
            Rc::ptr_eq(x, y)
                || (x.kind == y.kind
                    && x.len() == y.len()
                    && x.snapshot().iter().all(|(key, value)| {
                        y.get(key).is_some_and(|other| equal_below(value, &other, depth + 1))
                    }))
        }
        (Value::Object(x), Value::Object(y)) => {
            Rc::ptr_eq(x, y)
                || (x.type_name() == y.type_name() && equal_below(&x.plain(), &y.plain(), depth + 1))
        }
        _ => false,
    }
}

/// Takes containers apart without recursion, so that a chart which nests a million maps cannot overflow the stack.
fn dismantle(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut list) = Rc::into_inner(list) {
                    pending.append(&mut list.items);
                }
            }
            Value::Map(map) => {
                if let Some(mut map) = Rc::into_inner(map) {
                    pending.extend(map.take_unshared().into_values());
                }
            }
            _ => {}
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if self.items.iter().any(is_container) {
            dismantle(std::mem::take(&mut self.items));
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let entries = self.take_unshared();
        if entries.values().any(is_container) {
            dismantle(entries.into_values().collect());
        }
    }
}

impl Map {
    /// The entries, unless another map of another type holds them too.
    fn take_unshared(&mut self) -> BTreeMap<Rc<str>, Value> {
        Rc::get_mut(&mut self.entries).map(|entries| entries.take()).unwrap_or_default()
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&crate::gofmt::print(self)))
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}
