//! Methods of Go's `common.Values`, which the root of a chart's values and the context of a template are.
//!
//! A method hides a key of the same name, as it does in Helm.

use std::rc::Rc;

use crate::error::Failure;
use crate::gofmt::quote;
use crate::value::{Map, MapType, Param, Value};
use crate::yaml;

/// The parameters of a method, if there is one of that name.
pub fn find(name: &str) -> Option<&'static [Param]> {
    match name {
        "AsMap" | "YAML" => Some(&[]),
        "Table" | "PathValue" => Some(&[Param::Str]),
        _ => None,
    }
}

/// Calls a method that [`find`] knows.
pub fn call(map: &Rc<Map>, name: &str, args: &[Value]) -> Result<Value, Failure> {
    let path = args.first().and_then(Value::as_bytes).map(String::from_utf8_lossy).unwrap_or_default();
    match name {
        "AsMap" => Ok(Value::Map(map.retyped(MapType::Any))),
        "YAML" => Ok(Value::str(yaml::write(&Value::Map(map.clone())).map_err(Failure::Message)?)),
        "Table" => table(map, &path),
        _ => path_value(map, &path),
    }
}

fn table(map: &Rc<Map>, path: &str) -> Result<Value, Failure> {
    let mut table = map.clone();
    for step in path.split('.') {
        match table.get(step) {
            Some(Value::Map(inner)) => table = inner,
            _ => return Err(format!("{} is not a table", quote(step.as_bytes())).into()),
        }
    }
    Ok(Value::Map(table.retyped(MapType::Values)))
}

fn path_value(map: &Rc<Map>, path: &str) -> Result<Value, Failure> {
    let missing = || Failure::from(format!("{} is not a value", quote(path.as_bytes())));
    let (tables, key) = path.rsplit_once('.').unwrap_or(("", path));
    let table = if tables.is_empty() {
        Value::Map(map.clone())
    } else {
        table(map, tables).map_err(|_| missing())?
    };
    let Value::Map(table) = table else { return Err(missing()) };
    table.get(key).filter(|value| !matches!(value, Value::Map(_))).ok_or_else(missing)
}
