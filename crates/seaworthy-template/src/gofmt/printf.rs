//! `fmt.Sprintf` and `fmt.Sprint`.

use super::{float_with, print, quote};
use crate::value::Value;

/// The widest field a format may ask for, so that `%999999999d` cannot exhaust memory.
const MAX_WIDTH: usize = 10_000;

#[derive(Default, Clone)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// An argument was chosen by its number: `%[2]d`.
    reordered: bool,
}

/// `fmt.Sprint`: a space between operands when neither is a string.
pub fn sprint(args: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, arg) in args.iter().enumerate() {
        if i > 0 && arg.as_bytes().is_none() && args[i - 1].as_bytes().is_none() {
            out.push(b' ');
        }
        out.extend_from_slice(&print(arg));
    }
    out
}

/// `fmt.Sprintf`, including what Go prints for verbs that do not fit their operand.
pub fn sprintf(format: &[u8], args: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(format.len());
    let (mut next, mut at, mut reordered) = (0, 0, false);
    while at < format.len() {
        if format[at] != b'%' {
            out.push(format[at]);
            at += 1;
            continue;
        }
        let (spec, verb, end) = parse_spec(format, at + 1, args, &mut next);
        at = end;
        reordered |= spec.reordered;
        match (verb, args.get(next)) {
            (None, _) => out.extend_from_slice(b"%!(NOVERB)"),
            (Some('%'), _) => out.push(b'%'),
            (Some(verb), None) => out.extend_from_slice(format!("%!{verb}(MISSING)").as_bytes()),
            (Some(verb), Some(arg)) => {
                next += 1;
                out.extend_from_slice(&pad(verb_text(verb, &spec, arg), &spec));
            }
        }
    }
    if next < args.len() && !reordered {
        out.extend_from_slice(b"%!(EXTRA ");
        for (i, arg) in args[next..].iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(arg.type_name().as_bytes());
            if !arg.is_nil() {
                out.push(b'=');
                out.extend_from_slice(&print(arg));
            }
        }
        out.push(b')');
    }
    out
}

fn parse_spec(format: &[u8], mut at: usize, args: &[Value], next: &mut usize) -> (Spec, Option<char>, usize) {
    let mut spec = Spec::default();
    while let Some(flag) = format.get(at) {
        match flag {
            b'-' => spec.minus = true,
            b'+' => spec.plus = true,
            b'#' => spec.sharp = true,
            b' ' => spec.space = true,
            b'0' => spec.zero = true,
            _ => break,
        }
        at += 1;
    }
    spec.reordered |= argument_number(format, &mut at, next);
    spec.width = count(format, &mut at, args, next);
    if format.get(at) == Some(&b'.') {
        at += 1;
        spec.precision = Some(count(format, &mut at, args, next).unwrap_or(0));
    }
    spec.reordered |= argument_number(format, &mut at, next);
    let verb = format.get(at..).and_then(|rest| {
        let text = rest.utf8_chunks().next()?.valid();
        text.chars().next()
    });
    (spec, verb, at + verb.map_or(0, char::len_utf8))
}

/// `[2]`: the next argument is the second.
fn argument_number(format: &[u8], at: &mut usize, next: &mut usize) -> bool {
    let Some(rest) = format.get(*at..).and_then(|rest| rest.strip_prefix(b"[")) else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<usize>().ok());
    match number {
        Some(number) if number > 0 && rest.get(digits) == Some(&b']') => {
            *next = number - 1;
            *at += digits + 2;
            true
        }
        _ => false,
    }
}

fn count(format: &[u8], at: &mut usize, args: &[Value], next: &mut usize) -> Option<usize> {
    if format.get(*at) == Some(&b'*') {
        *at += 1;
        let value = match args.get(*next) {
            Some(Value::Int(n) | Value::Int64(n)) => usize::try_from(*n).ok(),
            _ => None,
        };
        *next += 1;
        return value.map(|n| n.min(MAX_WIDTH));
    }
    let start = *at;
    while format.get(*at).is_some_and(u8::is_ascii_digit) {
        *at += 1;
    }
    let digits = std::str::from_utf8(&format[start..*at]).ok()?;
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(MAX_WIDTH).min(MAX_WIDTH)) }
}

fn pad(text: Vec<u8>, spec: &Spec) -> Vec<u8> {
    let width = spec.width.unwrap_or(0);
    let have = String::from_utf8_lossy(&text).chars().count();
    if have >= width {
        return text;
    }
    let fill = width - have;
    if spec.minus {
        let mut out = text;
        out.resize(out.len() + fill, b' ');
        return out;
    }
    if !spec.zero {
        let mut out = vec![b' '; fill];
        out.extend_from_slice(&text);
        return out;
    }
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let mut out = text[..sign].to_vec();
    out.resize(sign + fill, b'0');
    out.extend_from_slice(&text[sign..]);
    out
}

