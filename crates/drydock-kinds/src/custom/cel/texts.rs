//! Functions of texts.

use jiff::SignedDuration;

use super::eval::{Eval, Failure};
use super::functions::plain;
use super::value::Val;
use crate::custom::pattern;

pub(super) fn call<'a>(
    eval: &Eval<'a, '_>,
    name: &str,
    args: &[Val<'a>],
) -> Option<Result<Val<'a>, Failure>> {
    let Some(Val::Text(text)) = args.first() else {
        return match (name, args) {
            ("join", [list]) => joined(list, ""),
            ("join", [list, Val::Text(between)]) => joined(list, between),
            _ => None,
        };
    };
    let chars = || text.chars().collect::<Vec<char>>();
    let number = |place: usize| match args.get(place) {
        Some(Val::Int(number)) => usize::try_from(*number).ok(),
        _ => None,
    };
    let outside = || Err(Failure::Error("index out of range".to_owned()));
    Some(match (name, &args[1..]) {
        ("startsWith", [Val::Text(part)]) => Ok(Val::Bool(text.starts_with(part.as_ref()))),
        ("endsWith", [Val::Text(part)]) => Ok(Val::Bool(text.ends_with(part.as_ref()))),
        ("contains", [Val::Text(part)]) => Ok(Val::Bool(text.contains(part.as_ref()))),
        ("matches", [Val::Text(source)]) => matched(eval, source, |regex| Val::Bool(regex.is_match(text))),
        ("find", [Val::Text(source)]) => {
            matched(eval, source, |regex| Val::text(regex.find(text).map_or("", |found| found.as_str())))
        }
        ("findAll", [Val::Text(source)] | [Val::Text(source), Val::Int(_)]) => {
            let limit = number(2).unwrap_or(usize::MAX);
            matched(eval, source, |regex| {
                Val::list(regex.find_iter(text).take(limit).map(|found| Val::text(found.as_str())).collect())
            })
        }
        ("lowerAscii", []) => Ok(Val::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(Val::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(Val::text(text.trim())),
        ("reverse", []) => Ok(Val::text(text.chars().rev().collect::<String>())),
        ("charAt", [Val::Int(_)]) => match (number(1), chars()) {
            (Some(at), chars) if at <= chars.len() => {
                Ok(Val::text(chars.get(at).map(char::to_string).unwrap_or_default()))
            }
            _ => outside(),
        },
        ("substring", [Val::Int(_)] | [Val::Int(_), Val::Int(_)]) => {
            let chars = chars();
            let end = if args.len() == 3 { number(2) } else { Some(chars.len()) };
            match (number(1), end) {
                (Some(from), Some(to)) if from <= to && to <= chars.len() => {
                    Ok(Val::text(chars[from..to].iter().collect::<String>()))
                }
                _ => outside(),
            }
        }
        ("indexOf" | "lastIndexOf", [Val::Text(part)] | [Val::Text(part), Val::Int(_)]) => Ok(Val::Int(
            index_of(&chars(), &part.chars().collect::<Vec<_>>(), number(2), name == "lastIndexOf"),
        )),
        ("replace", [Val::Text(old), Val::Text(new)]) => {
            let grown = new.len() as u64 * (text.len() as u64 / (old.len().max(1) as u64) + 1) / 10;
            if let Err(failure) = eval.spend(grown) {
                return Some(Err(failure));
            }
            Ok(Val::text(text.replace(old.as_ref(), new)))
        }
        ("replace", [Val::Text(old), Val::Text(new), Val::Int(_)]) => {
            let grown = new.len() as u64 * (text.len() as u64 / (old.len().max(1) as u64) + 1) / 10;
            if let Err(failure) = eval.spend(grown) {
                return Some(Err(failure));
            }
            Ok(Val::text(match number(3) {
                Some(limit) => text.replacen(old.as_ref(), new, limit),
                None => text.replace(old.as_ref(), new),
            }))
        }
        ("split", [Val::Text(by)] | [Val::Text(by), Val::Int(_)]) => {
            Ok(split(text, by, args.get(2).and(number(2)), args.len() == 3))
        }
        ("format", [list]) => formatted(text, &list.items()?),
        ("strings.quote", []) => Ok(Val::text(format!("{text:?}"))),
        _ => return None,
    })
}

fn matched<'a>(
    eval: &Eval<'a, '_>,
    source: &str,
    then: impl FnOnce(&regex::Regex) -> Val<'a>,
) -> Result<Val<'a>, Failure> {
    // Compiling is the dear part.
    eval.spend(50 + source.len() as u64)?;
    let regex = pattern::compile(source).map_err(Failure::Error)?;
    Ok(then(&regex))
}

