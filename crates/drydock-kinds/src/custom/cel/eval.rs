//! Evaluates a tree against the checked object, within a budget.
//!
//! Start at [`Eval::value`]. Every step costs; when the budget is used up the evaluation ends with an error of its own,
//! so that no expression can keep the server busy.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::functions;
use super::parser::{Expr, Loop, LoopKind};
use super::value::{Key, Val, equal, order, unescaped};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The budget is used up.
    Budget,
    Error(String),
}

pub(super) fn no_overload<T>() -> Result<T, Failure> {
    Err(Failure::Error("no such overload".to_owned()))
}

/// One evaluation.
pub(super) struct Eval<'a, 'b> {
    pub budget: &'b Cell<u64>,
    pub scope: Vec<(String, Val<'a>)>,
}

impl<'a> Eval<'a, '_> {
    /// Uses up some of the budget.
    pub fn spend(&self, cost: u64) -> Result<(), Failure> {
        match self.budget.get().checked_sub(cost) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => {
                self.budget.set(0);
                Err(Failure::Budget)
            }
        }
    }

    /// As a question, for code that cannot fail.
    fn can_spend(&self, cost: u64) -> bool {
        self.spend(cost).is_ok()
    }

    pub fn equals(&self, a: &Val<'a>, b: &Val<'a>) -> Result<bool, Failure> {
        let same = equal(a, b, &|cost| self.can_spend(cost));
        // Without budget the answer means nothing.
        if self.budget.get() == 0 { Err(Failure::Budget) } else { Ok(same) }
    }

    pub fn value(&mut self, expr: &Expr) -> Result<Val<'a>, Failure> {
        self.spend(1)?;
        Ok(match expr {
            Expr::Null => Val::Null,
            Expr::Bool(value) => Val::Bool(*value),
            Expr::Int(value) => Val::Int(*value),
            Expr::Uint(value) => Val::Uint(*value),
            Expr::Double(value) => Val::Double(*value),
            Expr::Text(text) => Val::text(text.clone()),
            Expr::Bytes(bytes) => Val::Bytes(bytes.as_slice().into()),
            Expr::Ident(name) => return self.named(name),
            Expr::Select(of, field, optional) => {
                let of = self.value(of)?;
                return select(&of, &Val::text(unescaped(field)), *optional);
            }
            Expr::Has(of, field) => return self.has(of, field),
            Expr::Index(of, index, optional) => {
                let (of, index) = (self.value(of)?, self.value(index)?);
                return select(&of, &index, *optional);
            }
            Expr::Call(target, name, args) => return self.call(target.as_deref(), name, args),
            Expr::List(items) => self.list(items)?,
            Expr::Map(entries) => self.map(entries)?,
            Expr::Not(inner) => Val::Bool(!self.truth(inner)?),
            Expr::Negate(inner) => return self.negate(inner),
            Expr::Binary(sign, left, right) => return self.binary(sign, left, right),
            Expr::Choice(condition, yes, no) => match self.truth(condition)? {
                true => return self.value(yes),
                false => return self.value(no),
            },
            Expr::Loop(inner) => return self.run(inner),
            Expr::Bind(name, value, body) => {
                let value = self.value(value)?;
                return self.with(&[(name, value)], body);
            }
            Expr::Optional(of, name, body, flat) => match self.value(of)? {
                Val::Optional(None) => Val::Optional(None),
                Val::Optional(Some(inner)) => {
                    let mapped = self.with(&[(name, inner.as_ref().clone())], body)?;
                    if *flat { mapped } else { Val::Optional(Some(Rc::new(mapped))) }
                }
                _ => return no_overload(),
            },
        })
    }

    fn named(&self, name: &str) -> Result<Val<'a>, Failure> {
        let bound = self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        bound
            .or_else(|| functions::type_named(name).map(Val::Type))
            .ok_or_else(|| Failure::Error(format!("undeclared reference to '{name}'")))
    }

    fn with(&mut self, names: &[(&str, Val<'a>)], body: &Expr) -> Result<Val<'a>, Failure> {
        let depth = self.scope.len();
        self.scope.extend(names.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let result = self.value(body);
        self.scope.truncate(depth);
        result
    }

    fn truth(&mut self, expr: &Expr) -> Result<bool, Failure> {
        match self.value(expr)? {
            Val::Bool(value) => Ok(value),
            _ => no_overload(),
        }
    }

    fn has(&mut self, of: &Expr, field: &str) -> Result<Val<'a>, Failure> {
        let of = self.value(of)?;
        let name = Val::text(unescaped(field));
        Ok(Val::Bool(match &of {
            Val::Optional(inner) => inner.as_ref().is_some_and(|inner| inner.get(&name).is_some()),
            Val::Object(..) | Val::Map(_) => of.get(&name).is_some(),
            _ => return no_overload(),
        }))
    }

    fn call(&mut self, target: Option<&Expr>, name: &str, args: &[Expr]) -> Result<Val<'a>, Failure> {
        if let Some(Expr::Ident(module)) = target
            && functions::is_module(module)
            && self.scope.iter().all(|(known, _)| known != module)
        {
            let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
            return functions::call(self, &format!("{module}.{name}"), &args);
        }
        let target = target.map(|target| self.value(target)).transpose()?;
        let args = args.iter().map(|arg| self.value(arg)).collect::<Result<Vec<_>, _>>()?;
        let all: Vec<Val<'a>> = target.into_iter().chain(args).collect();
        functions::call(self, name, &all)
    }

    fn list(&mut self, items: &[(Expr, bool)]) -> Result<Val<'a>, Failure> {
        let mut found = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.value(item)?, optional) {
                (Val::Optional(inner), true) => found.extend(inner.map(|inner| inner.as_ref().clone())),
                (value, _) => found.push(value),
            }
        }
        Ok(Val::list(found))
    }

    fn map(&mut self, entries: &[(Expr, Expr, bool)]) -> Result<Val<'a>, Failure> {
        let mut found = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.value(key)?;
            let Some(key) = Key::of(&key) else { return no_overload() };
            let value = match (self.value(value)?, optional) {
                (Val::Optional(None), true) => continue,
                (Val::Optional(Some(inner)), true) => inner.as_ref().clone(),
                (value, _) => value,
            };
            if found.insert(key, value).is_some() {
                return Err(Failure::Error("Failed with repeated key".to_owned()));
            }
        }
        Ok(Val::Map(Rc::new(found)))
    }

    fn negate(&mut self, inner: &Expr) -> Result<Val<'a>, Failure> {
        match self.value(inner)? {
            Val::Int(value) => value.checked_neg().map(Val::Int).ok_or_else(overflow),
            Val::Double(value) => Ok(Val::Double(-value)),
            Val::Duration(value) => value.checked_neg().map(Val::Duration).ok_or_else(overflow),
            _ => no_overload(),
        }
    }

    fn binary(&mut self, sign: &str, left: &Expr, right: &Expr) -> Result<Val<'a>, Failure> {
        if matches!(sign, "&&" | "||") {
            return self.logic(sign == "||", left, right);
        }
        let (a, b) = (self.value(left)?, self.value(right)?);
        match sign {
            "==" => self.equals(&a, &b).map(Val::Bool),
            "!=" => self.equals(&a, &b).map(|same| Val::Bool(!same)),
            "in" => self.contains(&b, &a).map(Val::Bool),
            "<" | "<=" | ">" | ">=" => {
                self.spend(a.weight().min(b.weight()))?;
                let Some(order) = order(&a, &b) else { return no_overload() };
                Ok(Val::Bool(match sign {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            _ => {
                if matches!(a, Val::Text(_) | Val::Bytes(_) | Val::List(_) | Val::Items(..)) {
                    self.spend(a.weight() + b.weight())?;
                }
                functions::arithmetic(sign, &a, &b)
            }
        }
    }

    /// A side that decides wins over an error of the other one.
    fn logic(&mut self, decides: bool, left: &Expr, right: &Expr) -> Result<Val<'a>, Failure> {
        let first = self.truth(left);
        match first {
            Ok(value) if value == decides => Ok(Val::Bool(decides)),
            Err(Failure::Budget) => Err(Failure::Budget),
            Ok(_) => self.truth(right).map(Val::Bool),
            Err(error) => match self.truth(right) {
                Ok(value) if value == decides => Ok(Val::Bool(decides)),
                Err(Failure::Budget) => Err(Failure::Budget),
                _ => Err(error),
            },
        }
    }

    /// Whether a list has an item, or a map a key.
    pub fn contains(&self, whole: &Val<'a>, part: &Val<'a>) -> Result<bool, Failure> {
        match whole {
            Val::Map(_) | Val::Object(..) => Ok(whole.get(part).is_some()),
            Val::List(_) | Val::Items(..) => {
                for item in whole.items().unwrap_or_default() {
                    if self.equals(&item, part)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => no_overload(),
        }
    }

    fn run<'n>(&mut self, inner: &'n Loop) -> Result<Val<'a>, Failure> {
        let over = self.value(&inner.over)?;
        self.spend(over.weight())?;
        let two = inner.names.len() == 2;
        let (pairs, is_list): (Vec<(Val<'a>, Val<'a>)>, bool) = match (over.items(), over.entries()) {
            (Some(items), _) => {
                let numbered = items.into_iter().enumerate();
                (numbered.map(|(index, item)| (Val::Int(index as i64), item)).collect(), true)
            }
            (_, Some(entries)) => (entries, false),
            _ => return no_overload(),
        };
        let bound = |key: &Val<'a>, value: &Val<'a>| -> Vec<(&'n str, Val<'a>)> {
            match (two, is_list) {
                (true, _) => {
                    vec![(inner.names[0].as_str(), key.clone()), (inner.names[1].as_str(), value.clone())]
                }
                (false, true) => vec![(inner.names[0].as_str(), value.clone())],
                (false, false) => vec![(inner.names[0].as_str(), key.clone())],
            }
        };
        match inner.kind {
            LoopKind::All | LoopKind::Exists => self.quantify(inner, &pairs, bound),
            LoopKind::ExistsOne => {
                let mut count = 0;
                for (key, value) in &pairs {
                    count += usize::from(self.condition(&inner.body, &bound(key, value))?);
                }
                Ok(Val::Bool(count == 1))
            }
            LoopKind::Filter => {
                let mut kept = Vec::new();
                for (key, value) in &pairs {
                    if self.condition(&inner.body, &bound(key, value))? {
                        kept.push(if is_list { value.clone() } else { key.clone() });
                    }
                }
                Ok(Val::list(kept))
            }
            LoopKind::Map => {
                let mut mapped = Vec::new();
                for (key, value) in &pairs {
                    let names = bound(key, value);
                    if self.passes(inner.filter.as_ref(), &names)? {
                        mapped.push(self.with(&names, &inner.body)?);
                    }
                }
                Ok(Val::list(mapped))
            }
            LoopKind::TransformMap => {
                let mut mapped = BTreeMap::new();
                for (key, value) in &pairs {
                    let names = bound(key, value);
                    if self.passes(inner.filter.as_ref(), &names)? {
                        let Some(key) = Key::of(key) else { return no_overload() };
                        mapped.insert(key, self.with(&names, &inner.body)?);
                    }
                }
                Ok(Val::Map(Rc::new(mapped)))
            }
            LoopKind::SortBy => {
                let mut keyed = Vec::new();
                for (key, value) in &pairs {
                    keyed.push((self.with(&bound(key, value), &inner.body)?, value.clone()));
                }
                self.spend(keyed.len() as u64 * 4)?;
                keyed.sort_by(|(a, _), (b, _)| order(a, b).unwrap_or(std::cmp::Ordering::Equal));
                Ok(Val::list(keyed.into_iter().map(|(_, value)| value).collect()))
            }
        }
    }

    fn quantify<'n>(
        &mut self,
        inner: &'n Loop,
        pairs: &[(Val<'a>, Val<'a>)],
        bound: impl Fn(&Val<'a>, &Val<'a>) -> Vec<(&'n str, Val<'a>)>,
    ) -> Result<Val<'a>, Failure> {
        let decides = inner.kind == LoopKind::Exists;
        let mut failed = None;
        for (key, value) in pairs {
            match self.condition(&inner.body, &bound(key, value)) {
                Ok(found) if found == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(Failure::Budget) => return Err(Failure::Budget),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn passes(&mut self, filter: Option<&Expr>, names: &[(&str, Val<'a>)]) -> Result<bool, Failure> {
        filter.map_or(Ok(true), |filter| self.condition(filter, names))
    }

    fn condition(&mut self, body: &Expr, names: &[(&str, Val<'a>)]) -> Result<bool, Failure> {
        match self.with(names, body)? {
            Val::Bool(value) => Ok(value),
            _ => no_overload(),
        }
    }
}

pub(super) fn overflow() -> Failure {
    Failure::Error("integer overflow".to_owned())
}

pub(super) fn unsigned_overflow() -> Failure {
    Failure::Error("unsigned integer overflow".to_owned())
}

/// A field, entry or item. Below an optional value everything is optional.
fn select<'a>(of: &Val<'a>, key: &Val<'a>, optional: bool) -> Result<Val<'a>, Failure> {
    let wrapped = |found: Option<Val<'a>>| Ok(Val::Optional(found.map(Rc::new)));
    if let Val::Optional(inner) = of {
        return wrapped(inner.as_ref().and_then(|inner| item(inner, key)));
    }
    match (item(of, key), optional) {
        (found, true) => wrapped(found),
        (Some(found), false) => Ok(found),
        (None, false) => match (of, key) {
            (Val::Object(..) | Val::Map(_), key) => {
                Err(Failure::Error(format!("no such key: {}", functions::plain(key))))
            }
            (Val::List(_) | Val::Items(..), Val::Int(index)) => {
                Err(Failure::Error(format!("index out of bounds: {index}")))
            }
            _ => no_overload(),
        },
    }
}

fn item<'a>(of: &Val<'a>, key: &Val<'a>) -> Option<Val<'a>> {
    match (of, key) {
        (Val::List(items), Val::Int(index)) => items.get(usize::try_from(*index).ok()?).cloned(),
        (Val::Items(items, node), Val::Int(index)) => {
            let value = items.get(usize::try_from(*index).ok()?)?;
            Some(super::value::lift(value, node.and_then(|node| node.items.as_deref())))
        }
        _ => of.get(key),
    }
}
