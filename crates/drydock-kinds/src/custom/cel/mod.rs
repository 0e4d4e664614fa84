//! The expressions of `x-kubernetes-validations`: compiled once, evaluated within a budget.
//!
//! For checks of custom resources and of their definitions. Start at [`Rule::compile`] and [`check`].
//! An evaluation ends when its budget is used up, whatever the expression and the object; it never blocks or allocates
//! without being charged for it. See `docs/decisions` for why this is our own.

mod eval;
pub mod free;
mod functions;
mod kube;
mod lexer;
mod lists;
mod parser;
mod semver;
#[cfg(test)]
mod tests;
mod texts;
mod types;
mod url;
mod value;

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use serde_json::Value;

use self::eval::{Eval, Failure};
use self::parser::Expr;
pub(crate) use self::value::RESERVED;
use self::value::{Val, lift};
use super::check::old_item;
use super::node::{Additional, DataType, Node};
use crate::field::{FieldError, FieldErrorKind};

/// What one rule may cost, and all rules of one object together.
const RULE_BUDGET: u64 = 1_000_000;
const OBJECT_BUDGET: u64 = 10_000_000;
const MAX_MESSAGE: usize = 5 * 1024;

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ERROR: <input>:{line}:{column}: {why}")]
pub(crate) struct ParseError {
    line: usize,
    column: usize,
    why: String,
}

impl ParseError {
    fn new(source: &str, at: usize, why: impl Into<String>) -> Self {
        let before = &source[..at.min(source.len())];
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column, why: why.into() }
    }
}

/// One validation rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    source: String,
    expr: Expr,
    message: Option<String>,
    message_expr: Option<Expr>,
    reason: FieldErrorKind,
    field_path: String,
    optional_old_self: bool,
    pub(crate) uses_old_self: bool,
}

impl Rule {
    /// From an entry of `x-kubernetes-validations`. Names that exist nowhere are found here, not when it is too late.
    pub(crate) fn compile(rule: &Value) -> Result<Self, ParseError> {
        let text = |key: &str| rule[key].as_str().map(str::trim).filter(|text| !text.is_empty());
        let source = text("rule").unwrap_or("");
        let expr = compile(source)?;
        let mut names = HashSet::new();
        free_names(&expr, &mut Vec::new(), &mut |name| {
            names.insert(name.to_owned());
        });
        Ok(Self {
            message: text("message").map(str::to_owned),
            message_expr: text("messageExpression").map(compile).transpose()?,
            reason: match text("reason") {
                Some("FieldValueForbidden") => FieldErrorKind::Forbidden,
                Some("FieldValueRequired") => FieldErrorKind::Required,
                Some("FieldValueDuplicate") => FieldErrorKind::Duplicate,
                _ => FieldErrorKind::Invalid,
            },
            field_path: text("fieldPath").unwrap_or("").trim_start_matches('.').to_owned(),
            optional_old_self: rule["optionalOldSelf"] == true,
            uses_old_self: names.contains("oldSelf"),
            source: source.to_owned(),
            expr,
        })
    }

    /// Why the rule can never work on values of this schema.
    pub(crate) fn misfit(&self, schema: &Value) -> Option<String> {
        let node = Node::parse(schema);
        match types::check(&self.source, &self.expr, &node, self.optional_old_self) {
            Err(error) => Some(format!("compilation failed: {error}")),
            Ok(()) if !types::says_yes_or_no(&self.expr, &node) => {
                Some("cel expression must evaluate to a bool".to_owned())
            }
            Ok(()) => None,
        }
    }

    fn name(&self) -> &str {
        self.message.as_deref().unwrap_or(&self.source)
    }
}

fn compile(source: &str) -> Result<Expr, ParseError> {
    compile_with(source, &["self", "oldSelf"])
}

/// An expression in which no names are free but these.
fn compile_with(source: &str, names: &[&str]) -> Result<Expr, ParseError> {
    let expr = parser::parse(source)?;
    let mut unknown = None;
    free_names(&expr, &mut Vec::new(), &mut |name| {
        let known = names.contains(&name) || functions::type_named(name).is_some();
        if !known && unknown.is_none() {
            unknown = Some(name.to_owned());
        }
    });
    match unknown {
        None => Ok(expr),
        Some(name) => {
            let at = source.find(name.trim_end_matches("()")).unwrap_or(0);
            let name = name.trim_end_matches("()");
            Err(ParseError::new(source, at, format!("undeclared reference to '{name}' (in container '')")))
        }
    }
}

