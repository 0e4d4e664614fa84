//! Conversion and arithmetic with Sprig's and `cast`'s forgiving rules.

use super::{Function, decimals, f, int, string, text, v};
use crate::error::Failure;
use crate::value::Param::{Any, Float, Int};
use crate::value::Value;

/// The longest list `until` and friends make.
const MAX_LIST: i64 = 1_000_000;

pub const TABLE: &[Function] = &[
    f("int", &[Any], |_, a| Ok(Value::Int(to_int64(&a[0])))),
    f("int64", &[Any], |_, a| Ok(Value::Int64(to_int64(&a[0])))),
    f("float64", &[Any], |_, a| Ok(Value::Float(to_float(&a[0])))),
    f("atoi", &[super::Param::Str], |_, a| Ok(Value::Int(text(&a[0]).parse().unwrap_or(0)))),
    f("toDecimal", &[Any], |_, a| Ok(Value::Int64(i64::from_str_radix(&text(&a[0]), 8).unwrap_or(0)))),
    f("add1", &[Any], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_add(1)))),
    v("add", &[], Any, |_, a| Ok(Value::Int64(a.iter().map(to_int64).fold(0, i64::wrapping_add)))),
    f("sub", &[Any, Any], |_, a| Ok(Value::Int64(to_int64(&a[0]).wrapping_sub(to_int64(&a[1]))))),
    f("div", &[Any, Any], |_, a| divide(a, i64::wrapping_div)),
    f("mod", &[Any, Any], |_, a| divide(a, i64::wrapping_rem)),
    v("mul", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_int64).fold(1, i64::wrapping_mul)))),
    v("max", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_int64).max().unwrap_or(0)))),
    v("biggest", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_int64).max().unwrap_or(0)))),
    v("min", &[Any], Any, |_, a| Ok(Value::Int64(a.iter().map(to_int64).min().unwrap_or(0)))),
    v("maxf", &[Any], Any, |_, a| Ok(Value::Float(a.iter().map(to_float).fold(f64::NEG_INFINITY, f64::max)))),
    v("minf", &[Any], Any, |_, a| Ok(Value::Float(a.iter().map(to_float).fold(f64::INFINITY, f64::min)))),
    f("add1f", &[Any], |_, a| Ok(Value::Float(decimals::add(to_float(&a[0]), 1.0)))),
    v("addf", &[], Any, |_, a| Ok(folded(0.0, a, decimals::add))),
    v("subf", &[Any], Any, |_, a| Ok(folded(to_float(&a[0]), &a[1..], decimals::sub))),
    v("mulf", &[Any], Any, |_, a| Ok(folded(to_float(&a[0]), &a[1..], decimals::mul))),
    v("divf", &[Any], Any, |_, a| {
        if a[1..].iter().any(|b| to_float(b) == 0.0) {
            return Err("decimal division by 0".into());
        }
        Ok(folded(to_float(&a[0]), &a[1..], decimals::div))
    }),
    f("ceil", &[Any], |_, a| Ok(Value::Float(to_float(&a[0]).ceil()))),
    f("floor", &[Any], |_, a| Ok(Value::Float(to_float(&a[0]).floor()))),
    v("round", &[Any, Int], Float, |_, a| Ok(Value::Float(round(to_float(&a[0]), int(&a[1]), a.get(2))))),
    f("until", &[Int], |_, a| {
        let count = int(&a[0]);
        steps(0, count, if count < 0 { -1 } else { 1 }).map(Value::ints)
    }),
    f("untilStep", &[Int, Int, Int], |_, a| steps(int(&a[0]), int(&a[1]), int(&a[2])).map(Value::ints)),
    v("seq", &[], Int, |_, a| {
        let list = seq(&a.iter().map(int).collect::<Vec<_>>())?;
        string(list.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
    }),
];

/// Go's `strconv.ParseInt(text, 0, 64)`: prefixes `0x`, `0o`, `0b`, a leading zero means octal.
pub fn parse_go_int(text: &str) -> Option<i64> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = body.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (&lower[2..], 16),
        Some("0o") => (&lower[2..], 8),
        Some("0b") => (&lower[2..], 2),
        _ if lower.starts_with('0') && lower.len() > 1 => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    let plain = digits.replace('_', "");
    if !plain.starts_with(|c: char| c.is_digit(radix)) || digits.ends_with('_') {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{plain}"), radix).ok()
}

/// `10.00` counts as `10`.
fn trim_zero_decimal(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    }
}

/// `cast.ToInt64`: anything that cannot be converted is 0.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(n) | Value::Int64(n) => *n,
        // Go's conversion of an out-of-range float is unspecified; saturating is the least surprising.
        Value::Float(f) => *f as i64,
        Value::Bool(b) => i64::from(*b),
        Value::Str(_) => parse_go_int(trim_zero_decimal(&text(value))).unwrap_or(0),
        _ => 0,
    }
}

/// `cast.ToFloat64`: anything that cannot be converted is 0.
pub fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(n) | Value::Int64(n) => *n as f64,
        Value::Float(f) => *f,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Str(_) => parse_float(&text(value)).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// `strconv.ParseFloat`, which lets underscores stand between digits.
fn parse_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let between =
        |i: usize| i > 0 && bytes[i - 1].is_ascii_digit() && bytes.get(i + 1).is_some_and(u8::is_ascii_digit);
    if bytes.iter().enumerate().any(|(i, byte)| *byte == b'_' && !between(i)) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

fn divide(args: &[Value], op: fn(i64, i64) -> i64) -> super::Returned {
    match to_int64(&args[1]) {
        0 => Err("runtime error: integer divide by zero".into()),
        divisor => Ok(Value::Int64(op(to_int64(&args[0]), divisor))),
    }
}

fn folded(first: f64, others: &[Value], op: fn(f64, f64) -> f64) -> Value {
    Value::Float(others.iter().map(to_float).fold(first, op))
}

fn round(value: f64, places: i64, on: Option<&Value>) -> f64 {
    let on = on.map_or(0.5, to_float);
    let power = 10f64.powf(places as f64);
    let digit = power * value;
    let rounded = if digit.fract() >= on { digit.ceil() } else { digit.floor() };
    rounded / power
}

fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Failure> {
    if step == 0 || (stop < start) != (step < 0) {
        return Ok(Vec::new());
    }
    let count =
        (i128::from(stop) - i128::from(start)).unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    if count > MAX_LIST as u128 {
        return Err(Failure::Limit { what: "items in one list", limit: MAX_LIST as usize });
    }
    Ok((0..count as i64).map(|i| start + i * step).collect())
}

fn seq(params: &[i64]) -> Result<Vec<i64>, Failure> {
    let (start, step, end) = match *params {
        [end] => (1, None, end),
        [start, end] => (start, None, end),
        [start, step, end] => (start, Some(step), end),
        _ => return Ok(Vec::new()),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok(Vec::new());
    }
    steps(start, end.saturating_add(direction), step.unwrap_or(direction))
}
