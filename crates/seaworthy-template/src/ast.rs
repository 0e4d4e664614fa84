//! The syntax tree, and how each node is written back: error messages quote expressions in that form.

use std::fmt;
use std::rc::Rc;

use crate::value::Value;

/// A byte offset into the text of the tree.
pub type Pos = usize;

/// One parsed template: a file, a `define`, or text given to `tpl`.
pub struct Tree {
    /// What `include` calls it.
    pub name: String,
    /// The file it was written in.
    pub file: Rc<str>,
    pub source: Rc<str>,
    pub root: Vec<Node>,
}

pub enum Node {
    Text(String),
    Action(Pos, Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: Pos, name: String, pipe: Option<Pipe> },
    Break,
    Continue,
}

pub struct Branch {
    pub pipe: Pipe,
    pub list: Vec<Node>,
    pub otherwise: Option<Vec<Node>>,
}

/// `$a, $b := command | command`.
pub struct Pipe {
    pub pos: Pos,
    pub declare: Vec<Rc<str>>,
    pub is_assign: bool,
    pub commands: Vec<Command>,
}

pub struct Command {
    pub pos: Pos,
    pub args: Vec<Expr>,
}

pub struct Expr {
    pub pos: Pos,
    pub kind: ExprKind,
}

pub enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    /// The text as written and the constant it stands for.
    Number(String, Number),
    Str(String, Value),
    /// `.a.b`
    Field(Vec<Rc<str>>),
    /// `$x.a.b`
    Variable(Rc<str>, Vec<Rc<str>>),
    Identifier(Rc<str>),
    Pipe(Box<Pipe>),
    /// `(pipeline).a.b`
    Chain(Box<Expr>, Vec<Rc<str>>),
}

/// What a numeric literal can be used as.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Number {
    pub int: Option<i64>,
    pub float: Option<f64>,
    /// Written as a float, so that `1.0` stays one when nobody asks for an integer.
    pub prefers_float: bool,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(b) => write!(f, "{b}"),
            ExprKind::Number(text, _) | ExprKind::Str(text, _) => f.write_str(text),
            ExprKind::Field(names) => names.iter().try_for_each(|name| write!(f, ".{name}")),
            ExprKind::Variable(name, fields) => {
                f.write_str(name)?;
                fields.iter().try_for_each(|field| write!(f, ".{field}"))
            }
            ExprKind::Identifier(name) => f.write_str(name),
            ExprKind::Pipe(pipe) => write!(f, "({pipe})"),
            ExprKind::Chain(expr, fields) => {
                write!(f, "{expr}")?;
                fields.iter().try_for_each(|field| write!(f, ".{field}"))
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{arg}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.declare.is_empty() {
            f.write_str(&self.declare.join(", "))?;
            f.write_str(if self.is_assign { " = " } else { " := " })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{command}")?;
        }
        Ok(())
    }
}

impl Tree {
    /// Line (from 1) and column (from 0, in bytes) of an offset, as Go counts them.
    pub fn place(&self, pos: Pos) -> (usize, usize) {
        let before = &self.source.as_bytes()[..pos.min(self.source.len())];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column =
            before.iter().rposition(|b| *b == b'\n').map_or(before.len(), |at| before.len() - at - 1);
        (line, column)
    }

    /// Only blanks and comments: such a definition never replaces another.
    pub fn is_blank(&self) -> bool {
        self.root.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
    }
}
