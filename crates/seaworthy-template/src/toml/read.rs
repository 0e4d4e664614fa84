//! Reads TOML 1.0 into the values a Go program sees: int64, float64, times, maps.
//!
//! Start at [`read`]. Nesting is bounded; every key is defined once.

use std::collections::HashSet;
use std::rc::Rc;

use crate::moment::{Moment, Zone};
use crate::value::{Elem, List, Made, Map, MapType, Value};

/// How deep arrays, inline tables and keys may nest.
const MAX_DEPTH: usize = 200;

/// The document as a map, or the sentence for what is wrong.
pub fn read(text: &str) -> Result<Value, String> {
    let root = Map::new(MapType::Any);
    let mut reader = Reader {
        text,
        at: 0,
        last_key: String::new(),
        table: Vec::new(),
        root: root.clone(),
        closed: HashSet::new(),
        headers: HashSet::new(),
    };
    reader.document().map_err(|message| reader.located(&message))?;
    Ok(Value::Map(root))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    last_key: String,
    /// The path of the header that keys belong to.
    table: Vec<String>,
    root: Rc<Map>,
    /// Inline tables and arrays, which nothing may be added to.
    closed: HashSet<Vec<String>>,
    headers: HashSet<Vec<String>>,
}

type Read<T> = Result<T, String>;