/// Names that no macro binds, and functions that do not exist (as `name()`).
fn free_names<'e>(expr: &'e Expr, bound: &mut Vec<&'e str>, found: &mut dyn FnMut(&str)) {
    let within =
        |names: &[&'e str], body: &'e Expr, bound: &mut Vec<&'e str>, found: &mut dyn FnMut(&str)| {
            let depth = bound.len();
            bound.extend(names);
            free_names(body, bound, found);
            bound.truncate(depth);
        };
    match expr {
        Expr::Ident(name) => {
            if !bound.contains(&name.as_str()) {
                found(name);
            }
        }
        Expr::Select(of, ..) | Expr::Has(of, _) | Expr::Not(of) | Expr::Negate(of) => {
            free_names(of, bound, found)
        }
        Expr::Index(a, b, _) | Expr::Binary(_, a, b) => {
            free_names(a, bound, found);
            free_names(b, bound, found);
        }
        Expr::Choice(a, b, c) => [a, b, c].into_iter().for_each(|expr| free_names(expr, bound, found)),
        Expr::Call(target, name, args) => {
            match target.as_deref() {
                Some(Expr::Ident(module))
                    if functions::is_module(module) && !bound.contains(&module.as_str()) => {}
                target => {
                    if !functions::NAMES.contains(&name.as_str()) {
                        found(&format!("{name}()"));
                    }
                    target.into_iter().for_each(|target| free_names(target, bound, found));
                }
            }
            args.iter().for_each(|arg| free_names(arg, bound, found));
        }
        Expr::List(items) => items.iter().for_each(|(item, _)| free_names(item, bound, found)),
        Expr::Map(entries) => entries.iter().for_each(|(key, value, _)| {
            free_names(key, bound, found);
            free_names(value, bound, found);
        }),
        Expr::Loop(inner) => {
            free_names(&inner.over, bound, found);
            let names: Vec<&str> = inner.names.iter().map(String::as_str).collect();
            for body in inner.filter.iter().chain([&inner.body]) {
                within(&names, body, bound, found);
            }
        }
        Expr::Bind(name, value, body) => {
            free_names(value, bound, found);
            within(&[name.as_str()], body, bound, found);
        }
        Expr::Optional(of, name, body, _) => {
            free_names(of, bound, found);
            within(&[name.as_str()], body, bound, found);
        }
        Expr::Null
        | Expr::Bool(_)
        | Expr::Int(_)
        | Expr::Uint(_)
        | Expr::Double(_)
        | Expr::Text(_)
        | Expr::Bytes(_) => {}
    }
}

/// Evaluates all rules of a schema on a value and what it holds; `old` is the value before an update.
pub(crate) fn check(value: &Value, old: Option<&Value>, node: &Node, path: &str) -> Vec<FieldError> {
    let mut walk = Walk { left: OBJECT_BUDGET, errors: Vec::new(), ended: false };
    walk.value(value, old, false, node, path);
    walk.errors
}

struct Walk {
    left: u64,
    errors: Vec<FieldError>,
    ended: bool,
}

