//! Sprig's strings: trimming, cases, quoting, indentation, splitting, joining.

use super::{Cx, Function, Returned, cases, f, int, items, string, strval, text, v, yes};
use crate::gofmt;
use crate::value::Param::{Any, Int, Str};
use crate::value::{Map, MapType, Value};

/// The widest indentation and the most repetitions times length; anything larger is a mistake or an attack.
const MAX_BYTES: usize = 64 << 20;

pub const TABLE: &[Function] = &[
    f("trim", &[Str], |_, a| string(text(&a[0]).trim())),
    f("trimAll", &[Str, Str], |_, a| string(trim_all(&text(&a[0]), &text(&a[1])))),
    f("trimall", &[Str, Str], |_, a| string(trim_all(&text(&a[0]), &text(&a[1])))),
    f("trimSuffix", &[Str, Str], |_, a| {
        let (suffix, text) = (bytes(&a[0]), bytes(&a[1]));
        string(text.strip_suffix(suffix).unwrap_or(text))
    }),
    f("trimPrefix", &[Str, Str], |_, a| {
        let (prefix, text) = (bytes(&a[0]), bytes(&a[1]));
        string(text.strip_prefix(prefix).unwrap_or(text))
    }),
    f("upper", &[Str], |_, a| string(text(&a[0]).chars().map(upper).collect::<String>())),
    f("lower", &[Str], |_, a| string(text(&a[0]).chars().map(lower).collect::<String>())),
    f("title", &[Str], |_, a| string(title(&text(&a[0])))),
    f("untitle", &[Str], |_, a| string(each_word(&text(&a[0]), lower))),
    f("swapcase", &[Str], |_, a| string(swapcase(&text(&a[0])))),
    f("snakecase", &[Str], |_, a| string(cases::delimited(&text(&a[0]), '_'))),
    f("kebabcase", &[Str], |_, a| string(cases::delimited(&text(&a[0]), '-'))),
    f("camelcase", &[Str], |_, a| string(cases::pascal(&text(&a[0])))),
    f("initials", &[Str], |_, a| {
        string(text(&a[0]).split_whitespace().map(|word| char::from(word.as_bytes()[0])).collect::<String>())
    }),
    f("nospace", &[Str], |_, a| string(text(&a[0]).split_whitespace().collect::<String>())),
    f("trunc", &[Int, Str], |_, a| string(trunc(int(&a[0]), bytes(&a[1])))),
    f("substr", &[Int, Int, Str], substr),
    f("abbrev", &[Int, Str], |_, a| string(abbrev(0, int(&a[0]), &text(&a[1])))),
    f("abbrevboth", &[Int, Int, Str], |_, a| string(abbrev(int(&a[0]), int(&a[1]), &text(&a[2])))),
    f("repeat", &[Int, Str], repeat),
    f("wrap", &[Int, Str], |_, a| string(wrap(&text(&a[1]), int(&a[0]), "\n", false))),
    f("wrapWith", &[Int, Str, Str], |_, a| string(wrap(&text(&a[2]), int(&a[0]), &text(&a[1]), true))),
    f("contains", &[Str, Str], |_, a| yes(contains(bytes(&a[1]), bytes(&a[0])))),
    f("hasPrefix", &[Str, Str], |_, a| yes(bytes(&a[1]).starts_with(bytes(&a[0])))),
    f("hasSuffix", &[Str, Str], |_, a| yes(bytes(&a[1]).ends_with(bytes(&a[0])))),
    v("quote", &[], Any, |_, a| string(join_non_nil(a, |value| gofmt::quote(&strval(value)).into_bytes()))),
    v("squote", &[], Any, |_, a| {
        string(join_non_nil(a, |value| [b"'".as_slice(), &gofmt::print(value), b"'"].concat()))
    }),
    v("cat", &[], Any, |_, a| string(join_non_nil(a, gofmt::print))),
    f("indent", &[Int, Str], |_, a| indent(int(&a[0]), bytes(&a[1]), b"")),
    f("nindent", &[Int, Str], |_, a| indent(int(&a[0]), bytes(&a[1]), b"\n")),
    f("replace", &[Str, Str, Str], |_, a| string(text(&a[2]).replace(&*text(&a[0]), &text(&a[1])))),
    f("plural", &[Str, Str, Int], |_, a| Ok(if int(&a[2]) == 1 { a[0].clone() } else { a[1].clone() })),
    f("toString", &[Any], |_, a| string(strval(&a[0]))),
    f("toStrings", &[Any], |_, a| Ok(Value::strings(to_strings(&a[0])))),
    f("join", &[Str, Any], |_, a| string(to_strings(&a[1]).join(bytes(&a[0])))),
    f("sortAlpha", &[Any], |_, a| {
        let mut list = if items(&a[0]).is_some() { to_strings(&a[0]) } else { vec![strval(&a[0])] };
        list.sort();
        Ok(Value::strings(list))
    }),
    f("split", &[Str, Str], |_, a| Ok(numbered(split(&text(&a[0]), &text(&a[1]), -1)))),
    f("splitn", &[Str, Int, Str], |_, a| Ok(numbered(split(&text(&a[0]), &text(&a[2]), int(&a[1]))))),
    f("splitList", &[Str, Str], |_, a| Ok(Value::strings(split(&text(&a[0]), &text(&a[1]), -1)))),
];

