//! Regular expressions. Go's RE2 syntax and Rust's `regex` agree but for rare escapes, which are translated.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::bytes::Regex;

use super::{Cx, Function, Returned, f, int, string, text, yes};
use crate::error::Failure;
use crate::value::Param::{Int, Str};
use crate::value::{Elem, Value};

/// Compiled size of one expression.
const MAX_PROGRAM: usize = 4 << 20;

pub const TABLE: &[Function] = &[
    f("regexMatch", &[Str, Str], |_, a| yes(compile(&a[0]).is_ok_and(|regex| regex.is_match(bytes(&a[1]))))),
    f("mustRegexMatch", &[Str, Str], |_, a| yes(compile(&a[0])?.is_match(bytes(&a[1])))),
    f("regexFind", &[Str, Str], find),
    f("mustRegexFind", &[Str, Str], find),
    f("regexFindAll", &[Str, Str, Int], find_all),
    f("mustRegexFindAll", &[Str, Str, Int], find_all),
    f("regexReplaceAll", &[Str, Str, Str], replace_all),
    f("mustRegexReplaceAll", &[Str, Str, Str], replace_all),
    f("regexReplaceAllLiteral", &[Str, Str, Str], replace_literal),
    f("mustRegexReplaceAllLiteral", &[Str, Str, Str], replace_literal),
    f("regexSplit", &[Str, Str, Int], split),
    f("mustRegexSplit", &[Str, Str, Int], split),
    f("regexQuoteMeta", &[Str], |_, a| string(quote_meta(&text(&a[0])))),
];

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
}

fn bytes(value: &Value) -> &[u8] {
    value.as_bytes().unwrap_or_default()
}

fn compile(pattern: &Value) -> Result<Regex, Failure> {
    let pattern = text(pattern);
    if let Some(regex) = COMPILED.with_borrow(|known| known.get(&*pattern).cloned()) {
        return Ok(regex);
    }
    let translated = super::goregex::translate(&pattern)
        .map_err(|reason| Failure::Message(format!("error parsing regexp: {reason}")))?;
    let regex = regex::bytes::RegexBuilder::new(&translated)
        .size_limit(MAX_PROGRAM)
        .build()
        .map_err(|error| Failure::Message(format!("error parsing regexp: {error}")))?;
    COMPILED.with_borrow_mut(|known| {
        if known.len() > 1_000 {
            known.clear();
        }
        known.insert(pattern.into_owned(), regex.clone());
    });
    Ok(regex)
}

fn find(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    string(compile(&args[0])?.find(bytes(&args[1])).map_or(&b""[..], |found| found.as_bytes()))
}

fn limit(value: &Value) -> usize {
    usize::try_from(int(value)).unwrap_or(usize::MAX)
}

fn find_all(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let regex = compile(&args[0])?;
    let found = regex.find_iter(bytes(&args[1])).take(limit(&args[2]));
    let found: Vec<Vec<u8>> = found.map(|found| found.as_bytes().to_vec()).collect();
    Ok(if found.is_empty() { Value::nil_list(Elem::Str) } else { Value::strings(found) })
}

fn replace_all(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let replacement = braced(&text(&args[2]));
    string(compile(&args[0])?.replace_all(bytes(&args[1]), replacement.as_bytes()))
}

/// Go reads `$1x` as the group `1x`; so does Rust. A lone `$` that names nothing stays as it is in Go.
fn braced(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len());
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        let names = chars.peek().is_some_and(|c| *c == '{' || *c == '$' || *c == '_' || c.is_alphanumeric());
        match c {
            '$' if !names => out.push('$'),
            '$' if chars.peek() == Some(&'$') => out.extend(chars.next()),
            _ => {}
        }
    }
    out
}

fn replace_literal(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    string(compile(&args[0])?.replace_all(bytes(&args[1]), regex::bytes::NoExpand(bytes(&args[2]))))
}

fn split(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let (regex, text) = (compile(&args[0])?, bytes(&args[1]));
    let limit = limit(&args[2]);
    if limit == 0 {
        return Ok(Value::nil_list(Elem::Str));
    }
    if text.is_empty() {
        return Ok(Value::strings([text]));
    }
    let (mut parts, mut start) = (Vec::new(), 0);
    for found in regex.find_iter(text) {
        if parts.len() + 1 >= limit {
            break;
        }
        // Go drops an empty match at the very beginning and end.
        if found.end() == 0 || (found.is_empty() && found.start() == text.len()) {
            continue;
        }
        parts.push(text[start..found.start()].to_vec());
        start = found.end();
    }
    parts.push(text[start..].to_vec());
    Ok(Value::strings(parts))
}

fn quote_meta(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let special = r"\.+*?()|[]{}^$".contains(c);
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}
