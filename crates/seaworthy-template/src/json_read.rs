//! JSON as Go's `encoding/json` reads it into `interface{}`, with its sentence for what is wrong.

use std::rc::Rc;

use crate::value::{Map, MapType, Value};

/// Go's own bound on nesting is larger; honest documents stay far below.
const MAX_DEPTH: usize = 1_000;

/// What was wrong: bad syntax leaves nothing, a number too large leaves what was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub message: String,
}

/// `json.Unmarshal` into `interface{}`.
pub fn read(text: &[u8]) -> Result<Value, String> {
    match read_partly(text)? {
        (value, None) => Ok(value),
        (_, Some(fault)) => Err(fault.message),
    }
}

/// The same; a number that no float holds becomes nil and is reported beside the value.
pub fn read_partly(text: &[u8]) -> Result<(Value, Option<Fault>), String> {
    let mut reader = Reader { text, at: 0, fault: None };
    let value = reader.value(0)?;
    reader.skip_blanks();
    match reader.peek() {
        None => Ok((value, reader.fault)),
        Some(byte) => Err(unexpected(byte, "after top-level value")),
    }
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    fault: Option<Fault>,
}

const TRUNCATED: &str = "unexpected end of JSON input";

fn unexpected(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        byte => {
            let quoted = crate::gofmt::quote(char::from(byte).to_string().as_bytes());
            format!("'{}'", &quoted[1..quoted.len() - 1])
        }
    };
    format!("invalid character {shown} {place}")
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Result<u8, String> {
        let byte = self.peek().ok_or(TRUNCATED)?;
        self.at += 1;
        Ok(byte)
    }

    fn next_solid(&mut self) -> Result<u8, String> {
        self.skip_blanks();
        self.next()
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("exceeded max depth".into());
        }
        match self.next_solid()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Value::str),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Nil),
            b'-' | b'0'..=b'9' => self.number(),
            byte => Err(unexpected(byte, "looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for wanted in word.bytes().skip(1) {
            let byte = self.next()?;
            if byte != wanted {
                let place = format!("in literal {word} (expecting '{}')", char::from(wanted));
                return Err(unexpected(byte, &place));
            }
        }
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Value, String> {
        let map = Map::new(MapType::Any);
        let mut first = true;
        loop {
            match self.next_solid()? {
                b'}' if first => return Ok(Value::Map(map)),
                b'"' => {}
                byte => return Err(unexpected(byte, "looking for beginning of object key string")),
            }
            first = false;
            let key = self.string()?;
            match self.next_solid()? {
                b':' => {}
                byte => return Err(unexpected(byte, "after object key")),
            }
            map.insert(Rc::from(String::from_utf8_lossy(&key)), self.value(depth + 1)?);
            match self.next_solid()? {
                b',' => {}
                b'}' => return Ok(Value::Map(map)),
                byte => return Err(unexpected(byte, "after object key:value pair")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, String> {
        let mut items = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next_solid()? {
                b',' => {}
                b']' => return Ok(Value::list(items)),
                byte => return Err(unexpected(byte, "after array element")),
            }
        }
    }

    fn digits(&mut self) -> usize {
        let count = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn need_digits(&mut self, place: &str) -> Result<(), String> {
        match (self.digits(), self.peek()) {
            (0, None) => Err(TRUNCATED.into()),
            (0, Some(byte)) => Err(unexpected(byte, place)),
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        self.at -= 1;
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.need_digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.need_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.need_digits("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]);
        match text.parse::<f64>().ok().filter(|f| f.is_finite()) {
            Some(number) => Ok(Value::Float(number)),
            None => {
                let message = format!("json: cannot unmarshal number {text} into Go value of type float64");
                self.fault.get_or_insert(Fault { message });
                Ok(Value::Nil)
            }
        }
    }

    fn string(&mut self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Ok(String::from_utf8_lossy(&out).into_owned().into_bytes()),
                b'\\' => self.escape(&mut out)?,
                byte if byte < b' ' => return Err(unexpected(byte, "in string literal")),
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let byte = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode(out),
            byte => return Err(unexpected(byte, "in string escape code")),
        };
        out.push(byte);
        Ok(())
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let first = self.hexadecimal()?;
        let c = match first {
            0xd800..=0xdbff if self.text[self.at..].starts_with(b"\\u") => {
                let rewind = self.at;
                self.at += 2;
                let second = self.hexadecimal()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    self.at = rewind;
                }
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + second.wrapping_sub(0xdc00))
                    .filter(|_| self.at != rewind)
            }
            code => char::from_u32(code),
        };
        out.extend_from_slice(c.unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hexadecimal(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16);
            code =
                code * 16 + digit.ok_or_else(|| unexpected(byte, r"in \u hexadecimal character escape"))?;
        }
        Ok(code)
    }
}
