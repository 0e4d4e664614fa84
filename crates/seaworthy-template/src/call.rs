//! How functions and methods receive arguments: arity, types, short-circuiting, and errors of the callee.

use crate::ast::{Expr, ExprKind, Number};
use crate::error::{Error, Failure};
use crate::eval::{At, Evaluated, Evaluator};
use crate::funcs;
use crate::value::{Elem, MapType, Param, Value};

impl<'t> Evaluator<'_, 't> {
    pub(crate) fn function(
        &mut self,
        dot: &Value,
        call: At<'t>,
        name: &str,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Evaluated {
        let Some(function) = funcs::find(name) else {
            return self.error(format!("{} is not a defined function", crate::gofmt::quote(name.as_bytes())));
        };
        let arity = Arity { name, params: function.params, rest: function.rest };
        if matches!(name, "and" | "or") {
            self.check_arity(&arity, args.len(), last.is_some())?;
            return self.and_or(dot, name == "or", args, last);
        }
        let values = self.arguments(dot, &arity, args, last)?;
        if let ("call", Some(callee)) = (name, args.first()) {
            return self.finish(call, name, Err(not_callable(&values[0], callee).into()));
        }
        let scope = self.scope.clone();
        let result = (function.run)(&mut funcs::Cx { runtime: self.runtime, scope: &scope }, &values);
        let result = result.and_then(|value| self.runtime.checked(value));
        self.finish(call, name, result)
    }

    pub(crate) fn method(
        &mut self,
        dot: &Value,
        expr: &'t Expr,
        receiver: &Value,
        (name, params): (&str, &'static [Param]),
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Evaluated {
        let values = self.arguments(dot, &Arity { name, params, rest: None }, args, last)?;
        let result = match receiver {
            Value::Object(object) => object.call(name, &values),
            Value::Map(map) => crate::values_methods::call(map, name, &values),
            other => funcs::dates::call_method(other, name, &values),
        };
        self.finish(At::Expr(expr), name, result)
    }

    fn finish(&mut self, call: At<'t>, name: &str, result: Evaluated) -> Evaluated {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(limit @ Error::Limit { .. }) => return Err(limit),
            Err(error) => error,
        };
        self.at(call);
        match error {
            Error::Message(message) => Err(self.exec_error(format!("error calling {name}: {message}"), None)),
            cause => Err(self.exec_error(format!("error calling {name}: "), Some(Box::new(cause)))),
        }
    }

    fn and_or(&mut self, dot: &Value, is_or: bool, args: &'t [Expr], last: Option<Value>) -> Evaluated {
        let mut value = Value::Absent;
        for arg in args {
            value = self.argument(dot, Param::Raw, arg)?;
            if value.truth() == is_or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn check_arity(&self, arity: &Arity<'_>, given: usize, piped: bool) -> Result<(), Failure> {
        let total = given + usize::from(piped);
        let wanted = arity.params.len();
        match arity.rest {
            Some(_) if total < wanted => self.error(format!(
                "wrong number of args for {}: want at least {wanted} got {given}",
                arity.name
            )),
            None if total != wanted => {
                self.error(format!("wrong number of args for {}: want {wanted} got {total}", arity.name))
            }
            _ => Ok(()),
        }
    }

    fn arguments(
        &mut self,
        dot: &Value,
        arity: &Arity<'_>,
        args: &'t [Expr],
        last: Option<Value>,
    ) -> Result<Vec<Value>, Failure> {
        self.check_arity(arity, args.len(), last.is_some())?;
        let mut values = Vec::with_capacity(args.len() + 1);
        for arg in args {
            let param = arity.param(values.len());
            values.push(self.argument(dot, param, arg)?);
        }
        if let Some(last) = last {
            values.push(self.validate(last, arity.param(values.len()))?);
        }
        Ok(values)
    }

    fn argument(&mut self, dot: &Value, param: Param, expr: &'t Expr) -> Evaluated {
        match (&expr.kind, param) {
            (ExprKind::Nil, Param::Raw) => Ok(Value::Absent),
            (ExprKind::Nil, Param::Any | Param::Map | Param::List) => Ok(Value::Nil),
            (ExprKind::Nil, _) => {
                self.at(At::Expr(expr));
                self.error(format!("cannot assign nil to {}", type_name(param)))
            }
            (ExprKind::Bool(_) | ExprKind::Number(..) | ExprKind::Str(..), _) => {
                self.literal(dot, param, expr)
            }
            _ => {
                let value = self.operand(dot, expr)?;
                self.validate(value, param)
            }
        }
    }

    fn literal(&mut self, dot: &Value, param: Param, expr: &'t Expr) -> Evaluated {
        self.at(At::Expr(expr));
        match (param, &expr.kind) {
            (Param::Any | Param::Raw, _) => self.operand(dot, expr),
            (Param::Str, ExprKind::Str(_, value)) => Ok(value.clone()),
            (Param::Str, _) => self.error(format!("expected string; found {expr}")),
            (Param::Bool, ExprKind::Bool(b)) => Ok(Value::Bool(*b)),
            (Param::Bool, _) => self.error(format!("expected bool; found {expr}")),
            (Param::Duration, ExprKind::Number(_, Number { int: Some(n), .. })) => Ok(Value::Duration(*n)),
            (Param::Int | Param::Int64, ExprKind::Number(_, number)) if number.int.is_some() => {
                Ok(Value::Int(number.int.unwrap_or_default()))
            }
            (Param::Int | Param::Int64 | Param::Duration, _) => {
                self.error(format!("expected integer; found {expr}"))
            }
            (Param::Uint32, ExprKind::Number(_, Number { int: Some(n), .. }))
                if u32::try_from(*n).is_ok() =>
            {
                Ok(Value::Int(*n))
            }
            (Param::Uint32, _) => self.error(format!("expected unsigned integer; found {expr}")),
            (Param::Float, ExprKind::Number(_, number)) if number.float.is_some() => {
                Ok(Value::Float(number.float.unwrap_or_default()))
            }
            (Param::Float, _) => self.error(format!("expected float; found {expr}")),
            (Param::Map | Param::List | Param::Time | Param::Object(_), _) => {
                self.error(format!("can't handle {expr} for arg of type {}", type_name(param)))
            }
        }
    }

    fn validate(&self, value: Value, param: Param) -> Evaluated {
        match (param, &value) {
            (Param::Raw, _) => Ok(value),
            (Param::Any, _) => Ok(value.boxed()),
            (Param::Map | Param::List, Value::Absent) => Ok(value),
            (Param::List, Value::List(list)) if list.elem == Elem::Any => Ok(value),
            (Param::Object(name), Value::Object(object)) if object.type_name() == name => Ok(value),
            (Param::Str, Value::Str(_))
            | (Param::Int, Value::Int(_))
            | (Param::Int64, Value::Int64(_))
            | (Param::Float, Value::Float(_))
            | (Param::Bool, Value::Bool(_))
            | (Param::Duration, Value::Duration(_))
            | (Param::Time, Value::Time(_)) => Ok(value),
            (Param::Map, Value::Map(map)) if map.kind != MapType::Str => Ok(value),
            (_, Value::Absent) => self.error(format!("invalid value; expected {}", type_name(param))),
            _ => self.error(format!(
                "wrong type for value; expected {}; got {}",
                type_name(param),
                value.static_type()
            )),
        }
    }
}

/// Templates hold no functions as values, so `call` can only fail.
fn not_callable(value: &Value, callee: &Expr) -> String {
    if value.is_nil() {
        return "call of nil".to_owned();
    }
    format!("non-function {callee} of type {}", value.type_name())
}

/// The shape of a call: fixed parameters and the type of any further ones.
struct Arity<'a> {
    name: &'a str,
    params: &'static [Param],
    rest: Option<Param>,
}

impl Arity<'_> {
    fn param(&self, index: usize) -> Param {
        self.params.get(index).copied().or(self.rest).unwrap_or(Param::Any)
    }
}

fn type_name(param: Param) -> &'static str {
    match param {
        Param::Any => "interface {}",
        Param::Raw => "reflect.Value",
        Param::Str => "string",
        Param::Int => "int",
        Param::Int64 => "int64",
        Param::Float => "float64",
        Param::Bool => "bool",
        Param::Uint32 => "uint32",
        Param::Map => "map[string]interface {}",
        Param::List => "[]interface {}",
        Param::Object(name) => name,
        Param::Time => "time.Time",
        Param::Duration => "time.Duration",
    }
}