fn shown(c: Option<char>) -> String {
    let quoted = crate::gofmt::quote(c.unwrap_or('\0').to_string().as_bytes());
    match c {
        Some('\'') => r"'\''".to_owned(),
        Some('"') => "'\"'".to_owned(),
        _ => format!("'{}'", &quoted[1..quoted.len() - 1]),
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

impl Reader<'_> {
    fn located(&self, message: &str) -> String {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = 1 + before.matches('\n').count();
        match self.last_key.as_str() {
            "" => format!("toml: line {line}: {message}"),
            key => format!("toml: line {line} (last key {}): {message}", crate::gofmt::quote(key.as_bytes())),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Spaces, line ends and comments.
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r' | '\n') => self.at += 1,
                Some('#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn document(&mut self) -> Read<()> {
        loop {
            self.skip_blanks();
            match self.peek() {
                None => return Ok(()),
                Some('[') => self.header()?,
                Some(_) => self.assignment()?,
            }
            self.skip_spaces();
            self.last_key.clear();
            match self.peek() {
                None | Some('\n' | '#' | '\r') => {}
                other => {
                    let found = shown(other);
                    return Err(format!(
                        "expected a top-level item to end with a newline, comment, or EOF, but got {found} instead"
                    ));
                }
            }
        }
    }

    fn header(&mut self) -> Read<()> {
        let is_array = self.take("[[");
        if !is_array {
            self.take("[");
        }
        let mut path = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Some(']') | None if path.is_empty() && self.peek().is_some() => {
                    return Err("unexpected end of table name (table names cannot be empty)".into());
                }
                Some('.') => return Err("unexpected table separator (table names cannot be empty)".into()),
                _ => {}
            }
            path.push(self.key_part()?);
            self.skip_spaces();
            if self.take(".") {
                continue;
            }
            if !self.take("]") {
                return Err(format!(
                    "expected '.' or ']' to end table name, but got {} instead",
                    shown(self.peek())
                ));
            }
            if is_array && !self.take("]") {
                let found = shown(self.peek());
                return Err(format!(
                    "expected end of table array name delimiter ']', but got {found} instead"
                ));
            }
            break;
        }
        self.open_table(path, is_array)
    }

    fn open_table(&mut self, path: Vec<String>, is_array: bool) -> Read<()> {
        let Some((name, parents)) = path.split_last() else { return Ok(()) };
        let parent = self.descend(&[], parents)?;
        match (parent.get(name), is_array) {
            (None, false) => parent.insert(name.as_str(), Value::Map(Map::new(MapType::Any))),
            (None, true) => append_table(&parent, name, &[]),
            (Some(Value::List(list)), true) if list.elem == Elem::Map => {
                append_table(&parent, name, &list.items);
                self.headers.retain(|header| !header.starts_with(&path));
            }
            (Some(_), true) => {
                return Err(format!(
                    "Key '{}' was already created and cannot be used as an array.",
                    path.join(".")
                ));
            }
            (Some(Value::Map(_)), false) if !self.headers.contains(&path) && !self.closed.contains(&path) => {
            }
            (Some(_), false) => return Err(format!("Key '{}' has already been defined.", path.join("."))),
        }
        if !is_array {
            self.headers.insert(path.clone());
        }
        self.table = path;
        Ok(())
    }

    /// The table at a path below `base`; tables on the way are made, of an array of tables the last is meant.
    fn descend(&mut self, base: &[String], path: &[String]) -> Read<Rc<Map>> {
        let mut table = self.root.clone();
        let mut walked: Vec<String> = Vec::new();
        for name in base.iter().chain(path) {
            walked.push(name.clone());
            if walked.len() > MAX_DEPTH {
                return Err("the document nests too deeply".into());
            }
            let next = match table.get(name) {
                None => {
                    let new = Map::new(MapType::Any);
                    table.insert(name.as_str(), Value::Map(new.clone()));
                    new
                }
                Some(Value::Map(map)) if !self.closed.contains(&walked) => map,
                Some(Value::List(list)) if list.elem == Elem::Map => match list.items.last() {
                    Some(Value::Map(map)) => map.clone(),
                    _ => return Err(format!("Key '{}' has already been defined.", walked.join("."))),
                },
                Some(_) => return Err(format!("Key '{}' has already been defined.", walked.join("."))),
            };
            table = next;
        }
        Ok(table)
    }

    fn assignment(&mut self) -> Read<()> {
        let key = self.key()?;
        let base = self.table.clone();
        let full: Vec<String> = base.iter().chain(&key).cloned().collect();
        self.last_key = full.join(".");
        let value = self.value(0)?;
        let Some((name, parents)) = key.split_last() else { return Ok(()) };
        let table = self.descend(&base, parents)?;
        if !parents.is_empty() && self.headers.contains(&full[..full.len() - 1]) {
            return Err(format!("Key '{}' has already been defined.", full.join(".")));
        }
        self.define(&table, name, value, full)
    }

    fn define(&mut self, table: &Map, name: &str, value: Value, full: Vec<String>) -> Read<()> {
        if table.contains(name) {
            return Err(format!("Key '{}' has already been defined.", full.join(".")));
        }
        if matches!(value, Value::Map(_) | Value::List(_)) {
            self.closed.insert(full);
        }
        table.insert(name, value);
        Ok(())
    }

    /// `a."b c".d =`
    fn key(&mut self) -> Read<Vec<String>> {
        let mut parts = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Some('=') if parts.is_empty() => return Err("unexpected '=': key name appears blank".into()),
                Some('.') if parts.is_empty() => {
                    return Err("unexpected '.': keys cannot start with a '.'".into());
                }
                _ => {}
            }
            parts.push(self.key_part()?);
            self.skip_spaces();
            match self.peek() {
                Some('.') => self.at += 1,
                Some('=') => {
                    self.at += 1;
                    return Ok(parts);
                }
                None | Some('\n' | '\r') => return Err("unexpected EOF; expected key separator '='".into()),
                other => return Err(format!("expected '.' or '=', but got {} instead", shown(other))),
            }
        }
    }

    fn key_part(&mut self) -> Read<String> {
        match self.peek() {
            Some('"') => {
                self.at += 1;
                self.basic_string(false)
            }
            Some('\'') => {
                self.at += 1;
                self.literal_string(false)
            }
            _ => {
                let length = self.rest().find(|c| !is_bare(c)).unwrap_or(self.rest().len());
                if length == 0 {
                    return Err(format!("expected '.' or '=', but got {} instead", shown(self.peek())));
                }
                let part = self.rest()[..length].to_owned();
                self.at += length;
                Ok(part)
            }
        }
    }

    fn value(&mut self, depth: usize) -> Read<Value> {
        self.skip_spaces();
        if depth > MAX_DEPTH {
            return Err("the document nests too deeply".into());
        }
        match self.peek() {
            None | Some('\n' | '\r') => Err("unexpected EOF; expected value".into()),
            Some('[') => self.array(depth),
            Some('{') => self.inline_table(depth),
            Some('"') if self.take("\"\"\"") => self.basic_string(true).map(Value::str),
            Some('"') => {
                self.at += 1;
                self.basic_string(false).map(Value::str)
            }
            Some('\'') if self.take("'''") => self.literal_string(true).map(Value::str),
            Some('\'') => {
                self.at += 1;
                self.literal_string(false).map(Value::str)
            }
            Some('.') => Err("floats must start with a digit, not '.'".into()),
            Some(_) => self.plain_value(),
        }
    }

    fn array(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(']') => {
                    self.at += 1;
                    return Ok(Value::list(items));
                }
                Some(',') => return Err("unexpected comma".into()),
                _ => items.push(self.value(depth + 1)?),
            }
            self.skip_blanks();
            match self.peek() {
                Some(',') => self.at += 1,
                Some(']') => {}
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), |c| shown(Some(c)));
                    return Err(format!("expected a comma (',') or array terminator (']'), but got {found}"));
                }
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Read<Value> {
        self.at += 1;
        let table = Map::new(MapType::Any);
        self.skip_blanks();
        if self.take("}") {
            return Ok(Value::Map(table));
        }
        loop {
            self.skip_blanks();
            let key = self.key()?;
            let value = self.value(depth + 1)?;
            insert_dotted(&table, &key, value)?;
            self.skip_blanks();
            match self.bump() {
                Some(',') => {}
                Some('}') => return Ok(Value::Map(table)),
                other => {
                    let found = other.map_or_else(|| "end of file".to_owned(), |c| shown(Some(c)));
                    return Err(format!(
                        "expected a comma or an inline table terminator '}}', but got {found} instead"
                    ));
                }
            }
        }
    }

    fn literal_string(&mut self, multiline: bool) -> Read<String> {
        let end = if multiline { "'''" } else { "'" };
        if multiline {
            self.take("\r\n");
            self.take("\n");
        }
        let length =
            self.rest().find(end).filter(|length| multiline || !self.rest()[..*length].contains('\n'));
        let Some(mut length) = length else { return Err(format!("unexpected EOF; expected \"{end}\"")) };
        // Up to two quotes may stand before the closing three.
        while multiline && self.rest()[length + 3..].starts_with('\'') {
            length += 1;
        }
        let text = self.rest()[..length].to_owned();
        self.at += length + end.len();
        Ok(text)
    }

    fn basic_string(&mut self, multiline: bool) -> Read<String> {
        let end = if multiline { "\"\"\"" } else { "\"" };
        if multiline && !self.take("\n") {
            self.take("\r\n");
        }
        let mut out = String::new();
        loop {
            if self.rest().starts_with(end) && !(multiline && self.rest().starts_with("\"\"\"\"")) {
                self.at += end.len();
                return Ok(out);
            }
            match self.bump() {
                None => return Err(format!("unexpected EOF; expected '{end}'")),
                Some('\n') if !multiline => return Err("strings cannot contain newlines".into()),
                Some('\\') => self.escape(multiline, &mut out)?,
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self, multiline: bool, out: &mut String) -> Read<()> {
        let c = self.bump();
        let digits = match c {
            Some('b') => return plain(out, '\x08'),
            Some('t') => return plain(out, '\t'),
            Some('n') => return plain(out, '\n'),
            Some('f') => return plain(out, '\x0c'),
            Some('r') => return plain(out, '\r'),
            Some('e') => return plain(out, '\x1b'),
            Some(c @ ('"' | '\\')) => return plain(out, c),
            Some(' ' | '\t' | '\r' | '\n') if multiline => {
                // A backslash before the line's end joins lines.
                self.at -= 1;
                self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r', '\n']).len();
                return Ok(());
            }
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            other => {
                return Err(format!(
                    "invalid escape character {}; only the following escape characters are allowed: \\b, \\t, \\n, \\f, \\r, \\\", \\\\, \\uXXXX, and \\UXXXXXXXX",
                    shown(other)
                ));
            }
        };
        let text = self.rest().get(..digits).unwrap_or_default().to_owned();
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| !text.starts_with('+'));
        let c = code.and_then(char::from_u32);
        self.at += if c.is_some() { digits } else { 0 };
        out.push(c.ok_or_else(|| format!("Escaped character '\\u{text}' is not valid UTF-8."))?);
        Ok(())
    }

    fn plain_value(&mut self) -> Read<Value> {
        let ends = |c: char| matches!(c, ',' | ']' | '}' | '#' | '\n' | '\r' | ' ' | '\t' | '=');
        let mut length = self.rest().find(ends).unwrap_or(self.rest().len());
        // A date and its time may be parted by one space.
        let rest = self.rest();
        let has_time =
            |text: &str| text.get(..3).is_some_and(|t| t.as_bytes()[0].is_ascii_digit() && t.ends_with(':'));
        if length == 10
            && rest.as_bytes().get(4) == Some(&b'-')
            && rest[length..].strip_prefix(' ').is_some_and(has_time)
        {
            length += 1 + rest[11..].find(ends).unwrap_or(rest.len() - 11);
        }
        let word = rest[..length].to_owned();
        let value = plain_scalar(&word)?;
        self.at += length;
        Ok(value)
    }
}

