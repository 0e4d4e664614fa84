//! Prints values as go-yaml v2 prints them after a trip through JSON: key order, quoting, block scalars, folding off.

use std::cmp::Ordering;

use super::resolve::{Scalar, resolve};
use crate::gofmt;
use crate::json;
use crate::value::{MAX_VALUE_DEPTH, Made, Value};

/// The column after which a line is broken at the next space.
const WIDTH: usize = 80;

/// Text that one value may become.
const MAX_BYTES: usize = 64 << 20;

/// `yaml.Marshal` of sigs.k8s.io/yaml, with its final newline.
pub fn write(value: &Value) -> Result<String, String> {
    emit(value, false)
}

/// The same for a JSON document.
pub fn write_json(value: &serde_json::Value) -> Result<String, String> {
    emit(&Value::from_json(value), false)
}

/// `toYamlPretty`, go-yaml v3: lists are indented below their key, lines are never folded, floats stay floats.
pub fn write_pretty(value: &Value) -> Result<String, String> {
    emit(value, true)
}

fn emit(value: &Value, pretty: bool) -> Result<String, String> {
    let mut writer = Writer { out: String::new(), list_indent: if pretty { 2 } else { 0 }, pretty };
    let value = value.plain();
    match &value {
        Value::Map(map) if !map.is_empty() => writer.entries(&map.snapshot(), 0, false, 0)?,
        Value::List(list) if !list.items.is_empty() => writer.items(&list.items, 0, false, 0)?,
        other => {
            writer.scalar(other, 0, false)?;
            writer.out.push('\n');
        }
    }
    Ok(writer.out)
}

struct Writer {
    out: String,
    /// Extra columns for a list below a key.
    list_indent: usize,
    pretty: bool,
}

impl Writer {
    fn check(&self, depth: usize) -> Result<(), String> {
        if depth > MAX_VALUE_DEPTH || self.out.len() > MAX_BYTES {
            return Err("yaml: the value is cyclic or too large".into());
        }
        Ok(())
    }

