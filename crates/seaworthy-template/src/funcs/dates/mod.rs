//! Points in time: Sprig's functions. Layouts are Go's (`2006-01-02`), the local zone is UTC, as in a container.
//!
//! How a layout is printed is in `layout`, how a text is read in `parse`, what `{{ $time.Year }}` does in `methods`.

mod layout;
mod methods;
mod parse;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Cx, Function, Returned, f, string, text};
use crate::moment::{Moment, Zone};
use crate::value::Param::{Any, Str, Time};
use crate::value::Value;

pub use methods::{call as call_method, find as method};

pub const TABLE: &[Function] = &[
    f("now", &[], |cx, _| Ok(Value::Time(cx.runtime.now().into()))),
    f("date", &[Str, Any], |cx, a| date_in_zone(cx, &a[0], &a[1], "UTC")),
    f("dateInZone", &[Str, Any, Str], |cx, a| date_in_zone(cx, &a[0], &a[1], &text(&a[2]))),
    f("date_in_zone", &[Str, Any, Str], |cx, a| date_in_zone(cx, &a[0], &a[1], &text(&a[2]))),
    f("htmlDate", &[Any], |cx, a| date_in_zone(cx, &Value::str("2006-01-02"), &a[0], "UTC")),
    f("htmlDateInZone", &[Any, Str], |cx, a| {
        date_in_zone(cx, &Value::str("2006-01-02"), &a[0], &text(&a[1]))
    }),
    f("dateModify", &[Str, Time], |_, a| Ok(modify(&a[0], &a[1]).unwrap_or_else(|| a[1].clone()))),
    f("date_modify", &[Str, Time], |_, a| Ok(modify(&a[0], &a[1]).unwrap_or_else(|| a[1].clone()))),
    f("mustDateModify", &[Str, Time], must_modify),
    f("must_date_modify", &[Str, Time], must_modify),
    f("ago", &[Any], |cx, a| {
        let now = cx.runtime.now();
        let then = instant(cx, &a[0]);
        let seconds = (now.as_nanosecond() - then.as_nanosecond() + 500_000_000).div_euclid(1_000_000_000);
        string(go_duration::display((seconds as i64).saturating_mul(1_000_000_000)))
    }),
    f("unixEpoch", &[Time], |_, a| match &a[0] {
        Value::Time(time) => string(time.at.as_second().to_string()),
        _ => string("0"),
    }),
    f("toDate", &[Str, Str], |_, a| {
        Ok(Value::Time(parse::parse(&text(&a[0]), &text(&a[1])).unwrap_or_else(|_| Moment::zero())))
    }),
    f("mustToDate", &[Str, Str], |_, a| {
        parse::parse(&text(&a[0]), &text(&a[1])).map(Value::Time).map_err(Into::into)
    }),
];

fn instant(cx: &Cx<'_>, value: &Value) -> Timestamp {
    match value {
        Value::Time(time) => time.at,
        Value::Int(n) | Value::Int64(n) => Timestamp::from_second(*n).unwrap_or(Timestamp::UNIX_EPOCH),
        _ => cx.runtime.now(),
    }
}

fn date_in_zone(cx: &mut Cx<'_>, layout: &Value, value: &Value, zone_name: &str) -> Returned {
    let zone = TimeZone::get(zone_name).unwrap_or(TimeZone::UTC);
    let zoned = instant(cx, value).to_zoned(zone);
    let name = zoned.time_zone().to_offset_info(zoned.timestamp()).abbreviation().to_owned();
    let name = if name.is_empty() { "UTC" } else { &name };
    string(layout::format(&text(layout), &zoned, name))
}

fn modify(by: &Value, time: &Value) -> Option<Value> {
    let Value::Time(time) = time else { return None };
    let nanos = go_duration::parse(&text(by))?;
    let at = time.at.checked_add(jiff::SignedDuration::from_nanos(nanos)).ok()?;
    Some(Value::Time(time.with(at)))
}

fn must_modify(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    modify(&args[0], &args[1]).ok_or_else(|| {
        format!("time: invalid duration {}", crate::gofmt::quote(text(&args[0]).as_bytes())).into()
    })
}

fn formatted(layout: &str, time: &Moment) -> String {
    layout::format(layout, &time.zoned(), &time.zone_name())
}

/// `%v` of a `time.Time`.
pub fn display(time: &Moment) -> String {
    formatted("2006-01-02 15:04:05.999999999 -0700 MST", time)
}

/// As TOML holds it: only the parts that were written.
pub fn toml(time: &Moment) -> String {
    match time.zone {
        Zone::Named("datetime-local") => formatted("2006-01-02T15:04:05.999999999", time),
        Zone::Named("date-local") => formatted("2006-01-02", time),
        Zone::Named("time-local") => formatted("15:04:05.999999999", time),
        _ => formatted("2006-01-02T15:04:05.999999999Z07:00", time),
    }
}

/// RFC 3339 whatever was written, as JSON holds it.
pub fn json(time: &Moment) -> String {
    formatted("2006-01-02T15:04:05.999999999Z07:00", time)
}