fn plain(out: &mut String, c: char) -> Read<()> {
    out.push(c);
    Ok(())
}

fn append_table(parent: &Map, name: &str, before: &[Value]) {
    let mut items = before.to_vec();
    items.push(Value::Map(Map::new(MapType::Any)));
    parent.insert(name, Value::List(Rc::new(List { elem: Elem::Map, made: Made::Yes, items })));
}

fn insert_dotted(table: &Rc<Map>, key: &[String], value: Value) -> Read<()> {
    let Some((name, parents)) = key.split_last() else { return Ok(()) };
    let mut table = table.clone();
    for part in parents {
        let next = match table.get(part) {
            Some(Value::Map(map)) => map,
            Some(_) => return Err(format!("Key '{}' has already been defined.", key.join("."))),
            None => {
                let new = Map::new(MapType::Any);
                table.insert(part.as_str(), Value::Map(new.clone()));
                new
            }
        };
        table = next;
    }
    if table.contains(name) {
        return Err(format!("Key '{}' has already been defined.", key.join(".")));
    }
    table.insert(name.as_str(), value);
    Ok(())
}

fn plain_scalar(word: &str) -> Read<Value> {
    match word {
        "true" => return Ok(Value::Bool(true)),
        "false" => return Ok(Value::Bool(false)),
        "inf" | "+inf" => return Ok(Value::Float(f64::INFINITY)),
        "-inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
        "nan" | "+nan" | "-nan" => return Ok(Value::Float(f64::NAN)),
        _ => {}
    }
    let unsigned = word.trim_start_matches(['+', '-']);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("expected value but found {} instead", crate::gofmt::quote(word.as_bytes())));
    }
    if word.contains(':') || (word.len() >= 10 && word.as_bytes()[4] == b'-') {
        return date(word).map(Value::Time).ok_or_else(|| format!("Invalid TOML Datetime: {word:?}."));
    }
    number(word, unsigned)
}

