//! Walks a syntax tree and writes text, with Go's evaluation rules.
//!
//! An [`Evaluator`] executes one template; `template`, `include` and `tpl` start another over the same
//! [`Runtime`], which holds what one rendering shares: limits, the clock, the cluster. How functions and
//! methods take their arguments is in `call.rs`.

use std::rc::Rc;

use crate::ast::{Branch, Command, Expr, ExprKind, Node, Number, Pipe, Pos, Tree};
use crate::engine::{Runtime, Scope};
use crate::error::{Error, ExecError, Failure};
use crate::gofmt;
use crate::value::{Elem, MapType, Value};

/// Why walking a list of nodes ended.
enum Flow {
    Next,
    Break,
    Continue,
}

pub(crate) type Evaluated = Result<Value, Failure>;

/// The node Go would name if something failed now.
#[derive(Clone, Copy)]
pub(crate) enum At<'t> {
    Start,
    Action(Pos, &'t Pipe),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
    Template(Pos, &'t str, Option<&'t Pipe>),
}

impl At<'_> {
    fn pos(self) -> Pos {
        match self {
            At::Start => 0,
            At::Action(pos, _) | At::Template(pos, ..) => pos,
            At::Pipe(pipe) => pipe.pos,
            At::Command(command) => command.pos,
            At::Expr(expr) => expr.pos,
        }
    }

    fn text(self) -> String {
        match self {
            At::Start => String::new(),
            At::Action(_, pipe) => format!("{{{{{pipe}}}}}"),
            At::Pipe(pipe) => pipe.to_string(),
            At::Command(command) => command.to_string(),
            At::Expr(expr) => expr.to_string(),
            At::Template(_, name, pipe) => {
                let pipe = pipe.map(|pipe| format!(" {pipe}")).unwrap_or_default();
                format!("{{{{template {}{pipe}}}}}", gofmt::quote(name.as_bytes()))
            }
        }
    }
}

/// A variable, and whether Go holds it as an `interface {}`.
struct Variable {
    name: Rc<str>,
    value: Value,
    boxed: bool,
}

/// One execution of one template.
pub(crate) struct Evaluator<'r, 't> {
    pub runtime: &'r mut Runtime,
    pub scope: &'t Rc<Scope>,
    tree: &'t Tree,
    vars: Vec<Variable>,
    /// Dot came out of a list or map of `interface {}`, which is what Go then calls its type.
    dot_is_boxed: bool,
    out: &'r mut Vec<u8>,
    at: At<'t>,
}

/// Executes `tree` with `dot` and appends what it writes to `out`.
pub(crate) fn execute(
    runtime: &mut Runtime,
    scope: &Rc<Scope>,
    tree: &Tree,
    dot: Value,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    runtime.enter()?;
    let vars = vec![Variable { name: Rc::from("$"), value: dot.clone(), boxed: false }];
    let mut evaluator = Evaluator { runtime, scope, tree, vars, dot_is_boxed: false, out, at: At::Start };
    evaluator.list(&dot, &tree.root)?;
    runtime.leave();
    Ok(())
}