impl Walk {
    /// `unchanged` says that an ancestor is what it was before, so that only transitions count.
    fn value(&mut self, value: &Value, old: Option<&Value>, unchanged: bool, node: &Node, path: &str) {
        if value.is_null() || self.ended || !node.has_rules {
            return;
        }
        let unchanged = unchanged || old == Some(value);
        for rule in &node.rules {
            self.rule(rule, value, old, unchanged, node, path);
            if self.ended {
                return;
            }
        }
        match value {
            Value::Object(fields) => {
                for (name, child) in fields {
                    let before = old.and_then(|old| old.get(name));
                    match (node.properties.get(name), &node.additional) {
                        (Some(field), _) if path.is_empty() => {
                            self.value(child, before, unchanged, field, name)
                        }
                        (Some(field), _) => {
                            self.value(child, before, unchanged, field, &format!("{path}.{name}"))
                        }
                        (None, Additional::Of(field)) => {
                            self.value(child, before, unchanged, field, &format!("{path}[{name}]"));
                        }
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                let Some(item) = &node.items else { return };
                for (index, child) in items.iter().enumerate() {
                    let before = old_item(child, old, node);
                    self.value(child, before, unchanged, item, &format!("{path}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn rule(
        &mut self,
        rule: &Rule,
        value: &Value,
        old: Option<&Value>,
        unchanged: bool,
        node: &Node,
        path: &str,
    ) {
        if rule.uses_old_self && old.is_none() && !rule.optional_old_self {
            return;
        }
        let budget = Cell::new(RULE_BUDGET.min(self.left));
        let before = budget.get();
        let mut eval = Eval { budget: &budget, scope: vec![("self".to_owned(), lift(value, Some(node)))] };
        if rule.optional_old_self {
            let old = old.map(|old| Rc::new(lift(old, Some(node))));
            eval.scope.push(("oldSelf".to_owned(), Val::Optional(old)));
        } else if let Some(old) = old {
            eval.scope.push(("oldSelf".to_owned(), lift(old, Some(node))));
        }
        let outcome = eval.value(&rule.expr);
        let shown = || match node.data_type {
            Some(data_type) => Value::from(data_type.name()),
            None => Value::from(""),
        };
        match outcome {
            Ok(Val::Bool(true)) => {}
            Ok(Val::Bool(false)) if unchanged && !rule.uses_old_self => {}
            Ok(Val::Bool(false)) => {
                let detail = message(rule, &mut eval);
                self.errors.push(complaint(rule, value, node, path, detail));
            }
            Ok(_) => self.fail(path, shown(), format!("'no such overload': call arguments did not match a supported operator, function or macro signature for rule: {}", rule.name())),
            Err(Failure::Budget) => {
                self.ended = true;
                let why = format!(
                    "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: {}",
                    rule.name()
                );
                self.fail(path, shown(), why);
            }
            Err(Failure::Error(why)) if why == "no such overload" => self.fail(
                path,
                shown(),
                format!("'{why}': call arguments did not match a supported operator, function or macro signature for rule: {}", rule.name()),
            ),
            Err(Failure::Error(why)) => self.fail(path, shown(), format!("{why} evaluating rule: {}", rule.name())),
        }
        self.left = self.left.saturating_sub(before - budget.get());
        if self.left == 0 && !self.ended {
            self.ended = true;
            let why = "validation failed due to running out of cost budget, no further validation rules will be run";
            self.fail(path, shown(), why.to_owned());
        }
    }

    fn fail(&mut self, path: &str, value: Value, detail: String) {
        let path = if path.is_empty() { "<nil>" } else { path }.to_owned();
        self.errors.push(FieldError {
            path,
            kind: FieldErrorKind::Invalid,
            value: Some(value),
            printed: None,
            detail,
        });
    }
}

/// What the rule's author wants said: computed, written, or the rule itself.
fn message(rule: &Rule, eval: &mut Eval<'_, '_>) -> String {
    let computed = rule.message_expr.as_ref().and_then(|expr| match eval.value(expr) {
        Ok(Val::Text(text)) => Some(text.trim().to_owned()),
        _ => None,
    });
    let computed =
        computed.filter(|text| !text.is_empty() && !text.contains('\n') && text.len() <= MAX_MESSAGE);
    computed.or_else(|| rule.message.clone()).unwrap_or_else(|| format!("failed rule: {}", rule.source))
}

fn complaint(rule: &Rule, value: &Value, node: &Node, path: &str, detail: String) -> FieldError {
    let path = match (path, rule.field_path.as_str()) {
        ("", "") => "<nil>".to_owned(),
        ("", below) => below.to_owned(),
        (path, "") => path.to_owned(),
        (path, below) => format!("{path}.{below}"),
    };
    // Objects and lists are too long to repeat.
    let value = (!matches!(node.data_type, Some(DataType::Object | DataType::Array))).then(|| value.clone());
    let (value, detail) = match rule.reason {
        FieldErrorKind::Forbidden | FieldErrorKind::Required => (None, detail),
        FieldErrorKind::Duplicate => (value, String::new()),
        _ => (value, detail),
    };
    FieldError { path, kind: rule.reason, value, printed: None, detail }
}
