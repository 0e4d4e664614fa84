//! Lists: building, slicing, searching. Every function returns a new list; none changes its argument.

use super::{Cx, Function, Returned, f, int, items, v, yes};
use crate::error::Failure;
use crate::value::Param::{Any, Int};
use crate::value::{Elem, List, Made, Value};

pub const TABLE: &[Function] = &[
    v("list", &[], Any, |_, a| Ok(Value::list(a.to_vec()))),
    v("tuple", &[], Any, |_, a| Ok(Value::list(a.to_vec()))),
    f("append", &[Any, Any], append),
    f("push", &[Any, Any], append),
    f("mustAppend", &[Any, Any], append),
    f("mustPush", &[Any, Any], append),
    f("prepend", &[Any, Any], prepend),
    f("mustPrepend", &[Any, Any], prepend),
    f("first", &[Any], |_, a| Ok(need(&a[0], "find first")?.first().cloned().unwrap_or(Value::Nil))),
    f("mustFirst", &[Any], |_, a| Ok(need(&a[0], "find first")?.first().cloned().unwrap_or(Value::Nil))),
    f("last", &[Any], |_, a| Ok(need(&a[0], "find last")?.last().cloned().unwrap_or(Value::Nil))),
    f("mustLast", &[Any], |_, a| Ok(need(&a[0], "find last")?.last().cloned().unwrap_or(Value::Nil))),
    f("rest", &[Any], rest),
    f("mustRest", &[Any], rest),
    f("initial", &[Any], initial),
    f("mustInitial", &[Any], initial),
    f("reverse", &[Any], |_, a| Ok(Value::list(need(&a[0], "find reverse")?.into_iter().rev().collect()))),
    f("mustReverse", &[Any], |_, a| {
        Ok(Value::list(need(&a[0], "find reverse")?.into_iter().rev().collect()))
    }),
    f("uniq", &[Any], uniq),
    f("mustUniq", &[Any], uniq),
    f("compact", &[Any], compact),
    f("mustCompact", &[Any], compact),
    v("without", &[Any], Any, without),
    v("mustWithout", &[Any], Any, without),
    f("has", &[Any, Any], has),
    f("mustHas", &[Any, Any], has),
    v("slice", &[Any], Any, slice),
    v("mustSlice", &[Any], Any, slice),
    v("concat", &[], Any, concat),
    f("chunk", &[Int, Any], chunk),
    f("mustChunk", &[Int, Any], chunk),
];

fn need(value: &Value, doing: &str) -> Result<Vec<Value>, Failure> {
    if value.is_nil() {
        return Err("runtime error: invalid memory address or nil pointer dereference".into());
    }
    items(value).ok_or_else(|| format!("Cannot {doing} on type {}", value.kind()).into())
}

fn append(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut list = need(&args[0], "push")?;
    list.push(args[1].clone());
    Ok(Value::list(list))
}

fn prepend(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut list = need(&args[0], "prepend")?;
    list.insert(0, args[1].clone());
    Ok(Value::list(list))
}

fn rest(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let list = need(&args[0], "find rest")?;
    Ok(if list.is_empty() { Value::nil_list(Elem::Any) } else { Value::list(list[1..].to_vec()) })
}

fn initial(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut list = need(&args[0], "find initial")?;
    Ok(if list.pop().is_none() { Value::nil_list(Elem::Any) } else { Value::list(list) })
}

fn contains(haystack: &[Value], needle: &Value) -> bool {
    haystack.iter().any(|item| item.deep_equal(needle))
}

fn uniq(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut kept: Vec<Value> = Vec::new();
    for item in need(&args[0], "find uniq")? {
        if !contains(&kept, &item) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

fn compact(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    Ok(Value::list(
        need(&args[0], "compact")?.into_iter().filter(|item| !super::logic::is_empty(item)).collect(),
    ))
}

fn without(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let list = need(&args[0], "find without")?;
    Ok(Value::list(list.into_iter().filter(|item| !contains(&args[1..], item)).collect()))
}

fn has(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    if args[1].is_nil() {
        return yes(false);
    }
    yes(contains(&need(&args[1], "find has")?, &args[0]))
}

fn slice(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    if args[0].is_nil() {
        return Err("runtime error: invalid memory address or nil pointer dereference".into());
    }
    let kind = args[0].kind();
    let list = items(&args[0]).ok_or_else(|| format!("list should be type of slice or array but {kind}"))?;
    if list.is_empty() {
        return Ok(Value::Nil);
    }
    let index = |i: usize, default: usize| {
        args.get(i)
            .map_or(Ok(default), |value| usize::try_from(super::numbers::to_int64(value)).map_err(|_| ()))
    };
    match (index(1, 0), index(2, list.len())) {
        (Ok(start), Ok(end)) if start <= end && end <= list.len() => {
            let elem = if let Value::List(list) = &args[0] { list.elem } else { Elem::Any };
            Ok(Value::List(std::rc::Rc::new(List {
                elem,
                made: Made::Yes,
                items: list[start..end].to_vec(),
            })))
        }
        _ => Err("reflect.Value.Slice: slice index out of bounds".into()),
    }
}

fn concat(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let mut all = Vec::new();
    for list in args {
        if list.is_nil() {
            return Err("runtime error: invalid memory address or nil pointer dereference".into());
        }
        all.extend(items(list).ok_or_else(|| format!("Cannot concat type {} as list", list.kind()))?);
    }
    Ok(if all.is_empty() { Value::nil_list(Elem::Any) } else { Value::list(all) })
}

fn chunk(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    if args[1].is_nil() {
        return Err("runtime error: invalid memory address or nil pointer dereference".into());
    }
    let list = items(&args[1]).ok_or_else(|| format!("Cannot chunk type {}", args[1].kind()))?;
    let size = usize::try_from(int(&args[0]))
        .ok()
        .filter(|size| *size > 0)
        .ok_or("runtime error: makeslice: len out of range")?;
    let items = list.chunks(size).map(|part| Value::list(part.to_vec())).collect();
    Ok(Value::List(std::rc::Rc::new(List { elem: Elem::List, made: Made::Yes, items })))
}