fn joined<'a>(list: &Val<'a>, between: &str) -> Option<Result<Val<'a>, Failure>> {
    let texts: Option<Vec<String>> = list
        .items()?
        .iter()
        .map(|item| match item {
            Val::Text(text) => Some(text.to_string()),
            _ => None,
        })
        .collect();
    Some(Ok(Val::text(texts?.join(between))))
}

fn index_of(text: &[char], part: &[char], from: Option<usize>, last: bool) -> i64 {
    let Some(end) = text.len().checked_sub(part.len()) else { return -1 };
    let fits = |at: &usize| text[*at..].starts_with(part);
    let found = match last {
        true => (0..=end.min(from.unwrap_or(end))).rev().find(fits),
        false => (from.unwrap_or(0)..=end).find(fits),
    };
    found.map_or(-1, |at| at as i64)
}

fn split<'a>(text: &str, by: &str, limit: Option<usize>, has_limit: bool) -> Val<'a> {
    let parts: Vec<&str> = match (limit, has_limit) {
        (Some(0), true) => Vec::new(),
        (Some(limit), true) => text.splitn(limit, by).collect(),
        _ if by.is_empty() => text.split("").filter(|part| !part.is_empty()).collect(),
        _ => text.split(by).collect(),
    };
    Val::list(parts.into_iter().map(Val::text).collect())
}

/// `%s`, `%d`, `%f`, `%e`, `%b`, `%x`, `%X`, `%o` and `%%`, as printf knows them.
fn formatted<'a>(text: &str, args: &[Val<'a>]) -> Result<Val<'a>, Failure> {
    let wrong = |why: &str| Err(Failure::Error(format!("could not parse formatting clause: {why}")));
    let (mut out, mut args) = (String::new(), args.iter());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut digits = None;
        if chars.peek() == Some(&'.') {
            chars.next();
            let mut number = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                number.push(digit);
            }
            digits = number.parse::<usize>().ok().filter(|digits| *digits <= 100);
        }
        let Some(verb) = chars.next() else { return wrong("unexpected end of string") };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = args.next() else { return wrong("not enough arguments") };
        let precise = digits.unwrap_or(6);
        out.push_str(&match (verb, value) {
            ('s', value) => shown(value),
            ('d', Val::Int(_) | Val::Uint(_)) => plain(value),
            ('d', Val::Double(value)) => format!("{value:.0}"),
            ('f', Val::Double(value)) => format!("{value:.precise$}"),
            ('f', Val::Int(value)) => format!("{:.precise$}", *value as f64),
            ('e', Val::Double(value)) => format!("{value:.precise$e}"),
            ('b', Val::Int(value)) => format!("{value:b}"),
            ('b', Val::Bool(value)) => value.to_string(),
            ('x', Val::Int(value)) => format!("{value:x}"),
            ('X', Val::Int(value)) => format!("{value:X}"),
            ('x', Val::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('o', Val::Int(value)) => format!("{value:o}"),
            _ => return wrong(&format!("unrecognized formatting clause \"{verb}\"")),
        });
    }
    Ok(Val::text(out))
}

fn shown(value: &Val<'_>) -> String {
    if let Some(items) = value.items() {
        return format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    if let Some(entries) = value.entries() {
        let pairs = entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
        return format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "));
    }
    plain(value)
}

/// `90s`, as spans of time are written.
pub(super) fn seconds(span: &SignedDuration) -> String {
    match span.subsec_nanos() {
        0 => format!("{}s", span.as_secs()),
        _ => format!("{}s", span.as_secs_f64()),
    }
}
