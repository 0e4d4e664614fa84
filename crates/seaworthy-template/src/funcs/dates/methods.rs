//! Methods of times and durations that templates can call.

use std::rc::Rc;

use jiff::SignedDuration;

use super::layout::{DAYS, MONTHS};
use super::{display, formatted};
use crate::funcs::{Returned, durations, int, text};
use crate::moment::{Moment, Zone};
use crate::value::{Object, Param, Value};

const DURATION: Param = Param::Duration;

/// The parameters of a method, if there is one of that name.
pub fn find(receiver: &Value, name: &str) -> Option<&'static [Param]> {
    match (receiver, name) {
        (
            Value::Time(_),
            "Unix" | "UnixNano" | "UnixMilli" | "UnixMicro" | "Year" | "Month" | "Day" | "Hour" | "Minute"
            | "Second" | "Nanosecond" | "Weekday" | "YearDay" | "UTC" | "Local" | "String" | "IsZero",
        ) => Some(&[]),
        (Value::Time(_), "Format") => Some(&[Param::Str]),
        (Value::Time(_), "Before" | "After" | "Equal" | "Compare" | "Sub") => Some(&[Param::Time]),
        (Value::Time(_), "Add" | "Truncate" | "Round") => Some(&[DURATION]),
        (Value::Time(_), "AddDate") => Some(&[Param::Int, Param::Int, Param::Int]),
        (
            Value::Duration(_),
            "Seconds" | "Minutes" | "Hours" | "String" | "Milliseconds" | "Microseconds" | "Nanoseconds"
            | "Abs",
        ) => Some(&[]),
        (Value::Duration(_), "Round" | "Truncate") => Some(&[DURATION]),
        _ => None,
    }
}

/// Calls a method that [`find`] knows.
pub fn call(receiver: &Value, name: &str, args: &[Value]) -> Returned {
    let first = args.first().cloned().unwrap_or_default();
    match (receiver, first) {
        (Value::Time(time), Value::Time(other)) => Ok(compared(time, &other, name)),
        (Value::Time(time), Value::Duration(nanos)) => moved(time, nanos, name),
        (Value::Time(time), Value::Int(_)) => add_date(time, args),
        (Value::Time(time), Value::Str(layout)) => {
            Ok(Value::str(formatted(&text(&Value::Str(layout)), time)))
        }
        (Value::Time(time), _) => Ok(of_time(time, name)),
        (Value::Duration(nanos), other) => Ok(of_duration(*nanos, name, int(&other))),
        _ => Err(format!("no method {name}").into()),
    }
}

fn of_time(time: &Moment, name: &str) -> Value {
    let zoned = time.zoned();
    match name {
        "Unix" => Value::Int64(time.at.as_second()),
        "UnixMilli" => Value::Int64(time.at.as_millisecond()),
        "UnixMicro" => Value::Int64(time.at.as_microsecond()),
        "UnixNano" => Value::Int64(time.at.as_nanosecond() as i64),
        "Year" => Value::Int(i64::from(zoned.year())),
        "Month" => named(MONTHS[zoned.month() as usize - 1], i64::from(zoned.month()), "time.Month"),
        "Day" => Value::Int(i64::from(zoned.day())),
        "Hour" => Value::Int(i64::from(zoned.hour())),
        "Minute" => Value::Int(i64::from(zoned.minute())),
        "Second" => Value::Int(i64::from(zoned.second())),
        "Nanosecond" => Value::Int(i64::from(zoned.subsec_nanosecond())),
        "Weekday" => {
            let day = zoned.weekday();
            let name = DAYS[day.to_monday_zero_offset() as usize];
            named(name, i64::from(day.to_sunday_zero_offset()), "time.Weekday")
        }
        "YearDay" => Value::Int(i64::from(zoned.day_of_year())),
        "IsZero" => Value::Bool(*time == Moment::zero()),
        "String" => Value::str(display(time)),
        "UTC" | "Local" => Value::Time(Moment { at: time.at, zone: Zone::Utc }),
        _ => Value::Time(*time),
    }
}

fn compared(time: &Moment, other: &Moment, name: &str) -> Value {
    match name {
        "Before" => Value::Bool(time.at < other.at),
        "After" => Value::Bool(time.at > other.at),
        "Equal" => Value::Bool(time.at == other.at),
        "Compare" => Value::Int(time.at.cmp(&other.at) as i64),
        _ => {
            let nanos = time.at.as_nanosecond() - other.at.as_nanosecond();
            Value::Duration(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
        }
    }
}

fn moved(time: &Moment, nanos: i64, name: &str) -> Returned {
    let unit = i128::from(nanos);
    // Go counts multiples from its zero time.
    let since_zero = time.at.as_nanosecond() - Moment::zero().at.as_nanosecond();
    let rest = if unit > 0 { since_zero.rem_euclid(unit) } else { 0 };
    let by = match name {
        "Add" => unit,
        "Round" if rest * 2 >= unit && unit > 0 => unit - rest,
        _ => -rest,
    };
    let by = SignedDuration::from_nanos(i64::try_from(by).unwrap_or(0));
    time.at.checked_add(by).map(|at| Value::Time(time.with(at))).map_err(|error| error.to_string().into())
}

fn add_date(time: &Moment, args: &[Value]) -> Returned {
    let part = |i: usize| args.get(i).map_or(0, int);
    let add = || {
        let span = jiff::Span::new().try_years(part(0)).ok()?.try_months(part(1)).ok()?;
        let zoned = time.zoned();
        // Go lets an overlong day run into the next month: January 31 and one month is March 2 or 3.
        let first = zoned.first_of_month().ok()?.checked_add(span).ok()?;
        let days = jiff::Span::new().try_days(i64::from(zoned.day()) - 1 + part(2)).ok()?;
        Some(first.checked_add(days).ok()?.timestamp())
    };
    add().map(|at| Value::Time(time.with(at))).ok_or_else(|| "the date is out of range".into())
}

fn of_duration(nanos: i64, name: &str, unit: i64) -> Value {
    match name {
        "Seconds" => Value::Float(nanos as f64 / 1e9),
        "Minutes" => Value::Float(nanos as f64 / 60e9),
        "Hours" => Value::Float(nanos as f64 / 3600e9),
        "Milliseconds" => Value::Int64(nanos / 1_000_000),
        "Microseconds" => Value::Int64(nanos / 1_000),
        "Nanoseconds" => Value::Int64(nanos),
        "Abs" => Value::Duration(nanos.saturating_abs()),
        "Round" => Value::Duration(if unit > 0 { durations::round_to(nanos, unit) } else { nanos }),
        "Truncate" => Value::Duration(if unit > 0 { nanos - nanos % unit } else { nanos }),
        _ => Value::str(go_duration::display(nanos)),
    }
}

fn named(name: &'static str, number: i64, type_name: &'static str) -> Value {
    Value::Object(Rc::new(Named { name, number, type_name }))
}

/// `time.Month` and `time.Weekday`: numbers that print as names.
struct Named {
    name: &'static str,
    number: i64,
    type_name: &'static str,
}

impl Object for Named {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn kind(&self) -> &'static str {
        "int"
    }

    fn method(&self, name: &str) -> Option<&'static [Param]> {
        (name == "String").then_some(&[])
    }

    fn call(&self, _: &str, _: &[Value]) -> Returned {
        Ok(Value::str(self.name))
    }

    fn plain(&self) -> Value {
        Value::Int(self.number)
    }

    fn text(&self) -> Option<String> {
        Some(self.name.to_owned())
    }
}
