//! What type an expression has, as far as its schema tells, so that a rule that can never work is refused when it is written.
//!
//! Only what is certain is an error: what depends on open parts of a schema, or on functions that are not known here, is
//! [`Type::Any`] and fits everywhere. Wording is a cluster's; the place is where the text in question first stands.
//!
//! Start at [`check`].

use super::ParseError;
use super::parser::{Expr, Loop, LoopKind};
use super::value::unescaped;
use crate::custom::node::{Additional, DataType, Node};

#[derive(Debug, Clone)]
pub(super) enum Type<'n> {
    Any,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Time,
    Duration,
    List(Box<Type<'n>>),
    Map(Box<Type<'n>>),
    /// An object with the fields of its schema, and no others.
    Object(&'n Node),
    Optional(Box<Type<'n>>),
}

/// Fields that the root of every object has, whether its schema names them or not.
const OF_EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// Methods of texts that take texts and say yes or no.
const TEXT_TESTS: [&str; 4] = ["startsWith", "endsWith", "contains", "matches"];

/// Checks a rule about values of `node`, which has to say yes or no.
pub(super) fn check(
    source: &str,
    expr: &Expr,
    node: &Node,
    optional_old_self: bool,
) -> Result<(), ParseError> {
    let own = of_node(node);
    let old = if optional_old_self { Type::Optional(Box::new(own.clone())) } else { own.clone() };
    let mut checker = Checker { source, names: vec![("self", own), ("oldSelf", old)] };
    checker.of(expr).map(drop)
}

/// Whether a rule may come to a truth value.
pub(super) fn says_yes_or_no(expr: &Expr, node: &Node) -> bool {
    let mut checker = Checker { source: "", names: vec![("self", of_node(node)), ("oldSelf", Type::Any)] };
    matches!(checker.of(expr), Err(_) | Ok(Type::Any | Type::Bool))
}

fn of_node(node: &Node) -> Type<'_> {
    if node.int_or_string || node.embedded {
        return Type::Any;
    }
    let format = node.checks.format.map(|format| format.name);
    match node.data_type {
        Some(DataType::Boolean) => Type::Bool,
        Some(DataType::Integer) => Type::Int,
        Some(DataType::Number) => Type::Double,
        Some(DataType::String) => match format {
            None => Type::Text,
            Some("date-time" | "datetime" | "date") => Type::Time,
            Some("duration") => Type::Duration,
            Some("byte") => Type::Bytes,
            Some(_) => Type::Text,
        },
        Some(DataType::Array) => {
            let item = node.items.as_deref().map_or(Type::Any, of_node);
            Type::List(Box::new(item))
        }
        Some(DataType::Object) => match &node.additional {
            _ if node.open => Type::Any,
            Additional::Of(value) if node.properties.is_empty() => Type::Map(Box::new(of_node(value))),
            Additional::Unsaid if !node.properties.is_empty() => Type::Object(node),
            _ => Type::Any,
        },
        None => Type::Any,
    }
}

impl<'n> Type<'n> {
    /// What may be absent stays so, however often it is asked.
    fn optional(self) -> Type<'n> {
        match self {
            Self::Optional(_) => self,
            found => Type::Optional(Box::new(found)),
        }
    }

    fn name(&self) -> Option<String> {
        Some(match self {
            Self::Any | Self::Object(_) => return None,
            Self::Null => "null_type".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Uint => "uint".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Text => "string".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::Time => "timestamp".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::List(item) => format!("list({})", item.name()?),
            Self::Map(value) => format!("map(string, {})", value.name()?),
            Self::Optional(inner) => format!("optional_type({})", inner.name()?),
        })
    }

    fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether values of both may be the same.
    fn fits(&self, other: &Type<'_>) -> bool {
        match (self, other) {
            (Self::Any | Self::Null, _) | (_, Type::Any | Type::Null) => true,
            (Self::List(a), Type::List(b)) | (Self::Map(a), Type::Map(b)) => a.fits(b),
            (Self::Optional(a), Type::Optional(b)) => a.fits(b),
            (Self::Object(_), Type::Object(_) | Type::Map(_)) | (Self::Map(_), Type::Object(_)) => true,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

struct Checker<'e, 'n> {
    source: &'e str,
    names: Vec<(&'e str, Type<'n>)>,
}

impl<'e, 'n> Checker<'e, 'n> {
    fn of(&mut self, expr: &'e Expr) -> Result<Type<'n>, ParseError> {
        Ok(match expr {
            Expr::Null => Type::Null,
            Expr::Bool(_) => Type::Bool,
            Expr::Int(_) => Type::Int,
            Expr::Uint(_) => Type::Uint,
            Expr::Double(_) => Type::Double,
            Expr::Text(_) => Type::Text,
            Expr::Bytes(_) => Type::Bytes,
            Expr::Ident(name) => self.named(name),
            Expr::Select(of, field, optional) => {
                let found = self.field(of, field)?;
                if *optional { found.optional() } else { found }
            }
            Expr::Has(of, field) => {
                self.field(of, field)?;
                Type::Bool
            }
            Expr::Index(of, index, optional) => {
                let (of, _) = (self.of(of)?, self.of(index)?);
                let found = match of {
                    Type::List(inner) | Type::Map(inner) => *inner,
                    _ => Type::Any,
                };
                if *optional { found.optional() } else { found }
            }
            Expr::Call(target, name, args) => self.call(target.as_deref(), name, args)?,
            Expr::List(items) => {
                let types = items.iter().map(|(item, _)| self.of(item)).collect::<Result<Vec<_>, _>>()?;
                Type::List(Box::new(common(types)))
            }
            Expr::Map(entries) => {
                for (key, value, _) in entries {
                    self.of(key)?;
                    self.of(value)?;
                }
                Type::Any
            }
            Expr::Not(inner) => {
                let inner = self.of(inner)?;
                match inner {
                    Type::Any | Type::Bool => Type::Bool,
                    other => return self.mismatch("!", "!_", &[other]),
                }
            }
            Expr::Negate(inner) => self.of(inner)?,
            Expr::Binary(sign, left, right) => self.binary(sign, left, right)?,
            Expr::Choice(condition, yes, no) => {
                self.truth(condition)?;
                let (yes, no) = (self.of(yes)?, self.of(no)?);
                common(vec![yes, no])
            }
            Expr::Loop(inner) => self.run(inner)?,
            Expr::Bind(name, value, body) => {
                let value = self.of(value)?;
                self.within(vec![(name, value)], body)?
            }
            Expr::Optional(of, name, body, _) => {
                let inner = match self.of(of)? {
                    Type::Optional(inner) => *inner,
                    _ => Type::Any,
                };
                self.within(vec![(name, inner)], body)?;
                Type::Any
            }
        })
    }

    fn named(&self, name: &str) -> Type<'n> {
        let found = self.names.iter().rev().find(|(known, _)| *known == name);
        found.map_or(Type::Any, |(_, found)| found.clone())
    }

    fn within(&mut self, names: Vec<(&'e str, Type<'n>)>, body: &'e Expr) -> Result<Type<'n>, ParseError> {
        let depth = self.names.len();
        self.names.extend(names);
        let found = self.of(body);
        self.names.truncate(depth);
        found
    }

    fn field(&mut self, of: &'e Expr, field: &str) -> Result<Type<'n>, ParseError> {
        let of = self.of(of)?;
        self.field_of(of, field)
    }

    fn field_of(&self, of: Type<'n>, field: &str) -> Result<Type<'n>, ParseError> {
        let place = format!(".{field}");
        match of {
            Type::Any => Ok(Type::Any),
            Type::Map(value) => Ok(*value),
            Type::Optional(inner) => Ok(self.field_of(*inner, field)?.optional()),
            Type::Object(node) => match node.properties.get(unescaped(field).as_ref()) {
                Some(found) => Ok(of_node(found)),
                None if OF_EVERY_OBJECT.contains(&field) => Ok(Type::Any),
                None => Err(self.error(&place, format!("undefined field '{field}'"))),
            },
            other => match other.name() {
                Some(name) => {
                    Err(self.error(&place, format!("type '{name}' does not support field selection")))
                }
                None => Ok(Type::Any),
            },
        }
    }

    fn truth(&mut self, expr: &'e Expr) -> Result<(), ParseError> {
        match self.of(expr)? {
            Type::Any | Type::Bool => Ok(()),
            other => match (other.name(), last_word(expr)) {
                (Some(name), word) => {
                    Err(self.error(&word, format!("expected type 'bool' but found '{name}'")))
                }
                (None, _) => Ok(()),
            },
        }
    }

    fn binary(
        &mut self,
        sign: &'static str,
        left: &'e Expr,
        right: &'e Expr,
    ) -> Result<Type<'n>, ParseError> {
        if matches!(sign, "&&" | "||") {
            self.truth(left)?;
            self.truth(right)?;
            return Ok(Type::Bool);
        }
        let (a, b) = (self.of(left)?, self.of(right)?);
        let either_unknown = matches!((&a, &b), (Type::Any, _) | (_, Type::Any));
        let (fits, result) = match sign {
            "==" | "!=" => (a.fits(&b), Type::Bool),
            "<" | "<=" | ">" | ">=" => ((a.is_number() && b.is_number()) || a.fits(&b), Type::Bool),
            "in" => (true, Type::Bool),
            "+" | "-"
                if matches!(
                    (&a, &b),
                    (Type::Time | Type::Duration, _) | (_, Type::Time | Type::Duration)
                ) =>
            {
                (true, Type::Any)
            }
            _ => (a.fits(&b), a.clone()),
        };
        match fits {
            true if either_unknown && !matches!(result, Type::Bool) => Ok(Type::Any),
            true => Ok(result),
            false => self.mismatch(&format!(" {sign} "), &format!("_{sign}_"), &[a, b]),
        }
    }

    fn call(
        &mut self,
        target: Option<&'e Expr>,
        name: &'e str,
        args: &'e [Expr],
    ) -> Result<Type<'n>, ParseError> {
        let target = target.map(|target| self.of(target)).transpose()?;
        let args = args.iter().map(|arg| self.of(arg)).collect::<Result<Vec<_>, _>>()?;
        let text = |found: &Type<'_>| matches!(found, Type::Any | Type::Text);
        match (target, name) {
            (Some(target), name) if TEXT_TESTS.contains(&name) => {
                let place = format!(".{name}(");
                if !text(&target) || args.iter().any(|arg| !text(arg)) {
                    return self.mismatch_of(&place, name, &target, &args);
                }
                Ok(Type::Bool)
            }
            (None, "size") if args.iter().any(|arg| arg.is_number() || matches!(arg, Type::Bool)) => {
                self.mismatch("size(", "size", &args)
            }
            (_, "size") => Ok(Type::Int),
            (None, "string") => Ok(Type::Text),
            (None, "int") => Ok(Type::Int),
            (None, "double") => Ok(Type::Double),
            (Some(Type::Optional(inner)), "value" | "orValue") => Ok(*inner),
            (_, "hasValue" | "isSorted" | "isQuantity" | "isURL") => Ok(Type::Bool),
            _ => Ok(Type::Any),
        }
    }

    fn run(&mut self, inner: &'e Loop) -> Result<Type<'n>, ParseError> {
        let over = self.of(&inner.over)?;
        let (item, key) = match &over {
            Type::List(item) => ((**item).clone(), Type::Int),
            Type::Map(value) => ((**value).clone(), Type::Text),
            _ => (Type::Any, Type::Any),
        };
        let is_map = matches!(over, Type::Map(_));
        let names = match inner.names.as_slice() {
            [first, second] => vec![(first.as_str(), key), (second.as_str(), item)],
            [one] => vec![(one.as_str(), if is_map { key } else { item })],
            _ => Vec::new(),
        };
        let depth = self.names.len();
        self.names.extend(names);
        let found = self.body(inner, over);
        self.names.truncate(depth);
        found
    }

    fn body(&mut self, inner: &'e Loop, over: Type<'n>) -> Result<Type<'n>, ParseError> {
        if let Some(filter) = &inner.filter {
            self.truth(filter)?;
        }
        match inner.kind {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => {
                self.truth(&inner.body)?;
                Ok(Type::Bool)
            }
            LoopKind::Filter => {
                self.truth(&inner.body)?;
                Ok(if matches!(over, Type::List(_)) { over } else { Type::Any })
            }
            LoopKind::Map => Ok(Type::List(Box::new(self.of(&inner.body)?))),
            LoopKind::TransformMap | LoopKind::SortBy => self.of(&inner.body).map(|_| Type::Any),
        }
    }

    fn mismatch(&self, place: &str, what: &str, types: &[Type<'n>]) -> Result<Type<'n>, ParseError> {
        let names: Option<Vec<String>> = types.iter().map(Type::name).collect();
        match names {
            // A type that has no name of ours may fit in ways that are not known here.
            None => Ok(Type::Any),
            Some(names) => {
                let why =
                    format!("found no matching overload for '{what}' applied to '({})'", names.join(", "));
                Err(self.error(place, why))
            }
        }
    }

    fn mismatch_of(
        &self,
        place: &str,
        what: &str,
        target: &Type<'n>,
        args: &[Type<'n>],
    ) -> Result<Type<'n>, ParseError> {
        let names: Option<Vec<String>> = args.iter().map(Type::name).collect();
        match (target.name(), names) {
            (Some(target), Some(names)) => {
                let args = names.join(", ");
                let why = format!("found no matching overload for '{what}' applied to '{target}.({args})'");
                Err(self.error(place, why))
            }
            _ => Ok(Type::Any),
        }
    }

    /// An error where `place` first stands; blanks around it, and a bracket at its end, belong to the search only.
    fn error(&self, place: &str, why: String) -> ParseError {
        let start = self.source.find(place).unwrap_or(0);
        let at = match place {
            _ if place.ends_with('(') => start + place.len() - 1,
            _ => start + (place.len() - place.trim_start().len()),
        };
        ParseError::new(self.source, at, why)
    }
}

/// The type of values that are of one of these.
fn common(types: Vec<Type<'_>>) -> Type<'_> {
    let mut types = types.into_iter();
    let Some(first) = types.next() else { return Type::Any };
    match types.all(|other| first.fits(&other) && !matches!(other, Type::Any | Type::Null)) {
        true => first,
        false => Type::Any,
    }
}

/// Where an expression is looked for in its source.
fn last_word(expr: &Expr) -> String {
    match expr {
        Expr::Select(_, field, _) => format!(".{field}"),
        Expr::Ident(name) => name.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compile;
    use super::*;

    #[track_caller]
    fn verify(source: &str, expect: &str) {
        let schema = json!({ "type": "object", "properties": {
            "count": { "type": "integer" }, "s": { "type": "string" }, "d": { "type": "number" },
            "when": { "type": "string", "format": "date-time" }, "port": { "x-kubernetes-int-or-string": true },
            "l": { "type": "array", "items": { "type": "string" } },
            "o": { "type": "object", "properties": { "x": { "type": "boolean" }, "a-b": { "type": "string" } } },
            "m": { "type": "object", "additionalProperties": { "type": "integer" } },
            "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
        } });
        let node = Node::parse(&schema);
        let expr = compile(source).unwrap();
        let seen =
            check(source, &expr, &node, false).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(seen.trim_start_matches("ERROR: <input>:1:"), expect, "{source}");
    }

    #[test]
    fn fields_that_the_schema_does_not_have_are_found() {
        verify("self.x == 1", "5: undefined field 'x'");
        verify("self.o.y", "7: undefined field 'y'");
        verify("has(self.o.y)", "11: undefined field 'y'");
        verify("self.s.n == 1", "7: type 'string' does not support field selection");
        verify("self.l.all(i, i.name == 'x')", "16: type 'string' does not support field selection");
    }

    #[test]
    fn operands_that_do_not_go_together_are_found() {
        verify("self.s + 1 == 'a'", "8: found no matching overload for '_+_' applied to '(string, int)'");
        verify("self.m.a == 'x'", "10: found no matching overload for '_==_' applied to '(int, string)'");
        verify("self.d + 1 > 2.0", "8: found no matching overload for '_+_' applied to '(double, int)'");
        verify("self.l.all(i, i > 1)", "17: found no matching overload for '_>_' applied to '(string, int)'");
        verify("self.s.size() > 'a'", "15: found no matching overload for '_>_' applied to '(int, string)'");
        verify("self.s.matches(1)", "15: found no matching overload for 'matches' applied to 'string.(int)'");
        verify("self.s && true", "5: expected type 'bool' but found 'string'");
        verify(
            "self.l + 1 == []",
            "8: found no matching overload for '_+_' applied to '(list(string), int)'",
        );
    }

    #[test]
    fn what_may_work_is_left_alone() {
        for rule in [
            "self.count > 1.5 && self.d < 3",
            "self.when > timestamp('2020-01-01T00:00:00Z') && self.when + duration('1h') > self.when",
            "self.port == 80 || self.port == 'http'",
            "self.free.any.thing == 1 && self.metadata.name.startsWith('a')",
            "self.o.a__dash__b == 'x' && self.?o.?x.orValue(false)",
            "self.l.map(i, i.size()).all(n, n > 1) && self.l.filter(i, i != '').size() == self.l.size()",
            "self.m.all(k, self.m[k] > 1) && self.m.exists(k, v, k == 'a' && v > 1)",
            "self.l == oldSelf.l || self.l + ['a'] == oldSelf.l",
            "(self.o.x ? self.s : 'b') == 'b' && self.l[0].startsWith('a') && 'a' in self.l",
            "cel.bind(n, self.count, n * n > 4) && [1, 2].exists(x, x == self.count)",
            "quantity(self.s).isGreaterThan(quantity('1')) && self.s.find('[0-9]+') != ''",
        ] {
            verify(rule, "");
        }
    }
}