impl<'t> Evaluator<'_, 't> {
    pub(crate) fn at(&mut self, at: At<'t>) {
        self.at = at;
    }

    /// A failure at the current node.
    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Result<T, Failure> {
        Err(self.exec_error(message.into(), None))
    }

    pub(crate) fn exec_error(&self, message: String, cause: Option<Box<Error>>) -> Error {
        let (line, column) = self.tree.place(self.at.pos());
        Error::Exec(Box::new(ExecError {
            template: self.tree.file.to_string(),
            line,
            column,
            executing: self.tree.name.clone(),
            expression: self.at.text(),
            message,
            cause,
        }))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.runtime.wrote(bytes.len())?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn list(&mut self, dot: &Value, nodes: &'t [Node]) -> Result<Flow, Failure> {
        for node in nodes {
            match self.walk(dot, node)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Value, node: &'t Node) -> Result<Flow, Failure> {
        self.runtime.step()?;
        match node {
            Node::Text(text) => self.write(text.as_bytes())?,
            Node::Action(pos, pipe) => {
                let value = self.pipeline(dot, pipe)?;
                if pipe.declare.is_empty() {
                    self.at(At::Action(*pos, pipe));
                    self.print(&value)?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { pos, name, pipe } => self.template(dot, *pos, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) -> Result<(), Failure> {
        match value {
            Value::Absent => self.write(b"<no value>"),
            Value::Str(text) => self.write(text),
            Value::Object(object) if object.text().is_some() => {
                self.write(object.text().unwrap_or_default().as_bytes())
            }
            other => self.write(&gofmt::print(other)),
        }
    }

    fn branch(&mut self, dot: &Value, branch: &'t Branch, with: bool) -> Result<Flow, Failure> {
        let mark = self.vars.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.truth() {
            let boxed = self.dot_is_boxed;
            self.dot_is_boxed = boxed && !with;
            let flow = self.list(if with { &value } else { dot }, &branch.list);
            self.dot_is_boxed = boxed;
            flow
        } else {
            branch.otherwise.as_ref().map_or(Ok(Flow::Next), |list| self.list(dot, list))
        };
        self.vars.truncate(mark);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Result<Flow, Failure> {
        let mark = self.vars.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let two = branch.pipe.declare.len() > 1;
        let rounds: Box<dyn Iterator<Item = (Value, Value)>> = match value.plain() {
            Value::Absent | Value::Nil => Box::new(std::iter::empty()),
            n @ (Value::Int(_) | Value::Int64(_)) if two => {
                return self.error(format!("can't use {n:?} to iterate over more than one variable"));
            }
            Value::Int(n) => Box::new((0..n).map(|i| (Value::Absent, Value::Int(i)))),
            Value::Int64(n) => Box::new((0..n).map(|i| (Value::Absent, Value::Int64(i)))),
            Value::List(list) => {
                Box::new((0..list.items.len()).map(move |i| (Value::Int(i as i64), list.items[i].clone())))
            }
            Value::Bytes(bytes) => Box::new(
                (0..bytes.len()).map(move |i| (Value::Int(i as i64), Value::Int(i64::from(bytes[i])))),
            ),
            Value::Map(map) => {
                Box::new(map.snapshot().into_iter().map(|(key, value)| (Value::str(key.as_bytes()), value)))
            }
            other => return self.error(format!("range can't iterate over {other:?}")),
        };
        let boxed = match &value {
            Value::List(list) => list.elem == Elem::Any,
            Value::Map(map) => map.kind != MapType::Str,
            _ => false,
        };
        let outer = std::mem::replace(&mut self.dot_is_boxed, boxed);
        let mut any = false;
        for (index, elem) in rounds {
            any = true;
            self.runtime.step()?;
            self.set_loop_vars(branch, index, elem.clone(), boxed)?;
            let inner = self.vars.len();
            let flow = self.list(&elem, &branch.list)?;
            self.vars.truncate(inner);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        self.dot_is_boxed = outer;
        let flow = match (&branch.otherwise, any) {
            (Some(list), false) => self.list(dot, list),
            _ => Ok(Flow::Next),
        };
        self.vars.truncate(mark);
        flow
    }

    fn set_loop_vars(
        &mut self,
        branch: &'t Branch,
        index: Value,
        elem: Value,
        boxed: bool,
    ) -> Result<(), Failure> {
        let declare = &branch.pipe.declare;
        let values = if declare.len() > 1 { vec![index, elem] } else { vec![elem] };
        for (i, (name, value)) in declare.iter().zip(values).enumerate() {
            if branch.pipe.is_assign {
                self.set_var(name, value)?;
            } else {
                let top = self.vars.len() - declare.len() + i;
                self.vars[top].value = value;
                self.vars[top].boxed = boxed && i + 1 == declare.len();
            }
        }
        Ok(())
    }

    fn template(
        &mut self,
        dot: &Value,
        pos: Pos,
        name: &'t str,
        pipe: Option<&'t Pipe>,
    ) -> Result<(), Failure> {
        self.at(At::Template(pos, name, pipe));
        let Some(tree) = self.scope.get(name) else {
            return self.error(format!("template {} not defined", gofmt::quote(name.as_bytes())));
        };
        let dot = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Absent,
        };
        execute(self.runtime, self.scope, &tree, dot, self.out)
    }

    pub(crate) fn pipeline(&mut self, dot: &Value, pipe: &'t Pipe) -> Evaluated {
        self.at(At::Pipe(pipe));
        let mut value = None;
        for command in &pipe.commands {
            self.runtime.step()?;
            value = Some(self.command(dot, command, value)?.unwrapped());
        }
        let value = value.unwrap_or_default();
        for name in &pipe.declare {
            if pipe.is_assign {
                self.set_var(name, value.clone())?;
            } else {
                self.vars.push(Variable { name: name.clone(), value: value.clone(), boxed: false });
            }
        }
        Ok(value)
    }

    fn set_var(&mut self, name: &str, value: Value) -> Result<(), Failure> {
        match self.vars.iter_mut().rev().find(|known| &*known.name == name) {
            Some(slot) => {
                slot.value = value;
                slot.boxed = false;
                Ok(())
            }
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    fn var(&self, name: &str) -> Evaluated {
        Ok(self.variable(name)?.value.clone())
    }

    fn variable(&self, name: &str) -> Result<&Variable, Failure> {
        match self.vars.iter().rev().find(|known| &*known.name == name) {
            Some(variable) => Ok(variable),
            None => self.error(format!("undefined variable: {name}")),
        }
    }

    fn command(&mut self, dot: &Value, command: &'t Command, last: Option<Value>) -> Evaluated {
        let first = &command.args[0];
        let args = &command.args[1..];
        match &first.kind {
            ExprKind::Field(_) | ExprKind::Chain(..) => return self.chain(dot, first, args, last),
            ExprKind::Variable(_, fields) if !fields.is_empty() => return self.chain(dot, first, args, last),
            ExprKind::Identifier(name) => {
                self.at(At::Expr(first));
                return self.function(dot, At::Command(command), name, args, last);
            }
            _ => {}
        }
        if !matches!(first.kind, ExprKind::Pipe(_)) {
            self.at(At::Expr(first));
        }
        if !args.is_empty() || last.is_some() {
            return self.error(format!("can't give argument to non-function {first}"));
        }
        match &first.kind {
            ExprKind::Nil => self.error("nil is not a command"),
            _ => self.operand(dot, first),
        }
    }

    /// The value of an expression that is neither a call nor typed by its context.
    pub(crate) fn operand(&mut self, dot: &Value, expr: &'t Expr) -> Evaluated {
        if !matches!(expr.kind, ExprKind::Pipe(_)) {
            self.at(At::Expr(expr));
        }
        match &expr.kind {
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Nil => Ok(Value::Nil),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Number(text, number) => self.constant(text, *number),
            ExprKind::Str(_, value) => Ok(value.clone()),
            ExprKind::Variable(name, fields) if fields.is_empty() => self.var(name),
            ExprKind::Field(_) | ExprKind::Variable(..) | ExprKind::Chain(..) => {
                self.chain(dot, expr, &[], None)
            }
            ExprKind::Identifier(name) => self.function(dot, At::Expr(expr), name, &[], None),
            ExprKind::Pipe(pipe) => self.pipeline(dot, pipe),
        }
    }

    fn constant(&self, text: &str, number: Number) -> Evaluated {
        match number {
            Number { float: Some(f), prefers_float: true, .. } => Ok(Value::Float(f)),
            Number { int: Some(n), .. } => Ok(Value::Int(n)),
            _ => self.error(format!("{text} overflows int")),
        }
    }

    /// `.a.b`, `$x.a.b` or `(pipeline).a.b`; only the last name may be a method with arguments.
    fn chain(&mut self, dot: &Value, expr: &'t Expr, args: &'t [Expr], last: Option<Value>) -> Evaluated {
        self.at(At::Expr(expr));
        let (mut receiver, fields, mut boxed) = match &expr.kind {
            ExprKind::Field(fields) => (dot.clone(), fields, self.dot_is_boxed),
            ExprKind::Variable(name, fields) => {
                let variable = self.variable(name)?;
                (variable.value.clone(), fields, variable.boxed)
            }
            ExprKind::Chain(inner, fields) => {
                if matches!(inner.kind, ExprKind::Nil) {
                    return self.error(format!("indirection through explicit nil in {expr}"));
                }
                // Go goes on naming the inner expression when a field of it cannot be had.
                (self.operand(dot, inner)?, fields, false)
            }
            _ => return self.operand(dot, expr),
        };
        let Some((name, path)) = fields.split_last() else { return Ok(receiver) };
        for field in path {
            let next = self.field(dot, expr, field, &[], None, &receiver, boxed)?;
            boxed = matches!(receiver, Value::Map(_));
            receiver = next;
        }
        self.field(dot, expr, name, args, last, &receiver, boxed)
    }

    #[allow(clippy::too_many_arguments)] // Mirrors what Go's evalField needs to decide; splitting it hides the rule.
    fn field(
        &mut self,
        dot: &Value,
        expr: &'t Expr,
        name: &str,
        args: &'t [Expr],
        last: Option<Value>,
        receiver: &Value,
        boxed: bool,
    ) -> Evaluated {
        let has_args = !args.is_empty() || last.is_some();
        match receiver {
            Value::Absent => return Ok(Value::Absent),
            Value::Nil => return self.error(format!("nil pointer evaluating interface {{}}.{name}")),
            Value::Map(map) if map.kind == MapType::Values && crate::values_methods::find(name).is_some() => {
                let params = crate::values_methods::find(name).unwrap_or_default();
                return self.method(dot, expr, receiver, (name, params), args, last);
            }
            Value::Map(_) if has_args => {
                return self.error(format!("{name} is not a method but has arguments"));
            }
            Value::Map(map) => return Ok(map.get_or_zero(name)),
            Value::Object(object) => {
                if let Some(params) = object.method(name) {
                    return self.method(dot, expr, receiver, (name, params), args, last);
                }
                match object.field(name) {
                    Some(_) if has_args => {
                        return self.error(format!("{name} has arguments but cannot be invoked as function"));
                    }
                    Some(value) => return Ok(value),
                    None if object.kind() == "map" => return Ok(Value::Absent),
                    None => {}
                }
            }
            Value::Time(_) | Value::Duration(_) => {
                if let Some(params) = crate::funcs::dates::method(receiver, name) {
                    return self.method(dot, expr, receiver, (name, params), args, last);
                }
            }
            _ => {}
        }
        let kind = if boxed { "interface {}" } else { receiver.static_type() };
        self.error(format!("can't evaluate field {name} in type {kind}"))
    }
}
