//! From words to a tree, macros included. Nesting is bounded, so that walking the tree needs a bounded stack.

use super::ParseError;
use super::lexer::{Token, Word, tokens};

/// Deepest nesting of an expression.
const MAX_DEPTH: usize = 100;
/// Longest source.
const MAX_LENGTH: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Ident(String),
    /// `a.b`, or with `true` the optional `a.?b`.
    Select(Box<Expr>, String, bool),
    /// `has(a.b)`
    Has(Box<Expr>, String),
    /// `a[b]`, or with `true` the optional `a[?b]`.
    Index(Box<Expr>, Box<Expr>, bool),
    Call(Option<Box<Expr>>, String, Vec<Expr>),
    /// Items, each with whether it is optional.
    List(Vec<(Expr, bool)>),
    Map(Vec<(Expr, Expr, bool)>),
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Choice(Box<Expr>, Box<Expr>, Box<Expr>),
    Loop(Box<Loop>),
    /// `cel.bind(name, value, body)`
    Bind(String, Box<Expr>, Box<Expr>),
    /// `value.optMap(name, body)`; with `true` the body is optional itself.
    Optional(Box<Expr>, String, Box<Expr>, bool),
}

/// A macro over the items of a list or the keys of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loop {
    pub over: Expr,
    /// Item or key; with two names index or key, and value.
    pub names: Vec<String>,
    pub kind: LoopKind,
    pub filter: Option<Expr>,
    pub body: Expr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformMap,
    SortBy,
}

