//! Expressions that stand for themselves: conditions and rules of admission, over whatever values they are given.
//!
//! For admission policies and webhooks. [`Expression::compile`] finds names that exist nowhere; [`Scope`] holds the values
//! and the budget that all expressions of one question share. Values have no schema here, as in any cluster.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::eval::{Eval, Failure};
use super::parser::Expr;
use super::value::{Key, Val, lift};
use super::{ParseError, RULE_BUDGET, compile_with};

/// What the expressions of one policy may cost together on one request.
pub const POLICY_BUDGET: u64 = 10_000_000;
/// The same for the conditions under which a policy or webhook is asked at all.
pub const CONDITION_BUDGET: u64 = POLICY_BUDGET / 4;
const VARIABLES: &str = "variables";

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    expr: Expr,
}

/// What an expression came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Bool(bool),
    Text(String),
    Null,
    Other,
}

impl Expression {
    /// From its source; `names` may be used in it. The error is what a person is shown, with the place in the source.
    pub fn compile(source: &str, names: &[&str]) -> Result<Self, String> {
        match compile_with(source, names) {
            Ok(expr) => Ok(Self { source: source.to_owned(), expr }),
            Err(error) => Err(format!("compilation failed: {}", pointed(source, &error))),
        }
    }

    pub fn source(&self) -> &str {
        &self.source
    }
}

/// The error with the line it is about, and an arrow.
fn pointed(source: &str, error: &ParseError) -> String {
    let line = source.lines().nth(error.line.saturating_sub(1)).unwrap_or("");
    let dots = ".".repeat(error.column.saturating_sub(1).min(line.len()));
    format!("{error}\n | {line}\n | {dots}^")
}

/// Names and their values, for expressions that share a budget.
#[derive(Debug)]
pub struct Scope<'a> {
    budget: Cell<u64>,
    values: Vec<(String, Val<'a>)>,
    variables: BTreeMap<Key, Val<'a>>,
    /// Variables that have no value, and why.
    broken: BTreeMap<String, String>,
}

impl<'a> Scope<'a> {
    pub fn new(budget: u64) -> Self {
        Self {
            budget: Cell::new(budget),
            values: Vec::new(),
            variables: BTreeMap::new(),
            broken: BTreeMap::new(),
        }
    }

    pub fn set(&mut self, name: &str, value: &'a Value) {
        self.values.push((name.to_owned(), lift(value, None)));
    }

    /// Adds a field to `variables`. Whoever uses one that has no value is told why.
    pub fn set_variable(&mut self, name: &str, expression: &Expression) {
        match self.value(expression) {
            Ok(value) => {
                self.variables.insert(Key::Text(name.to_owned()), value);
                let map = Val::Map(Rc::new(self.variables.clone()));
                self.values.retain(|(known, _)| known != VARIABLES);
                self.values.push((VARIABLES.to_owned(), map));
            }
            Err(why) => {
                self.broken.insert(name.to_owned(), why);
            }
        }
    }

    pub fn evaluate(&mut self, expression: &Expression) -> Result<Outcome, String> {
        let outcome = self.value(expression).map_err(|why| {
            let missing = why.strip_prefix("no such key: ").and_then(|name| self.broken.get_key_value(name));
            let missing =
                missing.filter(|(name, _)| expression.source.contains(&format!("{VARIABLES}.{name}")));
            let why = match missing {
                Some((name, cause)) => format!("composited variable {name:?} fails to evaluate: {cause}"),
                None => why,
            };
            format!("expression '{}' resulted in error: {why}", expression.source)
        })?;
        Ok(match outcome {
            Val::Bool(value) => Outcome::Bool(value),
            Val::Text(text) => Outcome::Text(text.into_owned()),
            Val::Null => Outcome::Null,
            _ => Outcome::Other,
        })
    }

    fn value(&mut self, expression: &Expression) -> Result<Val<'a>, String> {
        let before = self.budget.get();
        let budget = Cell::new(before.min(RULE_BUDGET));
        let start = budget.get();
        if self.values.iter().all(|(name, _)| name != VARIABLES) {
            self.values.push((VARIABLES.to_owned(), Val::Map(Rc::default())));
        }
        let mut eval = Eval { budget: &budget, scope: std::mem::take(&mut self.values) };
        let outcome = eval.value(&expression.expr);
        self.values = std::mem::take(&mut eval.scope);
        self.budget.set(before - (start - budget.get()));
        outcome.map_err(|failure| match failure {
            Failure::Error(why) => why,
            Failure::Budget => {
                "operation cancelled: actual cost limit exceeded; no further expressions will be run"
                    .to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(source: &str, expect: Result<Outcome, &str>) {
        let object = json!({ "spec": { "replicas": 7, "name": "a" }, "metadata": { "namespace": "n" } });
        let mut scope = Scope::new(POLICY_BUDGET);
        scope.set("object", &object);
        for (name, source) in [("many", "object.spec.replicas > 5"), ("lost", "object.spec.lost")] {
            scope.set_variable(name, &Expression::compile(source, &["object"]).unwrap());
        }
        let expression = Expression::compile(source, &["object", "variables"]).unwrap();
        let seen = scope.evaluate(&expression);
        assert_eq!(seen, expect.map_err(|why| format!("expression '{source}' resulted in error: {why}")));
    }

    #[test]
    fn expressions_see_the_values_they_are_given() {
        check("object.spec.replicas <= 5", Ok(Outcome::Bool(false)));
        check("'too many: ' + string(object.spec.replicas)", Ok(Outcome::Text("too many: 7".into())));
        check("object.metadata.namespace == 'n' && variables.many", Ok(Outcome::Bool(true)));
        check("object.?spec.?lost.orValue(null)", Ok(Outcome::Null));
    }

    #[test]
    fn what_has_no_value_says_why_where_it_is_used() {
        check("object.lost", Err("no such key: lost"));
        check("variables.lost", Err("composited variable \"lost\" fails to evaluate: no such key: lost"));
        check("!variables.many || true", Ok(Outcome::Bool(true)));
    }

    #[test]
    fn a_name_that_is_nowhere_is_pointed_at() {
        let error = Expression::compile("true && objekt.spec", &["object"]).unwrap_err();
        let expect = "compilation failed: ERROR: <input>:1:9: undeclared reference to 'objekt' (in container '')\n \
                      | true && objekt.spec\n | ........^";
        assert_eq!(error, expect);
    }

    #[test]
    fn a_budget_is_shared_and_ends() {
        let object = json!({ "list": vec![1; 500] });
        let mut scope = Scope::new(100_000);
        scope.set("object", &object);
        let source = "object.list.all(a, object.list.all(b, a == b))";
        let costly = Expression::compile(source, &["object"]).unwrap();
        assert!(scope.evaluate(&costly).unwrap_err().contains("actual cost limit exceeded"));
        assert!(scope.evaluate(&costly).unwrap_err().contains("actual cost limit exceeded"));
    }
}
