//! Tokens to syntax trees. One text yields one tree per `define` and `block`, and the text itself.
//!
//! Start at [`parse`]. Names of functions are checked here, as Go does, so that a typo fails before rendering.

use std::rc::Rc;

use crate::ast::{Branch, Command, Expr, ExprKind, Node, Number, Pipe, Pos, Tree};
use crate::error::ParseError;
use crate::gofmt::{quote, unquote};
use crate::lex::{Kind, Lexer, Token};
use crate::value::Value;

/// Deepest nesting of parentheses and blocks; Go allows more, honest charts use a dozen.
const MAX_NESTING: usize = 500;

/// Parses `text` as the template `name`; the first tree is the text itself.
pub fn parse(name: &str, text: &str, is_function: &dyn Fn(&str) -> bool) -> Result<Vec<Tree>, ParseError> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        ahead: Vec::new(),
        file: Rc::from(name),
        source: Rc::from(text),
        vars: vec!["$".into()],
        range_depth: 0,
        nesting: 0,
        line: 1,
        defined: Vec::new(),
        is_function,
    };
    let root = parser.top()?;
    let mut trees = vec![parser.tree(name.to_owned(), root)];
    trees.append(&mut parser.defined);
    Ok(trees)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Vec<Token>,
    file: Rc<str>,
    source: Rc<str>,
    vars: Vec<Rc<str>>,
    range_depth: usize,
    nesting: usize,
    line: usize,
    defined: Vec<Tree>,
    is_function: &'a dyn Fn(&str) -> bool,
}

/// What ended a list of nodes.
enum Stop {
    End,
    /// `else`, or `else if` / `else with` when the keyword follows.
    Else(Option<Kind>),
}

enum Item {
    Node(Node),
    Stop(Stop),
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    fn tree(&self, name: String, root: Vec<Node>) -> Tree {
        Tree { name, file: self.file.clone(), source: self.source.clone(), root }
    }

    fn next(&mut self) -> Token {
        let token = self.ahead.pop().unwrap_or_else(|| self.lexer.next());
        self.line = token.line;
        token
    }

    fn back(&mut self, token: Token) {
        self.ahead.push(token);
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.back(token.clone());
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.back(token.clone());
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(ParseError { template: self.file.to_string(), line: self.line, message: message.into() })
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind == Kind::Error {
            return self.error(token.text.clone());
        }
        let shown = match token.kind {
            Kind::Eof => "EOF".to_owned(),
            kind if kind.is_keyword() => format!("<{}>", token.text),
            _ if token.text.len() > 10 => {
                let short: String = token.text.chars().take(10).collect();
                format!("{}...", quote(short.as_bytes()))
            }
            _ => quote(token.text.as_bytes()),
        };
        self.error(format!("unexpected {shown} in {context}"))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn enter(&mut self) -> Parsed<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING { self.error("max expression depth exceeded") } else { Ok(()) }
    }

