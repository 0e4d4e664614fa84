//! The grammar of label selectors: `app=web,tier in (a, b),!old`.
//!
//! Start at [`parse`]. What is refused is refused in the words of a real API server.

use drydock_kinds::names;
use serde_json::Value;

use crate::meta;

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// One requirement of a label selector; all must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LabelTerm {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    /// `>` (true) or `<` of whole numbers.
    Compare(String, bool, i64),
}

impl LabelTerm {
    pub(super) fn matches(&self, object: &Value) -> bool {
        let found = |key: &str| meta::labels(object).find(|(name, _)| *name == key).map(|(_, value)| value);
        match self {
            Self::In(key, values) => {
                found(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Self::NotIn(key, values) => {
                !found(key).is_some_and(|value| values.iter().any(|wanted| wanted == value))
            }
            Self::Exists(key) => found(key).is_some(),
            Self::Absent(key) => found(key).is_none(),
            Self::Compare(key, greater, bound) => {
                let number = found(key).and_then(|value| value.parse::<i64>().ok());
                number.is_some_and(|number| if *greater { number > *bound } else { number < *bound })
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Symbol(&'t str),
    End,
}

impl<'t> Token<'t> {
    fn text(self) -> &'t str {
        match self {
            Self::Word(text) | Self::Symbol(text) => text,
            Self::End => "",
        }
    }
}

/// The requirements of a selector, or why it is none.
pub(super) fn parse(text: &str) -> Result<Vec<LabelTerm>, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens };
    let mut terms = Vec::new();
    loop {
        match parser.peek() {
            Token::End => return Ok(terms),
            Token::Word(_) | Token::Symbol("!") => {
                let term =
                    parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                terms.push(term);
            }
            other => {
                return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text()));
            }
        }
        match parser.next() {
            Token::End => return Ok(terms),
            Token::Symbol(",") => match parser.peek() {
                Token::Word(_) | Token::Symbol("!") => {}
                other => return Err(format!("found '{}', expected: identifier after ','", other.text())),
            },
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
    let is_symbol = |c: char| "=!(),><".contains(c);
    let is_space = |c: char| " \t\r\n".contains(c);
    let (mut rest, mut out) = (text.trim_start_matches(is_space), Vec::new());
    while !rest.is_empty() {
        let end = match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => {
                out.push(Token::Symbol(&rest[..symbol.len()]));
                symbol.len()
            }
            None => {
                let end = rest.find(|c| is_symbol(c) || is_space(c)).unwrap_or(rest.len());
                out.push(Token::Word(&rest[..end]));
                end
            }
        };
        rest = rest[end..].trim_start_matches(is_space);
    }
    Ok(out)
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Token<'t> {
        self.tokens.first().copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'t> {
        let token = self.peek();
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        token
    }

    fn requirement(&mut self) -> Result<LabelTerm, String> {
        let absent = self.peek() == Token::Symbol("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => checked_key(key)?,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        match (absent, self.peek()) {
            (true, _) => return Ok(LabelTerm::Absent(key)),
            (false, Token::End | Token::Symbol(",")) => return Ok(LabelTerm::Exists(key)),
            _ => {}
        }
        match self.next() {
            Token::Word("in") => Ok(LabelTerm::In(key, self.values()?)),
            Token::Word("notin") => Ok(LabelTerm::NotIn(key, self.values()?)),
            Token::Symbol("=" | "==") => Ok(LabelTerm::In(key, vec![self.value()?])),
            Token::Symbol("!=") => Ok(LabelTerm::NotIn(key, vec![self.value()?])),
            Token::Symbol(sign @ (">" | "<")) => {
                let value = self.value()?;
                let bound = value.parse().map_err(|_| {
                    format!("values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer")
                })?;
                Ok(LabelTerm::Compare(key, sign == ">", bound))
            }
            other => Err(format!("found '{}', expected: {OPERATORS}", other.text())),
        }
    }

    /// The one value behind a sign; nothing at all is the empty value.
    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Symbol(",") => Ok(String::new()),
            Token::Word(value) => {
                self.next();
                checked_value(value)
            }
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// `(a, b)`; a place left empty is the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let (mut out, mut expects) = (Vec::new(), true);
        loop {
            match self.next() {
                Token::Word(value) if expects => {
                    out.push(checked_value(value)?);
                    expects = false;
                }
                Token::Symbol(mark @ ("," | ")")) => {
                    if expects {
                        out.push(String::new());
                    }
                    if mark == ")" {
                        return Ok(out);
                    }
                    expects = true;
                }
                other if expects => {
                    return Err(format!("found '{}', expected: ',', ')' or identifier", other.text()));
                }
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

fn checked_key(key: &str) -> Result<String, String> {
    match names::qualified(key) {
        None => Ok(key.to_owned()),
        Some(why) => Err(format!("<nil>: Invalid value: {key:?}: {why}")),
    }
}

fn checked_value(value: &str) -> Result<String, String> {
    match names::label_value(value) {
        None => Ok(value.to_owned()),
        Some(why) => Err(format!("values[0][{value}]: Invalid value: {value:?}: {why}")),
    }
}
