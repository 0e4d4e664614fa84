//! The little language of `--set`, `--set-string`, `--set-json`, `--set-file` and `--set-literal`.

use serde_json::{Map, Value as Json};

use crate::chart::Values;

/// Largest index and deepest name, Helm's own bounds.
const MAX_INDEX: usize = 65_536;
const MAX_LEVEL: usize = 30;

/// Why an assignment could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("key `{0}` has no value")]
    NoValue(String),
    #[error("key map `{0}` has no value")]
    EmptyMap(String),
    #[error("cannot read the index in `{0}`")]
    Index(String),
    #[error("index {0} is greater than the largest allowed, {MAX_INDEX}")]
    IndexTooLarge(usize),
    #[error("unexpected data at the end of the array index: `{0}`")]
    AfterIndex(String),
    #[error("a list must end with `}}`")]
    OpenList,
    #[error("`{0}` is not a map, so nothing can be set inside it")]
    NotAMap(String),
    #[error("`{0}` is not a list, so it has no index")]
    NotAList(String),
    #[error("the name nests deeper than {MAX_LEVEL} levels")]
    TooDeep,
    #[error("the value of `{0}` is not JSON")]
    Json(String),
    #[error("cannot read `{file}`: {reason}")]
    File { file: String, reason: String },
}

/// How the text after `=` becomes a value.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Typed,
    Text,
    Json,
    /// The text names a file whose content is the value.
    File,
}

/// How `--set-file` gets at the content of what it names.
pub type ReadFile<'r> = &'r dyn Fn(&str) -> Result<String, String>;

/// `--set a.b=1,c[0]=x`: numbers, bools and nulls are recognised.
pub fn set(line: &str, into: &mut Values) -> Result<(), Error> {
    Parser::new(line, Mode::Typed).run(into)
}

/// `--set-string`: every value is a text.
pub fn set_string(line: &str, into: &mut Values) -> Result<(), Error> {
    Parser::new(line, Mode::Text).run(into)
}

/// `--set-json a={"b":1}`.
pub fn set_json(line: &str, into: &mut Values) -> Result<(), Error> {
    if line.trim_start().starts_with('{') {
        let Ok(Json::Object(mut map)) = serde_json::from_str(line) else {
            return Err(Error::Json(line.into()));
        };
        map.values_mut().for_each(crate::values::as_floats);
        crate::values::merge_maps(into, map);
        return Ok(());
    }
    Parser::new(line, Mode::Json).run(into)
}

/// `--set-file a.b=path`: the value is the content of a file, which `read` fetches.
pub fn set_file(line: &str, into: &mut Values, read: ReadFile<'_>) -> Result<(), Error> {
    let mut parser = Parser::new(line, Mode::File);
    parser.read = Some(read);
    parser.run(into)
}

/// `--set-literal a.b=text`: everything after the first `=` is the text, commas and braces included.
pub fn set_literal(line: &str, into: &mut Values) -> Result<(), Error> {
    let (path, text) = line.split_once('=').ok_or_else(|| Error::NoValue(line.to_owned()))?;
    let escaped: String =
        text.chars().flat_map(|c| r"\,{}[]".contains(c).then_some('\\').into_iter().chain([c])).collect();
    Parser::new(&format!("{path}={escaped}"), Mode::Text).run(into)
}

struct Parser<'r> {
    chars: Vec<char>,
    at: usize,
    mode: Mode,
    read: Option<ReadFile<'r>>,
}

impl<'r> Parser<'r> {
    fn new(line: &str, mode: Mode) -> Self {
        Parser { chars: line.chars().collect(), at: 0, mode, read: None }
    }

    fn run(mut self, into: &mut Values) -> Result<(), Error> {
        while self.at < self.chars.len() {
            self.key(into, 0)?;
        }
        Ok(())
    }

