//! Helm's conversions of durations.

use super::{Function, f, string, text};
use crate::value::Param::Any;
use crate::value::Value;

const SECOND: i64 = 1_000_000_000;

pub const TABLE: &[Function] = &[
    f("mustToDuration", &[Any], |_, a| parse_any(&a[0]).map(Value::Duration).map_err(Into::into)),
    f("durationNanoseconds", &[Any], |_, a| Ok(Value::Int64(parse_any(&a[0]).unwrap_or(0)))),
    f("durationMicroseconds", &[Any], |_, a| Ok(Value::Int64(parse_any(&a[0]).unwrap_or(0) / 1_000))),
    f("durationMilliseconds", &[Any], |_, a| Ok(Value::Int64(parse_any(&a[0]).unwrap_or(0) / 1_000_000))),
    f("durationSeconds", &[Any], |_, a| Ok(in_units(&a[0], 1))),
    f("durationMinutes", &[Any], |_, a| Ok(in_units(&a[0], 60))),
    f("durationHours", &[Any], |_, a| Ok(in_units(&a[0], 3_600))),
    f("durationDays", &[Any], |_, a| Ok(in_units(&a[0], 86_400))),
    f("durationWeeks", &[Any], |_, a| Ok(in_units(&a[0], 604_800))),
    f("durationTruncateTo", &[Any, Any], |_, a| {
        let (duration, unit) = (parse_any(&a[0]).unwrap_or(0), parse_any(&a[1]).unwrap_or(0));
        Ok(Value::Duration(if unit > 0 { duration - duration % unit } else { duration }))
    }),
    f("durationRoundTo", &[Any, Any], |_, a| {
        let (duration, unit) = (parse_any(&a[0]).unwrap_or(0), parse_any(&a[1]).unwrap_or(0));
        Ok(Value::Duration(if unit > 0 { round_to(duration, unit) } else { duration }))
    }),
    f("duration", &[Any], |_, a| {
        let seconds = match &a[0] {
            Value::Int64(n) => *n,
            value @ Value::Str(_) => text(value).parse().unwrap_or(0),
            _ => 0,
        };
        string(go_duration::display(seconds.saturating_mul(SECOND)))
    }),
    f("durationRound", &[Any], |cx, a| {
        let nanos = match &a[0] {
            Value::Int64(n) => *n,
            value @ Value::Str(_) => go_duration::parse(&text(value)).unwrap_or(0),
            Value::Time(time) => (cx.runtime.now().as_nanosecond() - time.at.as_nanosecond()) as i64,
            _ => 0,
        };
        string(rough(nanos.unsigned_abs()))
    }),
];

fn in_units(value: &Value, seconds: i64) -> Value {
    Value::Float(parse_any(value).unwrap_or(0) as f64 / (seconds * SECOND) as f64)
}

pub fn round_to(duration: i64, unit: i64) -> i64 {
    let rest = duration % unit;
    match rest.abs().saturating_mul(2) < unit {
        true => duration - rest,
        false => duration - rest + unit * rest.signum(),
    }
}

fn parse_any(value: &Value) -> Result<i64, String> {
    match value {
        Value::Duration(nanos) => Ok(*nanos),
        Value::Int(n) | Value::Int64(n) => {
            n.checked_mul(SECOND).ok_or_else(|| format!("duration seconds overflow: {n}"))
        }
        Value::Float(seconds) => Ok((seconds * SECOND as f64) as i64),
        Value::Str(_) => {
            let text = text(value);
            let text = text.trim();
            if text.is_empty() {
                return Err("empty duration".into());
            }
            go_duration::parse(text)
                .or_else(|| text.parse::<f64>().ok().map(|seconds| (seconds * SECOND as f64) as i64))
                .ok_or_else(|| format!("could not parse duration {}", crate::gofmt::quote(text.as_bytes())))
        }
        Value::Absent | Value::Nil => Err("invalid duration".into()),
        other => Err(format!("unsupported duration type {}", other.type_name())),
    }
}

fn rough(nanos: u64) -> String {
    let seconds = |n: u64| n * 1_000_000_000;
    let units = [
        (seconds(365 * 86_400), "y"),
        (seconds(30 * 86_400), "mo"),
        (seconds(86_400), "d"),
        (seconds(3_600), "h"),
        (seconds(60), "m"),
        (seconds(1), "s"),
    ];
    match units.iter().find(|(unit, _)| nanos > *unit) {
        Some((unit, name)) => format!("{}{name}", nanos / unit),
        None => "0s".into(),
    }
}
