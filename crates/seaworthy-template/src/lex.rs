//! Splits template text into tokens, with Go's trim markers, comments and error sentences.
//!
//! The parser asks for one token at a time through [`Lexer::next`]; after an error token nothing follows.

/// Kinds of tokens. Keywords have their own kind; their text is in [`Token::text`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Error,
    Eof,
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Assign,
    Declare,
    Pipe,
    Char,
    LeftParen,
    RightParen,
    Dot,
    Field,
    Variable,
    Identifier,
    Bool,
    Nil,
    Number,
    CharConstant,
    Str,
    RawStr,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

impl Kind {
    pub fn is_keyword(self) -> bool {
        matches!(
            self,
            Kind::Block
                | Kind::Break
                | Kind::Continue
                | Kind::Define
                | Kind::Else
                | Kind::End
                | Kind::If
                | Kind::Range
                | Kind::Template
                | Kind::With
                | Kind::Dot
                | Kind::Nil
        )
    }
}

/// A token: its kind, text, byte offset and line (first line is 1).
#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub pos: usize,
    pub line: usize,
}

/// The lexer over one template text.
pub struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    start_line: usize,
    inside_action: bool,
    paren_depth: usize,
    failed: bool,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn left_trim_marker(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn right_trim_marker(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(is_space) && chars.next() == Some('-')
}

impl<'a> Lexer<'a> {
    pub fn new(input: &'a str) -> Self {
        Lexer { input, pos: 0, start: 0, start_line: 1, inside_action: false, paren_depth: 0, failed: false }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|c| valid.contains(c));
        if found {
            self.bump();
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn skip(&mut self) {
        self.start_line += self.input[self.start..self.pos].matches('\n').count();
        self.start = self.pos;
    }

    fn emit(&mut self, kind: Kind) -> Token {
        let text = self.input[self.start..self.pos].to_owned();
        let token = Token { kind, text, pos: self.start, line: self.start_line };
        self.skip();
        token
    }

    fn error(&mut self, message: impl Into<String>) -> Token {
        self.failed = true;
        Token { kind: Kind::Error, text: message.into(), pos: self.start, line: self.start_line }
    }

    fn bad_character(&mut self) -> Token {
        match self.peek() {
            Some(c) => self.error(format!("bad character {}", code_point(c))),
            None => self.error("bad character U+FFFFFFFFFFFFFFFF"),
        }
    }

    /// The next token.
    pub fn next(&mut self) -> Token {
        if self.failed {
            return Token { kind: Kind::Eof, text: "EOF".into(), pos: self.start, line: self.start_line };
        }
        if self.inside_action { self.inside() } else { self.text() }
    }

    fn text(&mut self) -> Token {
        loop {
            let Some(offset) = self.rest().find(LEFT) else {
                if self.rest().is_empty() {
                    return Token {
                        kind: Kind::Eof,
                        text: "EOF".into(),
                        pos: self.pos,
                        line: self.start_line,
                    };
                }
                self.pos = self.input.len();
                return self.emit(Kind::Text);
            };
            let delim = self.pos + offset;
            let text = &self.input[self.start..delim];
            let trimmed = left_trim_marker(&self.input[delim + LEFT.len()..]);
            let keep = if trimmed { text.trim_end_matches(SPACES).len() } else { text.len() };
            self.pos = self.start + keep;
            let token = (keep > 0).then(|| self.emit(Kind::Text));
            self.pos = delim;
            self.skip();
            if let Some(token) = token {
                return token;
            }
            let after = delim + LEFT.len() + if trimmed { 2 } else { 0 };
            if self.input[after..].starts_with("/*") {
                self.pos = after;
                self.skip();
                if let Some(error) = self.comment() {
                    return error;
                }
                continue;
            }
            self.pos = delim + LEFT.len();
            let token = self.emit(Kind::LeftDelim);
            self.pos = after;
            self.skip();
            self.inside_action = true;
            self.paren_depth = 0;
            return token;
        }
    }

    fn comment(&mut self) -> Option<Token> {
        let Some(end) = self.rest()[2..].find("*/") else {
            return Some(self.error("unclosed comment"));
        };
        self.pos += 2 + end + 2;
        let Some(trim) = self.at_right_delim() else {
            return Some(self.error("comment ends before closing delimiter"));
        };
        self.pass_right_delim(trim);
        self.skip();
        None
    }

    /// `Some(trims)` when a closing delimiter stands here.
    fn at_right_delim(&self) -> Option<bool> {
        if right_trim_marker(self.rest()) && self.rest()[2..].starts_with(RIGHT) {
            return Some(true);
        }
        self.rest().starts_with(RIGHT).then_some(false)
    }

    fn pass_right_delim(&mut self, trim: bool) {
        self.pos += RIGHT.len() + if trim { 2 } else { 0 };
        if trim {
            self.pos += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
        }
    }

    fn right_delim(&mut self, trim: bool) -> Token {
        if trim {
            self.pos += 2;
            self.skip();
        }
        self.pos += RIGHT.len();
        let token = self.emit(Kind::RightDelim);
        if trim {
            self.pos += self.rest().len() - self.rest().trim_start_matches(SPACES).len();
            self.skip();
        }
        self.inside_action = false;
        token
    }

    fn inside(&mut self) -> Token {
        if let Some(trim) = self.at_right_delim() {
            return if self.paren_depth == 0 {
                self.right_delim(trim)
            } else {
                self.error("unclosed left paren")
            };
        }
        let Some(c) = self.bump() else {
            return self.error("unclosed action");
        };
        match c {
            c if is_space(c) => self.spaces(),
            '=' => self.emit(Kind::Assign),
            ':' if self.bump() == Some('=') => self.emit(Kind::Declare),
            ':' => self.error("expected :="),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::Str, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw_string(),
            '$' => self.field_or_variable(Kind::Variable),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.field_or_variable(Kind::Field),
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                self.number()
            }
            '(' => {
                self.paren_depth += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.paren_depth == 0 => self.error("unexpected right paren"),
            ')' => {
                self.paren_depth -= 1;
                self.emit(Kind::RightParen)
            }
            c if is_alphanumeric(c) => self.identifier(),
            ' '..='~' => self.emit(Kind::Char),
            c => self.error(format!("unrecognized character in action: {}", code_point(c))),
        }
    }

    fn spaces(&mut self) -> Token {
        while self.peek().is_some_and(is_space) {
            self.bump();
        }
        // The last space may belong to a closing trim marker.
        let last = self.pos - 1;
        if right_trim_marker(&self.input[last..]) && self.input[last + 2..].starts_with(RIGHT) {
            self.pos = last;
            if self.pos == self.start {
                return self.inside();
            }
        }
        self.emit(Kind::Space)
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn identifier(&mut self) -> Token {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        if !self.at_terminator() {
            return self.bad_character();
        }
        let kind = match &self.input[self.start..self.pos] {
            "block" => Kind::Block,
            "break" => Kind::Break,
            "continue" => Kind::Continue,
            "define" => Kind::Define,
            "else" => Kind::Else,
            "end" => Kind::End,
            "if" => Kind::If,
            "range" => Kind::Range,
            "template" => Kind::Template,
            "with" => Kind::With,
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    fn field_or_variable(&mut self, kind: Kind) -> Token {
        if self.at_terminator() {
            return self.emit(if kind == Kind::Variable { kind } else { Kind::Dot });
        }
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        if self.at_terminator() { self.emit(kind) } else { self.bad_character() }
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Token {
        loop {
            match self.bump() {
                Some('\\') => {
                    if matches!(self.bump(), None | Some('\n')) {
                        return self.error(unterminated);
                    }
                }
                None | Some('\n') => return self.error(unterminated),
                Some(c) if c == quote => return self.emit(kind),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Token {
        loop {
            match self.bump() {
                None => return self.error("unterminated raw quoted string"),
                Some('`') => return self.emit(Kind::RawStr),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Token {
        if self.scan_number() && !matches!(self.peek(), Some('+' | '-')) {
            return self.emit(Kind::Number);
        }
        let text = crate::gofmt::quote(&self.input.as_bytes()[self.start..self.pos]);
        self.error(format!("bad number syntax: {text}"))
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => "eE",
            23 => "pP",
            _ => "",
        };
        if self.accept(exponent) {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            return false;
        }
        true
    }
}

/// Go's `%#U`: the code point and, when printable, the character.
fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", c as u32)
}