fn bytes(value: &Value) -> &[u8] {
    value.as_bytes().unwrap_or_default()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window == needle)
}

fn trim_all(set: &str, text: &str) -> String {
    text.trim_matches(|c| set.contains(c)).to_owned()
}

/// Go maps one character to one character.
pub fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

pub fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Four letters of Unicode have a form for the beginning of a word.
fn title_letter(c: char) -> char {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => 'ǅ',
        'Ǉ' | 'ǈ' | 'ǉ' => 'ǈ',
        'Ǌ' | 'ǋ' | 'ǌ' => 'ǋ',
        'Ǳ' | 'ǲ' | 'ǳ' => 'ǲ',
        c => upper(c),
    }
}

/// `strings.Title`: a letter after anything that separates words.
fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let separated = if previous.is_ascii() {
                !is_word(previous)
            } else {
                !previous.is_alphanumeric() && previous.is_whitespace()
            };
            previous = c;
            if separated { title_letter(c) } else { c }
        })
        .collect()
}

fn each_word(text: &str, change: fn(char) -> char) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let changed = if start && !c.is_whitespace() { change(c) } else { c };
            start = c.is_whitespace();
            changed
        })
        .collect()
}

fn swapcase(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let swapped = match c {
                c if c.is_uppercase() => lower(c),
                c if c.is_lowercase() && start => upper(c),
                c if c.is_lowercase() => upper(c),
                c => c,
            };
            start = c.is_whitespace();
            swapped
        })
        .collect()
}

fn trunc(count: i64, text: &[u8]) -> &[u8] {
    let len = text.len() as i64;
    if count < 0 && len + count > 0 {
        return &text[(len + count) as usize..];
    }
    if count >= 0 && len > count { &text[..count as usize] } else { text }
}

fn substr(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let (start, end, text) = (int(&args[0]), int(&args[1]), bytes(&args[2]));
    let len = text.len() as i64;
    let (from, to) = match (start, end) {
        (start, end) if start < 0 => (0, end),
        (start, end) if end < 0 || end > len => (start, len),
        range => range,
    };
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= text.len() => string(&text[from..to]),
        _ => Err(format!("runtime error: slice bounds out of range [{from}:{to}]").into()),
    }
}