    fn top(&mut self) -> Parsed<Vec<Node>> {
        let mut root = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::Eof => return Ok(root),
                Kind::LeftDelim => {
                    let delim = self.next();
                    let keyword = self.next_non_space();
                    if keyword.kind == Kind::Define {
                        self.definition()?;
                        continue;
                    }
                    self.back(keyword);
                    self.back(delim);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => root.push(node),
                Item::Stop(Stop::End) => return self.error("unexpected {{end}}"),
                Item::Stop(Stop::Else(_)) => return self.error("unexpected {{else}}"),
            }
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "define clause")?;
        self.expect(Kind::RightDelim, "define clause")?;
        let root = self.own_scope(|parser| parser.list_until_end("define clause"))?;
        self.define(name, root)
    }

    /// Within one text a name may be defined once; blank definitions do not count.
    fn define(&mut self, name: String, root: Vec<Node>) -> Parsed<()> {
        let tree = self.tree(name, root);
        let taken = self.defined.iter().any(|other| other.name == tree.name && !other.is_blank());
        if taken && !tree.is_blank() {
            let name = quote(tree.name.as_bytes());
            return self.error(format!("template: multiple definition of template {name}"));
        }
        if !taken || !tree.is_blank() {
            self.defined.push(tree);
        }
        Ok(())
    }

    /// A definition sees none of the variables around it.
    fn own_scope<T>(&mut self, body: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let vars = std::mem::replace(&mut self.vars, vec!["$".into()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let result = body(self);
        self.vars = vars;
        self.range_depth = range_depth;
        result
    }

    fn list_until_end(&mut self, context: &str) -> Parsed<Vec<Node>> {
        match self.item_list()? {
            (list, Stop::End) => Ok(list),
            (_, Stop::Else(_)) => self.error(format!("unexpected {{{{else}}}} in {context}")),
        }
    }

    fn item_list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        self.enter()?;
        let mut list = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => list.push(node),
                Item::Stop(stop) => {
                    self.nesting -= 1;
                    return Ok((list, stop));
                }
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::LeftDelim => self.action(),
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break | Kind::Continue => self.loop_control(&token)?,
            Kind::Else => return self.else_control().map(Item::Stop),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Kind::If => Node::If(self.control(Kind::If)?),
            Kind::With => Node::With(self.control(Kind::With)?),
            Kind::Range => Node::Range(self.control(Kind::Range)?),
            Kind::Template => self.template()?,
            _ => {
                let pos = token.pos;
                self.back(token);
                Node::Action(pos, self.scoped_pipeline("command", Kind::RightDelim)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, keyword: &Token) -> Parsed<Node> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, &format!("{{{{{}}}}}", keyword.text));
        }
        if self.range_depth == 0 {
            return self.error(format!("{{{{{}}}}} outside {{{{range}}}}", keyword.text));
        }
        Ok(if keyword.kind == Kind::Break { Node::Break } else { Node::Continue })
    }

    fn else_control(&mut self) -> Parsed<Stop> {
        let token = self.peek_non_space();
        if matches!(token.kind, Kind::If | Kind::With) {
            return Ok(Stop::Else(Some(token.kind)));
        }
        self.expect(Kind::RightDelim, "else")?;
        Ok(Stop::Else(None))
    }

    fn control(&mut self, kind: Kind) -> Parsed<Branch> {
        let context = match kind {
            Kind::If => "if",
            Kind::With => "with",
            _ => "range",
        };
        let vars = self.vars.len();
        let pipe = self.scoped_pipeline(context, Kind::RightDelim)?;
        self.range_depth += usize::from(kind == Kind::Range);
        let (list, stop) = self.item_list()?;
        self.range_depth -= usize::from(kind == Kind::Range);
        let otherwise = match stop {
            Stop::End => None,
            Stop::Else(Some(next)) if next == kind => Some(vec![self.else_chain(kind)?]),
            Stop::Else(Some(_)) => {
                let token = self.peek_non_space();
                return self.unexpected(&token, "input");
            }
            Stop::Else(None) => match self.item_list()? {
                (list, Stop::End) => Some(list),
                _ => return self.error("expected end; found {{else}}"),
            },
        };
        self.vars.truncate(vars);
        Ok(Branch { pipe, list, otherwise })
    }

    fn else_chain(&mut self, kind: Kind) -> Parsed<Node> {
        self.next_non_space();
        self.enter()?;
        let branch = self.control(kind)?;
        self.nesting -= 1;
        Ok(if kind == Kind::If { Node::If(branch) } else { Node::With(branch) })
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "block clause")?;
        let pipe = self.scoped_pipeline("block clause", Kind::RightDelim)?;
        let root = self.own_scope(|parser| parser.list_until_end("block clause"))?;
        self.define(name.clone(), root)?;
        Ok(Node::Template { pos: token.pos, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Parsed<Node> {
        let token = self.next_non_space();
        let name = self.template_name(&token, "template clause")?;
        let next = self.next_non_space();
        if next.kind == Kind::RightDelim {
            return Ok(Node::Template { pos: token.pos, name, pipe: None });
        }
        self.back(next);
        let pipe = self.scoped_pipeline("template clause", Kind::RightDelim)?;
        Ok(Node::Template { pos: token.pos, name, pipe: Some(pipe) })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Parsed<String> {
        match token.kind {
            Kind::Str | Kind::RawStr => match unquote(&token.text) {
                Some(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                None => self.error("invalid syntax"),
            },
            _ => self.unexpected(token, context),
        }
    }

    fn scoped_pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let first = self.peek_non_space();
        let mut pipe = Pipe { pos: first.pos, declare: Vec::new(), is_assign: false, commands: Vec::new() };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawStr
                | Kind::Str
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    /// One `$name :=`, `$name =` or `$name,`; true when another declaration may follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.next_non_space();
        if variable.kind != Kind::Variable {
            self.back(variable);
            return Ok(false);
        }
        let after = self.next();
        let space = after.kind == Kind::Space;
        let sign = if space { self.next_non_space() } else { after.clone() };
        let comma = sign.kind == Kind::Char && sign.text == ",";
        if !comma && !matches!(sign.kind, Kind::Assign | Kind::Declare) {
            self.back(sign);
            if space {
                self.back(after);
            }
            self.back(variable);
            return Ok(false);
        }
        let name: Rc<str> = variable.text.into();
        pipe.declare.push(name.clone());
        self.vars.push(name);
        if !comma {
            pipe.is_assign = sign.kind == Kind::Assign;
            return Ok(false);
        }
        if context == "range" && pipe.declare.len() < 2 {
            return match self.peek_non_space().kind {
                Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                _ => self.error("range can only initialize variables"),
            };
        }
        self.error(format!("too many declarations in {context}"))
    }

    fn check_pipeline(&mut self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.args[0].kind,
                ExprKind::Bool(_) | ExprKind::Dot | ExprKind::Nil | ExprKind::Number(..) | ExprKind::Str(..)
            ) {
                return self.error(format!("non executable command in pipeline stage {}", i + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { pos: self.peek_non_space().pos, args: Vec::new() };
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                command.args.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.back(token),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.args.is_empty() { self.error("empty command") } else { Ok(command) }
    }

    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(term) = self.term()? else { return Ok(None) };
        let pos = self.peek().pos;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(Rc::from(&self.next().text[1..]));
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        let kind = match term.kind {
            ExprKind::Field(mut names) => {
                names.extend(fields);
                ExprKind::Field(names)
            }
            ExprKind::Variable(name, mut names) => {
                names.extend(fields);
                ExprKind::Variable(name, names)
            }
            ExprKind::Bool(_) | ExprKind::Str(..) | ExprKind::Number(..) | ExprKind::Nil | ExprKind::Dot => {
                let term = quote(term.to_string().as_bytes());
                return self.error(format!("unexpected . after term {term}"));
            }
            _ => ExprKind::Chain(Box::new(term), fields),
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let token = self.next_non_space();
        let pos = token.pos;
        let kind = match token.kind {
            Kind::Identifier if !(self.is_function)(&token.text) => {
                return self.error(format!("function {} not defined", quote(token.text.as_bytes())));
            }
            Kind::Identifier => ExprKind::Identifier(token.text.into()),
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Variable => return self.use_variable(pos, &token.text).map(Some),
            Kind::Field => ExprKind::Field(vec![Rc::from(&token.text[1..])]),
            Kind::Bool => ExprKind::Bool(token.text == "true"),
            Kind::Number | Kind::CharConstant => match number(&token) {
                Ok(number) => ExprKind::Number(token.text, number),
                Err(reason) => return self.error(reason),
            },
            Kind::LeftParen => return self.parenthesized().map(Some),
            Kind::Str | Kind::RawStr => match unquote(&token.text) {
                Some(bytes) => ExprKind::Str(token.text, Value::str(bytes)),
                None => return self.error("invalid syntax"),
            },
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Expr { pos, kind }))
    }

    fn parenthesized(&mut self) -> Parsed<Expr> {
        self.enter()?;
        let pipe = self.scoped_pipeline("parenthesized pipeline", Kind::RightParen)?;
        self.nesting -= 1;
        Ok(Expr { pos: pipe.pos, kind: ExprKind::Pipe(Box::new(pipe)) })
    }

    fn use_variable(&mut self, pos: Pos, text: &str) -> Parsed<Expr> {
        let name: Rc<str> = text.into();
        if !self.vars.contains(&name) {
            return self.error(format!("undefined variable {}", quote(text.as_bytes())));
        }
        Ok(Expr { pos, kind: ExprKind::Variable(name, Vec::new()) })
    }
}

fn number(token: &Token) -> Result<Number, String> {
    if token.kind == Kind::CharConstant {
        return character(&token.text);
    }
    let illegal = || format!("illegal number syntax: {}", quote(token.text.as_bytes()));
    let plain = token.text.replace('_', "").to_ascii_lowercase();
    let digits = plain.trim_start_matches(['+', '-']);
    let hex = digits.starts_with("0x");
    let is_float = digits.contains(if hex { &['.', 'p'][..] } else { &['.', 'e'] });
    let int = crate::funcs::numbers::parse_go_int(&token.text);
    let float = match (hex, int) {
        (_, Some(n)) => Some(n as f64),
        (true, None) => hex_float(&plain),
        (false, None) => plain.parse::<f64>().ok().filter(|f| f.is_finite()),
    };
    let float = float.ok_or_else(illegal)?;
    if int.is_none() && !is_float && digits.parse::<u64>().is_err() {
        return Err(format!("integer overflow: {}", quote(token.text.as_bytes())));
    }
    // `1e3` may serve as an integer where one is asked for.
    let whole = is_float && float.fract() == 0.0 && float.abs() < 9.2e18;
    let int = int.or(whole.then_some(float as i64));
    Ok(Number { int, float: Some(float), prefers_float: is_float })
}

fn character(literal: &str) -> Result<Number, String> {
    let bytes = unquote(literal).ok_or("invalid syntax")?;
    let text = String::from_utf8_lossy(&bytes);
    let mut chars = text.chars();
    let code = i64::from(u32::from(chars.next().ok_or("invalid syntax")?));
    match chars.next() {
        Some(_) => Err(format!("malformed character constant: {literal}")),
        None => Ok(Number { int: Some(code), float: Some(code as f64), prefers_float: false }),
    }
}

/// `0x1.8p4`: a hexadecimal fraction times a power of two.
fn hex_float(text: &str) -> Option<f64> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = body.strip_prefix("0x")?.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.parse::<i32>().ok()?.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    Some(sign * value * 2f64.powi(exponent)).filter(|f| f.is_finite())
}