    /// Text up to one of `stops`, which is consumed and returned; a backslash takes the next character as it is.
    fn until(&mut self, stops: &str) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(&c) = self.chars.get(self.at) {
            self.at += 1;
            match c {
                c if stops.contains(c) => return (text, Some(c)),
                '\\' => {
                    text.extend(self.chars.get(self.at));
                    self.at += 1;
                }
                c => text.push(c),
            }
        }
        (text, None)
    }

    fn key(&mut self, map: &mut Values, level: usize) -> Result<(), Error> {
        let (name, stop) = self.until("=[,.");
        match stop {
            None => Err(Error::NoValue(name)),
            Some(',') => Err(Error::NoValue(name)),
            Some('=') => {
                let value = self.value(&name)?;
                if !name.is_empty() {
                    map.insert(name, value);
                }
                Ok(())
            }
            Some('[') => {
                let index = self.index(&name)?;
                let list = match map.entry(name.clone()).or_insert_with(|| Json::Array(Vec::new())) {
                    Json::Array(list) => list,
                    slot @ Json::Null => {
                        *slot = Json::Array(Vec::new());
                        slot.as_array_mut().ok_or(Error::NotAList(name))?
                    }
                    _ => return Err(Error::NotAList(name)),
                };
                self.item(list, index, level)
            }
            Some(_) => {
                if level >= MAX_LEVEL {
                    return Err(Error::TooDeep);
                }
                let mut inner = match map.get(&name) {
                    Some(Json::Object(inner)) => inner.clone(),
                    None => Map::new(),
                    Some(_) => return Err(Error::NotAMap(name)),
                };
                self.key(&mut inner, level + 1)?;
                if inner.is_empty() {
                    return Err(Error::EmptyMap(name));
                }
                map.insert(name, Json::Object(inner));
                Ok(())
            }
        }
    }

    fn index(&mut self, name: &str) -> Result<usize, Error> {
        let (text, stop) = self.until("]");
        let index: usize =
            stop.and_then(|_| text.parse().ok()).ok_or_else(|| Error::Index(name.to_owned()))?;
        if index > MAX_INDEX { Err(Error::IndexTooLarge(index)) } else { Ok(index) }
    }

    fn item(&mut self, list: &mut Vec<Json>, index: usize, level: usize) -> Result<(), Error> {
        let (rest, stop) = self.until("[.=");
        if !rest.is_empty() {
            return Err(Error::AfterIndex(rest));
        }
        if list.len() <= index {
            list.resize(index + 1, Json::Null);
        }
        match stop {
            Some('=') => list[index] = self.value("")?,
            Some('[') => {
                let inner_index = self.index("")?;
                let mut inner = match list[index].take() {
                    Json::Array(inner) => inner,
                    _ => Vec::new(),
                };
                if level >= MAX_LEVEL {
                    return Err(Error::TooDeep);
                }
                self.item(&mut inner, inner_index, level + 1)?;
                list[index] = Json::Array(inner);
            }
            Some(_) => {
                let mut inner = match list[index].take() {
                    Json::Object(inner) => inner,
                    _ => Map::new(),
                };
                self.key(&mut inner, level)?;
                list[index] = Json::Object(inner);
            }
            None => return Err(Error::NoValue(format!("[{index}]"))),
        }
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<Json, Error> {
        if self.mode == Mode::Json {
            return self.json(name);
        }
        if self.chars.get(self.at) == Some(&'{') {
            self.at += 1;
            return self.list();
        }
        let (text, _) = self.until(",");
        self.typed(text)
    }

    fn list(&mut self) -> Result<Json, Error> {
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(",}");
            match stop {
                None => return Err(Error::OpenList),
                Some('}') => {
                    items.push(self.typed(text)?);
                    if self.chars.get(self.at) == Some(&',') {
                        self.at += 1;
                    }
                    return Ok(Json::Array(items));
                }
                Some(_) => items.push(self.typed(text)?),
            }
        }
    }

    fn json(&mut self, name: &str) -> Result<Json, Error> {
        let rest: String = self.chars[self.at..].iter().collect();
        if rest.trim_start().is_empty() || rest.trim_start().starts_with(',') {
            self.at += rest.find(',').map_or(rest.chars().count(), |at| rest[..=at].chars().count());
            return Ok(Json::Null);
        }
        let mut stream = serde_json::Deserializer::from_str(&rest).into_iter::<Json>();
        let mut value = stream.next().and_then(Result::ok).ok_or_else(|| Error::Json(name.to_owned()))?;
        self.at += rest[..stream.byte_offset()].chars().count();
        while self.chars.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
        if self.chars.get(self.at) == Some(&',') {
            self.at += 1;
        }
        crate::values::as_floats(&mut value);
        Ok(value)
    }

    fn typed(&self, text: String) -> Result<Json, Error> {
        if let Some(read) = self.read {
            let content = read(&text).map_err(|reason| Error::File { file: text, reason })?;
            return Ok(Json::String(content));
        }
        if self.mode == Mode::Text {
            return Ok(Json::String(text));
        }
        Ok(match text.to_ascii_lowercase().as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "null" => Json::Null,
            "0" => Json::from(0),
            _ if !text.starts_with('0') => text.parse::<i64>().map_or(Json::String(text), Json::from),
            _ => Json::String(text),
        })
    }
}