fn verb_text(verb: char, spec: &Spec, arg: &Value) -> Vec<u8> {
    if verb == 'T' {
        return arg.type_name().into();
    }
    match arg {
        Value::Absent | Value::Nil if verb == 'v' => b"<nil>".to_vec(),
        Value::Absent | Value::Nil => format!("%!{verb}(<nil>)").into_bytes(),
        Value::List(list) => {
            let parts: Vec<_> = list.items.iter().map(|item| inner_text(verb, spec, item)).collect();
            [b"[".as_slice(), &parts.join(&b' '), b"]"].concat()
        }
        Value::Map(map) if verb != 'p' => {
            let parts: Vec<_> = map
                .snapshot()
                .iter()
                .map(|(key, value)| {
                    let key = verb_text(verb, spec, &Value::str(key.as_bytes()));
                    [key, b":".to_vec(), inner_text(verb, spec, value)].concat()
                })
                .collect();
            [b"map[".as_slice(), &parts.join(&b' '), b"]"].concat()
        }
        Value::Object(object) => match (object.formatted(), verb) {
            (Some(text), 'v' | 's' | 'q') => verb_text(verb, spec, &Value::str(text)),
            _ => verb_text(verb, spec, &object.plain()),
        },
        Value::Time(_) | Value::Duration(_) if matches!(verb, 'v' | 's' | 'q') => {
            verb_text(verb, spec, &Value::str(print(arg)))
        }
        scalar => scalar_text(verb, spec, scalar),
    }
}

/// An element of a list or map; a nil one has no verb.
fn inner_text(verb: char, spec: &Spec, value: &Value) -> Vec<u8> {
    if value.is_nil() { b"<nil>".to_vec() } else { verb_text(verb, spec, value) }
}

fn hex_text(bytes: &[u8], upper: bool, spec: &Spec) -> Vec<u8> {
    let digit = |byte: &u8| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
    let prefix = match (spec.sharp, upper) {
        (true, true) => "0X",
        (true, false) => "0x",
        _ => "",
    };
    let separator = if spec.space { format!(" {prefix}") } else { String::new() };
    let digits = bytes.iter().map(digit).collect::<Vec<_>>().join(&separator);
    if digits.is_empty() { Vec::new() } else { format!("{prefix}{digits}").into_bytes() }
}

/// `%+q`: nothing but ASCII.
fn ascii_quote(bytes: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    for c in quote(bytes).chars() {
        match u32::from(c) {
            code if code < 0x80 => out.push(c),
            code if code < 0x10000 => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out.into_bytes()
}

fn scalar_text(verb: char, spec: &Spec, arg: &Value) -> Vec<u8> {
    let bad = || {
        let mut out = format!("%!{verb}({}=", arg.type_name()).into_bytes();
        out.extend_from_slice(&print(arg));
        out.push(b')');
        out
    };
    match (arg, verb) {
        (Value::Bool(_), 'v' | 't') => print(arg),
        (Value::Int(n) | Value::Int64(n) | Value::Duration(n), _) => {
            integer(verb, spec, *n).map_or_else(bad, String::into_bytes)
        }
        (Value::Float(f), 'x' | 'X') => {
            let text = super::number::float_hex(*f);
            if verb == 'X' { text.to_uppercase().into_bytes() } else { text.into_bytes() }
        }
        (Value::Float(f), 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F') => {
            let places = match verb {
                'e' | 'E' | 'f' | 'F' => Some(spec.precision.unwrap_or(6)),
                _ => spec.precision,
            };
            let text = float_with(*f, if verb == 'v' { 'g' } else { verb }, places);
            let sign = if spec.plus && !text.starts_with(['-', '+']) { "+" } else { "" };
            format!("{sign}{text}").into_bytes()
        }
        (Value::Bytes(_), 'v') => print(arg),
        (Value::Str(s) | Value::Bytes(s), 's' | 'v') => match spec.precision {
            Some(places) => String::from_utf8_lossy(s).chars().take(places).collect::<String>().into_bytes(),
            None if spec.sharp && verb == 'v' => quote(s).into_bytes(),
            None => s.to_vec(),
        },
        (Value::Str(s) | Value::Bytes(s), 'q') if spec.sharp && !s.contains(&b'`') => {
            [b"`", &s[..], b"`"].concat()
        }
        (Value::Str(s) | Value::Bytes(s), 'q') if spec.plus => ascii_quote(s),
        (Value::Str(s) | Value::Bytes(s), 'q') => quote(s).into_bytes(),
        (Value::Str(s) | Value::Bytes(s), 'x' | 'X') => hex_text(s, verb == 'X', spec),
        _ => bad(),
    }
}

fn integer(verb: char, spec: &Spec, n: i64) -> Option<String> {
    let magnitude = n.unsigned_abs();
    let prefix = |text: &'static str| if spec.sharp { text } else { "" };
    let digits = match verb {
        'v' | 'd' => magnitude.to_string(),
        'x' => format!("{}{magnitude:x}", prefix("0x")),
        'X' => format!("{}{magnitude:X}", prefix("0X")),
        'o' => format!("{}{magnitude:o}", prefix("0")),
        'O' => format!("0o{magnitude:o}"),
        'b' => format!("{}{magnitude:b}", prefix("0b")),
        'c' => return Some(char::from_u32(u32::try_from(n).ok()?).unwrap_or('\u{fffd}').to_string()),
        'q' => return Some(format!("'{}'", char::from_u32(u32::try_from(n).ok()?)?.escape_default())),
        'U' => return Some(format!("U+{magnitude:04X}")),
        _ => return None,
    };
    let digits = match spec.precision {
        Some(places) if digits.len() < places => format!("{digits:0>places$}"),
        _ => digits,
    };
    let sign = match () {
        () if n < 0 => "-",
        () if spec.plus => "+",
        () if spec.space => " ",
        () => "",
    };
    Some(format!("{sign}{digits}"))
}
