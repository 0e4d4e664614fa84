//! Functions of lists and sets.

use std::cmp::Ordering;

use super::eval::{Eval, Failure};
use super::value::{Val, order};

pub(super) fn call<'a>(
    eval: &Eval<'a, '_>,
    name: &str,
    args: &[Val<'a>],
) -> Option<Result<Val<'a>, Failure>> {
    if let Some(sets) = name.strip_prefix("sets.") {
        return Some(sets_of(eval, sets, args.first()?, args.get(1)?));
    }
    if let Some(extreme) = name.strip_prefix("math.") {
        return math(extreme, args);
    }
    if name == "lists.range" || name == "range" {
        return None;
    }
    let items = args.first()?.items()?;
    let empty = || Failure::Error(format!("{name} called on empty list"));
    Some(match (name, &args[1..]) {
        ("isSorted", []) => {
            Ok(Val::Bool(items.windows(2).all(|pair| order(&pair[0], &pair[1]).is_none_or(Ordering::is_le))))
        }
        ("sum", []) => sum(&items),
        ("min" | "max", []) => extreme(&items, name == "max").ok_or_else(empty),
        ("first", []) => Ok(Val::Optional(items.first().cloned().map(Into::into))),
        ("last", []) => Ok(Val::Optional(items.last().cloned().map(Into::into))),
        ("reverse", []) => Ok(Val::list(items.into_iter().rev().collect())),
        ("distinct", []) => distinct(eval, items),
        ("sort", []) => {
            let mut sorted = items;
            sorted.sort_by(|a, b| order(a, b).unwrap_or(Ordering::Equal));
            Ok(Val::list(sorted))
        }
        ("flatten", []) => Ok(Val::list(
            items.into_iter().flat_map(|item| item.items().unwrap_or_else(|| vec![item])).collect(),
        )),
        ("slice", [Val::Int(from), Val::Int(to)]) => {
            let place = |at: &i64| usize::try_from(*at).ok();
            match place(from).zip(place(to)).and_then(|(from, to)| items.get(from..to)) {
                Some(part) => Ok(Val::list(part.to_vec())),
                None => Err(Failure::Error("cannot slice: index out of range".to_owned())),
            }
        }
        ("indexOf" | "lastIndexOf", [wanted]) => {
            let mut found = -1;
            for (index, item) in items.iter().enumerate() {
                match eval.equals(item, wanted) {
                    Ok(true) => {
                        found = index as i64;
                        if name == "indexOf" {
                            break;
                        }
                    }
                    Ok(false) => {}
                    Err(failure) => return Some(Err(failure)),
                }
            }
            Ok(Val::Int(found))
        }
        _ => return None,
    })
}

fn sets_of<'a>(eval: &Eval<'a, '_>, name: &str, a: &Val<'a>, b: &Val<'a>) -> Result<Val<'a>, Failure> {
    let (Some(left), Some(right)) = (a.items(), b.items()) else { return super::eval::no_overload() };
    let within = |items: &[Val<'a>], whole: &Val<'a>| -> Result<usize, Failure> {
        let mut count = 0;
        for item in items {
            count += usize::from(eval.contains(whole, item)?);
        }
        Ok(count)
    };
    Ok(Val::Bool(match name {
        "contains" => within(&right, a)? == right.len(),
        "intersects" => within(&right, a)? > 0,
        "equivalent" => within(&right, a)? == right.len() && within(&left, b)? == left.len(),
        _ => return super::eval::no_overload(),
    }))
}

fn math<'a>(name: &str, args: &[Val<'a>]) -> Option<Result<Val<'a>, Failure>> {
    let items = match args {
        [list] => list.items().unwrap_or_else(|| vec![list.clone()]),
        many => many.to_vec(),
    };
    let found = match name {
        "greatest" => extreme(&items, true),
        "least" => extreme(&items, false),
        _ => return None,
    };
    Some(found.ok_or_else(|| Failure::Error("no such overload".to_owned())))
}

fn extreme<'a>(items: &[Val<'a>], greatest: bool) -> Option<Val<'a>> {
    let better = |a: &Val<'a>, b: &Val<'a>| match order(a, b) {
        Some(Ordering::Greater) => greatest,
        Some(Ordering::Less) => !greatest,
        _ => false,
    };
    items.iter().cloned().reduce(|best, item| if better(&item, &best) { item } else { best })
}

fn sum<'a>(items: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let mut items = items.iter().cloned();
    let first = items.next().unwrap_or(Val::Int(0));
    items.try_fold(first, |total, item| super::functions::arithmetic("+", &total, &item))
}

fn distinct<'a>(eval: &Eval<'a, '_>, items: Vec<Val<'a>>) -> Result<Val<'a>, Failure> {
    let mut kept: Vec<Val<'a>> = Vec::new();
    for item in items {
        let mut known = false;
        for other in &kept {
            known = known || eval.equals(other, &item)?;
        }
        if !known {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}
