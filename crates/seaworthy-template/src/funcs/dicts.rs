//! Maps. `set`, `unset` and the merges change their first argument, as charts rely on.

use super::{Cx, Function, Returned, f, map, strval, text, v, yes};
use crate::error::Failure;
use crate::value::Param::{Any, Map as MapParam, Str};
use crate::value::{MAX_VALUE_DEPTH, Map, MapType, Value};

pub const TABLE: &[Function] = &[
    v("dict", &[], Any, dict),
    f("get", &[MapParam, Str], |_, a| Ok(map(&a[0]).get(&text(&a[1])).unwrap_or_else(|| Value::str("")))),
    f("set", &[MapParam, Str, Any], set),
    f("unset", &[MapParam, Str], |_, a| {
        map(&a[0]).remove(&text(&a[1]));
        Ok(a[0].clone())
    }),
    f("hasKey", &[MapParam, Str], |_, a| yes(map(&a[0]).contains(&text(&a[1])))),
    v("pluck", &[Str], MapParam, |_, a| {
        Ok(Value::list(a[1..].iter().filter_map(|dict| map(dict).get(&text(&a[0]))).collect()))
    }),
    v("keys", &[], MapParam, |_, a| {
        Ok(Value::strings(a.iter().flat_map(|dict| map(dict).keys()).map(|k| k.to_string())))
    }),
    f("values", &[MapParam], |_, a| {
        Ok(Value::list(map(&a[0]).snapshot().into_iter().map(|(_, v)| v).collect()))
    }),
    v("pick", &[MapParam], Str, |_, a| {
        let source = map(&a[0]);
        let wanted = a[1..].iter().map(|key| text(key).into_owned());
        Ok(Value::map(wanted.filter_map(|key| source.get(&key).map(|value| (key, value)))))
    }),
    v("omit", &[MapParam], Str, |_, a| {
        let unwanted: Vec<_> = a[1..].iter().map(text).collect();
        let entries = map(&a[0]).snapshot().into_iter();
        Ok(Value::map(entries.filter(|(key, _)| !unwanted.iter().any(|name| **name == **key))))
    }),
    v("merge", &[MapParam], MapParam, |_, a| merge(a, false)),
    v("mustMerge", &[MapParam], MapParam, |_, a| merge(a, false)),
    v("mergeOverwrite", &[MapParam], MapParam, |_, a| merge(a, true)),
    v("mustMergeOverwrite", &[MapParam], MapParam, |_, a| merge(a, true)),
    f("deepCopy", &[Any], deep_copy),
    f("mustDeepCopy", &[Any], deep_copy),
    v("dig", &[], Any, dig),
];

fn dict(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let dict = Map::new(MapType::Any);
    for pair in args.chunks(2) {
        let key = String::from_utf8_lossy(&strval(&pair[0])).into_owned();
        dict.insert(key, pair.get(1).cloned().unwrap_or_else(|| Value::str("")));
    }
    Ok(Value::Map(dict))
}

fn set(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let Value::Map(dict) = &args[0] else {
        return Err("assignment to entry in nil map".into());
    };
    dict.insert(&*text(&args[1]), args[2].clone());
    Ok(args[0].clone())
}

fn deep_copy(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    match &args[0] {
        value if value.is_nil() => Err("reflect: call of reflect.Value.Type on zero Value".into()),
        value => Ok(value.deep_copy()),
    }
}

fn merge(args: &[Value], overwrite: bool) -> Returned {
    let target = map(&args[0]);
    for source in &args[1..] {
        merge_into(&target, &map(source), overwrite, 0)?;
    }
    Ok(Value::Map(target))
}

/// mergo's rules: empty destinations are filled; with `overwrite`, non-empty sources win.
fn merge_into(
    target: &std::rc::Rc<Map>,
    source: &std::rc::Rc<Map>,
    overwrite: bool,
    depth: usize,
) -> Result<(), Failure> {
    if depth > MAX_VALUE_DEPTH {
        return Err(Failure::Limit { what: "levels of nested maps", limit: MAX_VALUE_DEPTH });
    }
    if std::rc::Rc::ptr_eq(target, source) {
        return Ok(());
    }
    for (key, value) in source.snapshot() {
        let old = target.get(&key);
        let vacant = old.as_ref().is_none_or(super::logic::is_empty);
        match (&old, &value) {
            // A nil never fills a gap, yet it overwrites.
            (_, Value::Nil) if !overwrite => {}
            (Some(Value::Map(old)), Value::Map(new)) => merge_into(old, new, overwrite, depth + 1)?,
            _ if overwrite || vacant => target.insert(key, value),
            _ => {}
        }
    }
    Ok(())
}

fn dig(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let [path @ .., default, dict] = args else {
        return Err("dig needs at least three arguments".into());
    };
    if path.is_empty() {
        return Err("dig needs at least three arguments".into());
    }
    let mut current = dict.clone();
    for step in path {
        let plain = |map: &Map| map.kind == MapType::Any;
        let Some(map) =
            (if let Value::Map(map) = &current { Some(map) } else { None }).filter(|map| plain(map))
        else {
            let found = if current.is_nil() { "nil" } else { current.type_name() };
            return Err(format!(
                "interface conversion: interface {{}} is {found}, not map[string]interface {{}}"
            )
            .into());
        };
        let Some(key) = step.as_bytes() else {
            return Err(format!(
                "interface conversion: interface {{}} is {}, not string",
                step.static_type()
            )
            .into());
        };
        match map.get(&String::from_utf8_lossy(key)) {
            Some(next) => current = next,
            None => return Ok(default.clone()),
        }
    }
    Ok(current)
}
