//! Words and signs of an expression.

use super::ParseError;

/// One word, and where it begins in the source.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub word: Word,
    pub at: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Ident(String),
    Int(String),
    Uint(String),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Sign(&'static str),
    End,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", ".?", "[?", "{?", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?",
    "!", "+", "-", "*", "/", "%",
];

pub(super) fn tokens(source: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { source, at: 0 };
    let mut found = Vec::new();
    loop {
        let token = lexer.next()?;
        let done = token.word == Word::End;
        found.push(token);
        if done {
            return Ok(found);
        }
    }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        let text = rest[..end].to_owned();
        self.at += end;
        text
    }

    fn error<T>(&self, why: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.source, self.at, why))
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest().starts_with("//") {
                break;
            }
            self.take_while(|c| c != '\n');
        }
        let at = self.at;
        let Some(first) = self.peek() else { return Ok(Token { word: Word::End, at }) };
        let word = match first {
            '"' | '\'' => Word::Text(self.text(false)?),
            '`' => {
                self.at += 1;
                let name = self.take_while(|c| c != '`');
                if self.peek() != Some('`') {
                    return self.error("unterminated identifier");
                }
                self.at += 1;
                Word::Ident(name)
            }
            c if c.is_ascii_digit() => self.number()?,
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number()?,
            c if c.is_ascii_alphabetic() || c == '_' => self.name()?,
            '<' if !self.rest().starts_with("<=") => self.sign("<"),
            '>' if !self.rest().starts_with(">=") => self.sign(">"),
            _ => match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
                Some(sign) => self.sign(sign),
                None => return self.error(format!("token recognition error at: '{first}'")),
            },
        };
        Ok(Token { word, at })
    }

    fn sign(&mut self, sign: &'static str) -> Word {
        self.at += sign.len();
        Word::Sign(sign)
    }

    fn name(&mut self) -> Result<Word, ParseError> {
        let start = self.at;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if matches!(self.peek(), Some('"' | '\'')) {
            let (raw, bytes) = match name.to_ascii_lowercase().as_str() {
                "r" => (true, false),
                "b" => (false, true),
                "br" | "rb" => (true, true),
                _ => return Ok(Word::Ident(name)),
            };
            let text = self.text(raw)?;
            return Ok(if bytes { Word::Bytes(text.into_bytes()) } else { Word::Text(text) });
        }
        debug_assert!(self.at > start);
        Ok(Word::Ident(name))
    }

    fn number(&mut self) -> Result<Word, ParseError> {
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit());
            let Ok(value) = u64::from_str_radix(&digits, 16) else {
                return self.error("invalid int literal");
            };
            return Ok(self.whole(value.to_string()));
        }
        let mut text = self.take_while(|c| c.is_ascii_digit());
        let mut is_double = false;
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            self.at += 1;
            is_double = true;
            text = format!("{text}.{}", self.take_while(|c| c.is_ascii_digit()));
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            is_double = true;
            let sign = self.take_while(|c| matches!(c, '+' | '-'));
            text = format!("{text}e{sign}{}", self.take_while(|c| c.is_ascii_digit()));
        }
        if !is_double {
            return Ok(self.whole(text));
        }
        match format!("0{text}").parse() {
            Ok(value) => Ok(Word::Double(value)),
            Err(_) => self.error("invalid double literal"),
        }
    }

    fn whole(&mut self, digits: String) -> Word {
        if matches!(self.peek(), Some('u' | 'U')) {
            self.at += 1;
            return Word::Uint(digits);
        }
        Word::Int(digits)
    }

    fn text(&mut self, raw: bool) -> Result<String, ParseError> {
        let quote = if self.rest().starts_with("\"\"\"") {
            "\"\"\""
        } else if self.rest().starts_with("'''") {
            "'''"
        } else if self.rest().starts_with('"') {
            "\""
        } else {
            "'"
        };
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(text);
            }
            match self.peek() {
                None => return self.error("unterminated string literal"),
                Some('\n') if quote.len() == 1 => return self.error("unterminated string literal"),
                Some('\\') if !raw => self.escape(&mut text)?,
                Some(c) => {
                    self.at += c.len_utf8();
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), ParseError> {
        self.at += 1;
        let Some(c) = self.peek() else { return self.error("unterminated string literal") };
        self.at += c.len_utf8();
        let plain = match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '?' | '"' | '\'' | '`' => c,
            'x' | 'X' => self.code(2, 16)?,
            'u' => self.code(4, 16)?,
            'U' => self.code(8, 16)?,
            '0'..='3' => {
                self.at -= 1;
                self.code(3, 8)?
            }
            _ => return self.error("invalid escape sequence"),
        };
        text.push(plain);
        Ok(())
    }

    fn code(&mut self, digits: usize, base: u32) -> Result<char, ParseError> {
        let text = self.rest().get(..digits);
        let code = text.and_then(|text| u32::from_str_radix(text, base).ok()).and_then(char::from_u32);
        self.at += digits.min(self.rest().len());
        match code {
            Some(code) => Ok(code),
            None => self.error("invalid escape sequence"),
        }
    }
}