    fn pad(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn entries(
        &mut self,
        entries: &[(std::rc::Rc<str>, Value)],
        indent: usize,
        mut inline: bool,
        depth: usize,
    ) -> Result<(), String> {
        self.check(depth)?;
        let sorted = merge_sorted(entries.iter().collect());
        for (key, value) in sorted {
            if !std::mem::take(&mut inline) {
                self.pad(indent);
            }
            refuse_control(key)?;
            self.key(key, indent);
            match value.plain() {
                Value::Map(map) if !map.is_empty() => {
                    self.out.push('\n');
                    self.entries(&map.snapshot(), indent + 2, false, depth + 1)?;
                }
                Value::List(list) if !list.items.is_empty() => {
                    self.out.push('\n');
                    self.items(&list.items, indent + self.list_indent, false, depth + 1)?;
                }
                other => {
                    self.out.push(' ');
                    self.scalar(&other, indent + 2, false)?;
                    self.out.push('\n');
                }
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        items: &[Value],
        indent: usize,
        mut inline: bool,
        depth: usize,
    ) -> Result<(), String> {
        self.check(depth)?;
        for item in items {
            if !std::mem::take(&mut inline) {
                self.pad(indent);
            }
            self.out.push_str("- ");
            match item.plain() {
                Value::Map(map) if !map.is_empty() => {
                    self.entries(&map.snapshot(), indent + 2, true, depth + 1)?
                }
                Value::List(list) if !list.items.is_empty() => {
                    self.items(&list.items, indent + 2, true, depth + 1)?;
                }
                other => {
                    self.scalar(&other, indent + 2, false)?;
                    self.out.push('\n');
                }
            }
        }
        Ok(())
    }

    fn key(&mut self, key: &str, indent: usize) {
        if is_simple_key(key) {
            self.string(key, 0, true);
            self.out.push(':');
        } else {
            self.out.push_str("? ");
            self.string(key, indent + 2, false);
            self.out.push('\n');
            self.pad(indent);
            self.out.push(':');
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, key: bool) -> Result<(), String> {
        match value {
            Value::Map(_) => self.out.push_str("{}"),
            Value::List(list) if list.made == Made::Nil && !self.pretty => self.out.push_str("null"),
            Value::List(_) => self.out.push_str("[]"),
            Value::Float(f) if self.pretty => self.out.push_str(&pretty_float(*f)),
            Value::Float(f) => self.out.push_str(&float(*f)?),
            Value::Str(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                refuse_control(&text)?;
                self.string(&text, indent, key);
            }
            Value::Time(_) | Value::Bytes(_) => {
                let text = json::write(value, json::Style::RAW)?;
                self.string(text.trim_matches('"'), indent, key);
            }
            other => self.out.push_str(&json::write(other, json::Style::RAW)?),
        }
        Ok(())
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let shape = Shape::of(text);
        let plain_type = matches!(resolve(text), Scalar::Str | Scalar::Merge) && !is_base60(text);
        if text.contains('\n') && shape.block && !key {
            return self.literal(text, indent);
        }
        let fold = (!key && !self.pretty).then_some(indent.max(2));
        if plain_type && !text.contains('\n') && shape.plain && !text.is_empty() {
            self.folded(text, fold, |out, c| out.push(c));
        } else if plain_type && !text.contains('\n') && shape.single {
            self.out.push('\'');
            self.folded(text, fold, |out, c| {
                out.extend(std::iter::repeat_n(c, if c == '\'' { 2 } else { 1 }))
            });
            self.out.push('\'');
        } else {
            self.double(text, fold);
        }
    }

    fn column(&self) -> usize {
        self.out.chars().rev().take_while(|c| *c != '\n').count()
    }

    /// Writes a flow scalar, breaking lines at single spaces past column 80.
    fn folded(&mut self, text: &str, fold: Option<usize>, push: impl Fn(&mut String, char)) {
        let mut column = self.column();
        let mut after_space = false;
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let single = c == ' ' && !after_space && !first && chars.peek().is_some_and(|next| *next != ' ');
            first = false;
            after_space = c == ' ';
            match fold {
                Some(indent) if single && column > WIDTH => {
                    self.out.push('\n');
                    self.pad(indent);
                    column = indent;
                }
                _ => {
                    let before = self.out.len();
                    push(&mut self.out, c);
                    column += self.out[before..].chars().count();
                }
            }
        }
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.out.push('|');
        if text.starts_with([' ', '\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            self.out.push('2');
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.out.push('-'),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.out.push('+'),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.out.push('\n');
            if !line.is_empty() {
                self.pad(indent.max(2));
                self.out.push_str(line);
            }
        }
    }

    fn double(&mut self, text: &str, fold: Option<usize>) {
        self.out.push('"');
        let mut column = self.column();
        let mut after_space = false;
        let chars: Vec<char> = text.chars().collect();
        for (i, &c) in chars.iter().enumerate() {
            let inner = c == ' ' && !after_space && i > 0 && i + 1 < chars.len();
            after_space = c == ' ';
            match fold {
                Some(indent) if inner && column > WIDTH => {
                    self.out.push('\n');
                    self.pad(indent);
                    column = indent;
                    if chars[i + 1] == ' ' {
                        self.out.push('\\');
                        column += 1;
                    }
                }
                _ => {
                    let before = self.out.len();
                    push_double(&mut self.out, c);
                    column += self.out[before..].chars().count();
                }
            }
        }
        self.out.push('"');
    }
}

/// One character inside double quotes.
fn push_double(out: &mut String, c: char) {
    let short = match c {
        '\0' => '0',
        '\x07' => 'a',
        '\x08' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\x0b' => 'v',
        '\x0c' => 'f',
        '\r' => 'r',
        '\x1b' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        c if is_printable(c) && c != '\u{feff}' => return out.push(c),
        c => {
            let code = c as u32;
            return out.push_str(&match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
        }
    };
    out.push('\\');
    out.push(short);
}

/// Go writes by way of JSON, and its YAML reader refuses what JSON leaves unescaped.
fn refuse_control(text: &str) -> Result<(), String> {
    let bad = |c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
    if text.contains(bad) { Err("yaml: control characters are not allowed".into()) } else { Ok(()) }
}

/// A float after its trip through JSON: an integer when JSON wrote one.
fn float(f: f64) -> Result<String, String> {
    let text =
        gofmt::float_json(f).ok_or_else(|| format!("json: unsupported value: {}", gofmt::float_g(f)))?;
    match resolve(&text) {
        Scalar::Int(n) => Ok(n.to_string()),
        Scalar::Uint(n) => Ok(n.to_string()),
        _ => Ok(gofmt::float_g(f)),
    }
}

fn pretty_float(f: f64) -> String {
    match f {
        f if f.is_nan() => ".nan".into(),
        f if f == f64::INFINITY => ".inf".into(),
        f if f == f64::NEG_INFINITY => "-.inf".into(),
        f => gofmt::float_g(f),
    }
}

fn is_simple_key(key: &str) -> bool {
    key.len() <= 128 && !key.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
}

/// Which notations can carry a text; the questions libyaml's emitter asks.
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Shape {
        if text.is_empty() {
            return Shape { plain: true, single: true, block: false };
        }
        let chars: Vec<char> = text.chars().collect();
        let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let blank = |i: usize| chars.get(i).is_none_or(|c| matches!(c, ' ' | '\t'));
        let blank_or_break = |i: usize| chars.get(i).is_none_or(|c| matches!(c, ' ' | '\t') || is_break(*c));
        let indicator = text.starts_with("---")
            || text.starts_with("...")
            || chars.iter().enumerate().any(|(i, c)| match (i, c) {
                (
                    0,
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                    | '`',
                ) => true,
                (0, '?' | ':' | '-') => blank(1),
                (0, _) => false,
                (_, ':') => blank(i + 1),
                (_, '#') => blank_or_break(i - 1),
                _ => false,
            });
        let special = chars.iter().any(|c| !is_printable(*c));
        let first_last = |wanted: &dyn Fn(char) -> bool| (wanted(chars[0]), wanted(chars[chars.len() - 1]));
        let (leading_space, trailing_space) = first_last(&|c| c == ' ');
        let (leading_break, trailing_break) = first_last(&is_break);
        let break_space = chars.windows(2).any(|pair| is_break(pair[0]) && pair[1] == ' ');
        let space_break = chars.windows(2).any(|pair| pair[0] == ' ' && is_break(pair[1]));
        let edges = leading_space || leading_break || trailing_space || trailing_break;
        let broken = break_space || space_break || special;
        let breaks = chars.iter().any(|c| is_break(*c));
        Shape {
            plain: !(edges || broken || breaks || indicator),
            single: !broken,
            block: !(trailing_space || space_break || special),
        }
    }
}

/// What libyaml prints as it is.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// `1:30` is a number in YAML 1.1, so it is quoted.
fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.split(':');
    let head = parts.next().unwrap_or_default();
    let head_fits = head.starts_with(|c: char| c.is_ascii_digit())
        && head.chars().all(|c| c.is_ascii_digit() || c == '_');
    let mut rest = parts.peekable();
    if !head_fits || rest.peek().is_none() {
        return false;
    }
    while let Some(part) = rest.next() {
        let digits = match part.split_once('.') {
            Some((digits, fraction)) if rest.peek().is_none() => {
                if !fraction.chars().all(|c| c.is_ascii_digit() || c == '_') {
                    return false;
                }
                digits
            }
            _ => part,
        };
        let fits = match digits.as_bytes() {
            [d] => d.is_ascii_digit(),
            [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A merge sort, because go-yaml's order is not transitive (`a10` < `a1b` < `a9` < `a10`) and the standard
/// library's sort may panic on such.
fn merge_sorted(mut entries: Vec<&(std::rc::Rc<str>, Value)>) -> Vec<&(std::rc::Rc<str>, Value)> {
    if entries.len() < 2 {
        return entries;
    }
    let right = merge_sorted(entries.split_off(entries.len() / 2));
    let mut right = right.into_iter().peekable();
    let mut merged = Vec::with_capacity(entries.len() * 2);
    for left in merge_sorted(entries) {
        while let Some(next) = right.next_if(|next| compare_keys(&next.0, &left.0) == Ordering::Less) {
            merged.push(next);
        }
        merged.push(left);
    }
    merged.extend(right);
    merged
}

/// go-yaml's order of keys: letters after other characters, digits by number.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    for i in 0..a.len().min(b.len()) {
        if a[i] == b[i] {
            continue;
        }
        let (a_letter, b_letter) = (a[i].is_alphabetic(), b[i].is_alphabetic());
        if a_letter && b_letter {
            return a[i].cmp(&b[i]);
        }
        if a_letter || b_letter {
            return if b_letter { Ordering::Less } else { Ordering::Greater };
        }
        let seed = i64::from((a[i] == '0' || b[i] == '0') && follows_nonzero_digit(&a, i));
        let (a_end, a_number) = digits_from(&a, i, seed);
        let (b_end, b_number) = digits_from(&b, i, seed);
        return a_number.cmp(&b_number).then(a_end.cmp(&b_end)).then(a[i].cmp(&b[i]));
    }
    a.len().cmp(&b.len())
}

fn follows_nonzero_digit(chars: &[char], at: usize) -> bool {
    chars[..at].iter().rev().take_while(|c| c.is_numeric()).any(|c| *c != '0')
}

fn digits_from(chars: &[char], start: usize, seed: i64) -> (usize, i64) {
    let mut end = start;
    let mut number = seed;
    while let Some(c) = chars.get(end).filter(|c| c.is_numeric()) {
        number = number.wrapping_mul(10).wrapping_add(i64::from(u32::from(*c)) - i64::from(b'0'));
        end += 1;
    }
    (end, number)
}