fn abbrev(left: i64, width: i64, text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let len = chars.len() as i64;
    if width < 4 || (left > 0 && width < 7) || len <= width {
        return text.to_owned();
    }
    let offset = if left > len { len } else { left };
    let offset = if len - offset < width - 3 { len - (width - 3) } else { offset };
    let take = |from: i64, to: i64| {
        chars[from.max(0) as usize..to.clamp(0, len) as usize].iter().collect::<String>()
    };
    if offset <= 4 {
        return format!("{}...", take(0, width - 3));
    }
    if offset + width - 3 < len {
        return format!("...{}", abbrev(0, width - 3, &take(offset, len)));
    }
    format!("...{}", take(len - (width - 3), len))
}

fn repeat(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    let text = bytes(&args[1]);
    match usize::try_from(int(&args[0])) {
        Err(_) => Err("strings: negative Repeat count".into()),
        Ok(count) if count.saturating_mul(text.len()) > MAX_BYTES => Err(too_long()),
        Ok(count) => string(text.repeat(count)),
    }
}

fn too_long() -> crate::error::Failure {
    crate::error::Failure::Limit { what: "bytes in one value", limit: MAX_BYTES }
}

fn wrap(text: &str, width: i64, newline: &str, break_long: bool) -> String {
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while chars.len() - at > width {
        if chars[at] == ' ' {
            at += 1;
            continue;
        }
        let slice = |from: usize, to: usize| chars[from..to].iter().collect::<String>();
        let last_space = chars[at..=at + width].iter().rposition(|c| *c == ' ').map(|i| at + i);
        let end = match last_space {
            Some(space) if space > at => space,
            _ if break_long => at + width,
            _ => match chars[at + width..].iter().position(|c| *c == ' ') {
                Some(space) => at + width + space,
                None => break,
            },
        };
        out.push_str(&slice(at, end));
        out.push_str(newline);
        at = if chars.get(end) == Some(&' ') { end + 1 } else { end };
    }
    out.extend(&chars[at..]);
    out
}

fn join_non_nil(args: &[Value], show: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    args.iter().filter(|value| !value.is_nil()).map(show).collect::<Vec<_>>().join(&b' ')
}

fn indent(spaces: i64, text: &[u8], prefix: &[u8]) -> Returned {
    let Ok(spaces) = usize::try_from(spaces) else {
        return Err("strings: negative Repeat count".into());
    };
    let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
    if spaces.saturating_mul(lines) > MAX_BYTES {
        return Err(too_long());
    }
    let mut out = Vec::with_capacity(prefix.len() + text.len() + spaces * lines);
    out.extend_from_slice(prefix);
    for (i, line) in text.split(|b| *b == b'\n').enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + spaces, b' ');
        out.extend_from_slice(line);
    }
    string(out)
}

/// Sprig's `strslice`: a list of texts without the nils, or one text.
pub fn to_strings(value: &Value) -> Vec<Vec<u8>> {
    match items(value) {
        Some(items) => items.iter().filter(|item| !item.is_nil()).map(strval).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![strval(value)],
    }
}

fn split(separator: &str, text: &str, limit: i64) -> Vec<String> {
    let parts: Vec<String> = match (separator.is_empty(), usize::try_from(limit)) {
        (_, Ok(0)) => Vec::new(),
        (false, Ok(limit)) => text.splitn(limit, separator).map(str::to_owned).collect(),
        (false, Err(_)) => text.split(separator).map(str::to_owned).collect(),
        (true, Ok(limit)) => {
            let chars: Vec<char> = text.chars().collect();
            let head = limit.saturating_sub(1).min(chars.len());
            let mut parts: Vec<String> = chars[..head].iter().map(char::to_string).collect();
            if head < chars.len() {
                parts.push(chars[head..].iter().collect());
            }
            parts
        }
        (true, Err(_)) => text.chars().map(|c| c.to_string()).collect(),
    };
    parts
}

fn numbered(parts: Vec<String>) -> Value {
    let map = Map::new(MapType::Str);
    for (i, part) in parts.iter().enumerate() {
        map.insert(format!("_{i}"), Value::str(part));
    }
    Value::Map(map)
}