pub(super) fn parse(source: &str) -> Result<Expr, ParseError> {
    if source.len() > MAX_LENGTH {
        return Err(ParseError::new(source, 0, "the expression is too long"));
    }
    let mut parser = Parser { source, tokens: tokens(source)?, next: 0, depth: 0 };
    let expr = parser.expr()?;
    match parser.peek() {
        Word::End => Ok(expr),
        other => {
            let other = describe(other);
            parser.fail(format!("Syntax error: mismatched input '{other}' expecting <EOF>"))
        }
    }
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Word {
        self.tokens.get(self.next).map_or(&Word::End, |token| &token.word)
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Word::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), ParseError> {
        if self.take(sign) {
            return Ok(());
        }
        let found = describe(self.peek());
        self.fail(format!("Syntax error: mismatched input '{found}' expecting '{sign}'"))
    }

    fn fail<T>(&self, why: impl Into<String>) -> Result<T, ParseError> {
        let at = self.tokens.get(self.next).map_or(self.source.len(), |token| token.at);
        Err(ParseError::new(self.source, at, why))
    }

    fn expr(&mut self) -> Result<Expr, ParseError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.fail("expression recursion limit exceeded");
        }
        let condition = self.binary(0)?;
        let expr = match self.take("?") {
            false => condition,
            true => {
                let yes = self.binary(0)?;
                self.expect(":")?;
                let no = self.expr()?;
                Expr::Choice(condition.into(), yes.into(), no.into())
            }
        };
        self.depth -= 1;
        Ok(expr)
    }

    /// Operators by how tightly they bind, loosest first; all of them group to the left.
    fn binary(&mut self, level: usize) -> Result<Expr, ParseError> {
        const LEVELS: [&[&str]; 5] =
            [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">", "in"], &["+", "-"], &["*", "/", "%"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        let mut chained = 0;
        while let Some(sign) = signs.iter().copied().find(|sign| self.is_operator(sign)) {
            self.next += 1;
            chained += 1;
            // A long chain leans to the left, which is depth too.
            if chained > MAX_DEPTH * 4 {
                return self.fail("expression recursion limit exceeded");
            }
            left = Expr::Binary(sign, left.into(), self.binary(level + 1)?.into());
        }
        Ok(left)
    }

    fn is_operator(&self, sign: &str) -> bool {
        self.is(sign) || (sign == "in" && matches!(self.peek(), Word::Ident(word) if word == "in"))
    }

    fn unary(&mut self) -> Result<Expr, ParseError> {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            signs.push(self.is("!"));
            self.next += 1;
            if signs.len() > MAX_DEPTH {
                return self.fail("expression recursion limit exceeded");
            }
        }
        // The smallest number is one below what its digits alone could say.
        if let (Some(false), Word::Int(digits)) = (signs.last(), self.peek().clone())
            && let Ok(value) = format!("-{digits}").parse()
        {
            self.next += 1;
            signs.pop();
            let member = self.member(Expr::Int(value))?;
            return Ok(apply(signs, member));
        }
        let primary = self.primary()?;
        let member = self.member(primary)?;
        Ok(apply(signs, member))
    }

    fn member(&mut self, mut left: Expr) -> Result<Expr, ParseError> {
        let mut chained = 0;
        loop {
            chained += 1;
            if chained > MAX_DEPTH {
                return self.fail("expression recursion limit exceeded");
            }
            let optional = self.is(".?") || self.is("[?");
            if self.take(".") || self.take(".?") {
                let name = self.ident()?;
                left = match self.take("(") {
                    true => {
                        let args = self.list(")")?;
                        self.method(left, name, args)?
                    }
                    false => Expr::Select(left.into(), name, optional),
                };
            } else if self.take("[") || self.take("[?") {
                let index = self.expr()?;
                self.expect("]")?;
                left = Expr::Index(left.into(), index.into(), optional);
            } else {
                return Ok(left);
            }
        }
    }

    fn ident(&mut self) -> Result<String, ParseError> {
        match self.peek().clone() {
            Word::Ident(name) => {
                self.next += 1;
                Ok(name)
            }
            other => self
                .fail(format!("Syntax error: mismatched input '{}' expecting IDENTIFIER", describe(&other))),
        }
    }

    fn list(&mut self, end: &'static str) -> Result<Vec<Expr>, ParseError> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expr()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let word = self.peek().clone();
        self.next += 1;
        Ok(match word {
            Word::Sign("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                inner
            }
            Word::Sign("[") => {
                let mut items = Vec::new();
                while !self.take("]") {
                    let optional = self.take("?");
                    items.push((self.expr()?, optional));
                    if !self.take(",") {
                        self.expect("]")?;
                        break;
                    }
                }
                Expr::List(items)
            }
            // `[?x]` at the start of a list is one sign to the lexer.
            Word::Sign("[?") => {
                let mut items = vec![(self.expr()?, true)];
                while self.take(",") && !self.is("]") {
                    let optional = self.take("?");
                    items.push((self.expr()?, optional));
                }
                self.expect("]")?;
                Expr::List(items)
            }
            Word::Sign(open @ ("{" | "{?")) => self.map(open == "{?")?,
            // A leading dot names the root, which is where names are looked up anyway.
            Word::Sign(".") => {
                let name = self.ident()?;
                self.named(name)?
            }
            Word::Int(digits) => match digits.parse() {
                Ok(value) => Expr::Int(value),
                Err(_) => return self.fail("invalid int literal"),
            },
            Word::Uint(digits) => match digits.parse() {
                Ok(value) => Expr::Uint(value),
                Err(_) => return self.fail("invalid uint literal"),
            },
            Word::Double(value) => Expr::Double(value),
            Word::Text(text) => Expr::Text(text),
            Word::Bytes(bytes) => Expr::Bytes(bytes),
            Word::Ident(name) => self.named(name)?,
            other => {
                self.next -= 1;
                return self.fail(format!("Syntax error: mismatched input '{}'", describe(&other)));
            }
        })
    }

    fn map(&mut self, mut optional: bool) -> Result<Expr, ParseError> {
        let mut entries = Vec::new();
        while !self.take("}") {
            optional = self.take("?") || optional;
            let key = self.expr()?;
            self.expect(":")?;
            entries.push((key, self.expr()?, optional));
            optional = false;
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(Expr::Map(entries))
    }

    fn named(&mut self, name: String) -> Result<Expr, ParseError> {
        match name.as_str() {
            "true" => return Ok(Expr::Bool(true)),
            "false" => return Ok(Expr::Bool(false)),
            "null" => return Ok(Expr::Null),
            "in" | "as" | "break" | "const" | "continue" | "else" | "for" | "function" | "if" | "import"
            | "let" | "loop" | "package" | "namespace" | "return" | "var" | "void" | "while" => {
                return self.fail(format!("reserved identifier: {name}"));
            }
            _ => {}
        }
        if !self.take("(") {
            return Ok(Expr::Ident(name));
        }
        let mut args = self.list(")")?;
        if name == "has" {
            return match (args.pop(), args.is_empty()) {
                (Some(Expr::Select(of, field, false)), true) => Ok(Expr::Has(of, field)),
                _ => self.fail("invalid argument to has() macro"),
            };
        }
        Ok(Expr::Call(None, name, args))
    }

    fn method(&mut self, target: Expr, name: String, args: Vec<Expr>) -> Result<Expr, ParseError> {
        let is_cel = matches!(&target, Expr::Ident(module) if module == "cel");
        let kind = match (name.as_str(), args.len()) {
            ("bind", 3) if is_cel => {
                let mut args = args.into_iter();
                let (Some(Expr::Ident(name)), Some(value), Some(body)) =
                    (args.next(), args.next(), args.next())
                else {
                    return self.fail("cel.bind() variable names must be simple identifiers");
                };
                return Ok(Expr::Bind(name, value.into(), body.into()));
            }
            ("optMap" | "optFlatMap", 2) => {
                let flat = name == "optFlatMap";
                let mut args = args.into_iter();
                let (Some(Expr::Ident(name)), Some(body)) = (args.next(), args.next()) else {
                    return self.fail("optMap() variable name must be a simple identifier");
                };
                return Ok(Expr::Optional(target.into(), name, body.into(), flat));
            }
            ("all", 2 | 3) => LoopKind::All,
            ("exists", 2 | 3) => LoopKind::Exists,
            ("exists_one" | "existsOne", 2 | 3) => LoopKind::ExistsOne,
            ("map", 2 | 3) | ("transformList", 3 | 4) => LoopKind::Map,
            ("filter", 2) => LoopKind::Filter,
            ("transformMap", 3 | 4) => LoopKind::TransformMap,
            ("sortBy", 2) => LoopKind::SortBy,
            _ => return Ok(Expr::Call(Some(target.into()), name, args)),
        };
        let two =
            matches!(name.as_str(), "transformList" | "transformMap") || (name != "map" && args.len() == 3);
        let mut args = args.into_iter();
        let mut names = Vec::new();
        for _ in 0..if two { 2 } else { 1 } {
            match args.next() {
                Some(Expr::Ident(name)) => names.push(name),
                _ => return self.fail("argument must be a simple name"),
            }
        }
        let mut rest: Vec<Expr> = args.collect();
        let Some(body) = rest.pop() else { return self.fail("argument is missing") };
        Ok(Expr::Loop(Box::new(Loop { over: target, names, kind, filter: rest.pop(), body })))
    }
}

fn apply(signs: Vec<bool>, expr: Expr) -> Expr {
    signs.into_iter().rev().fold(expr, |expr, is_not| match is_not {
        true => Expr::Not(expr.into()),
        false => Expr::Negate(expr.into()),
    })
}

fn describe(word: &Word) -> String {
    match word {
        Word::Ident(text) | Word::Int(text) | Word::Uint(text) => text.clone(),
        Word::Double(value) => value.to_string(),
        Word::Text(text) => format!("\"{text}\""),
        Word::Bytes(_) => "bytes".to_owned(),
        Word::Sign(sign) => (*sign).to_owned(),
        Word::End => "<EOF>".to_owned(),
    }
}