fn number(word: &str, unsigned: &str) -> Read<Value> {
    let quoted = || crate::gofmt::quote(word.as_bytes());
    let prefixed = ["0x", "0o", "0b"].iter().any(|prefix| unsigned.starts_with(prefix));
    let is_float = !prefixed && unsigned.contains(['.', 'e', 'E']);
    let what = if is_float { "float" } else { "integer" };
    let bad_underscore = |(i, c): (usize, char)| {
        let digit =
            |at: Option<usize>| at.and_then(|at| word.as_bytes().get(at)).is_some_and(u8::is_ascii_hexdigit);
        c == '_' && !(digit(i.checked_sub(1)) && digit(Some(i + 1)))
    };
    if word.char_indices().any(bad_underscore) {
        return Err(format!("Invalid {what} {}: underscores must be surrounded by digits", quoted()));
    }
    let digits = unsigned.replace('_', "");
    let leading_zero = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    if !prefixed && leading_zero {
        return Err(format!("Invalid {what} {}: cannot have leading zeroes", quoted()));
    }
    let plain = word.replace('_', "");
    if is_float {
        return plain.parse().map(Value::Float).map_err(|_| format!("Invalid float value: {}", quoted()));
    }
    crate::funcs::numbers::parse_go_int(&plain)
        .map(Value::Int64)
        .ok_or_else(|| format!("expected value but found {} instead", quoted()))
}

/// The four forms of dates; what is left out is shown by the name of the zone.
fn date(word: &str) -> Option<Moment> {
    let text = word.replacen(['t', ' '], "T", 1).replace('z', "Z");
    if text.ends_with('Z') || text.get(11..).is_some_and(|time| time.contains(['+', '-'])) {
        let at = text.parse::<jiff::Timestamp>().ok()?;
        let offset = text.get(text.len().checked_sub(6)?..).filter(|_| !text.ends_with('Z'));
        let seconds = offset.and_then(|offset| {
            let hours: i32 = offset.get(..3)?.parse().ok()?;
            let minutes: i32 = offset.get(4..)?.parse().ok()?;
            Some(hours * 3600 + if hours < 0 { -minutes } else { minutes } * 60)
        });
        let zone = seconds.filter(|seconds| *seconds != 0).map_or(Zone::Utc, Zone::Offset);
        return Some(Moment { at, zone });
    }
    let (text, name) = match (text.contains('T'), text.contains(':')) {
        (true, _) => (text, "datetime-local"),
        (false, true) => (format!("0000-01-01T{text}"), "time-local"),
        (false, false) => (format!("{text}T00:00:00"), "date-local"),
    };
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Some(Moment { at, zone: Zone::Named(name) })
}
