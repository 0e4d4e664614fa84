//! Points in time, with Go's reference layouts (`2006-01-02`). The local zone is UTC, as in a container.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::{Cx, Function, Returned, f, string, text};
use crate::value::Param::{self, Any, Str, Time};
use crate::value::Value;

pub const TABLE: &[Function] = &[
    f("now", &[], |cx, _| Ok(Value::Time(cx.runtime.now()))),
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
        let then = moment(cx, &a[0]);
        let seconds = (now.as_nanosecond() - then.as_nanosecond() + 500_000_000).div_euclid(1_000_000_000);
        string(go_duration::display((seconds as i64).saturating_mul(1_000_000_000)))
    }),
    f("unixEpoch", &[Time], |_, a| match &a[0] {
        Value::Time(time) => string(time.as_second().to_string()),
        _ => string("0"),
    }),
    f("toDate", &[Str, Str], |_, a| Ok(Value::Time(parse(&text(&a[0]), &text(&a[1])).unwrap_or_else(zero)))),
    f("mustToDate", &[Str, Str], |_, a| {
        let (layout, value) = (text(&a[0]), text(&a[1]));
        parse(&layout, &value).map(Value::Time).ok_or_else(|| {
            format!("parsing time {value:?} as {layout:?}: cannot parse {value:?} as {layout:?}").into()
        })
    }),
];

/// Go's zero time, or as close as a timestamp gets.
fn zero() -> Timestamp {
    "0001-01-01T00:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

fn moment(cx: &Cx<'_>, value: &Value) -> Timestamp {
    match value {
        Value::Time(time) => *time,
        Value::Int(n) | Value::Int64(n) => Timestamp::from_second(*n).unwrap_or(Timestamp::UNIX_EPOCH),
        _ => cx.runtime.now(),
    }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn date_in_zone(cx: &mut Cx<'_>, layout: &Value, value: &Value, zone_name: &str) -> Returned {
    string(format(&text(layout), &moment(cx, value).to_zoned(zone(zone_name))))
}

fn modify(by: &Value, time: &Value) -> Option<Value> {
    let Value::Time(time) = time else { return None };
    let nanos = go_duration::parse(&text(by))?;
    time.checked_add(jiff::SignedDuration::from_nanos(nanos)).ok().map(Value::Time)
}

fn must_modify(_: &mut Cx<'_>, args: &[Value]) -> Returned {
    modify(&args[0], &args[1]).ok_or_else(|| {
        format!("time: invalid duration {}", crate::gofmt::quote(text(&args[0]).as_bytes())).into()
    })
}

/// `%v` of a `time.Time`.
pub fn display(time: Timestamp) -> String {
    format("2006-01-02 15:04:05.999999999 -0700 MST", &time.to_zoned(TimeZone::UTC))
}

/// Methods of times and durations that templates use.
pub fn method(receiver: &Value, name: &str) -> Option<&'static [Param]> {
    match (receiver, name) {
        (Value::Time(_), "Format") => Some(&[Param::Str]),
        (
            Value::Time(_),
            "Unix" | "UnixNano" | "UnixMilli" | "Year" | "Month" | "Day" | "Hour" | "Minute" | "Second",
        ) => Some(&[]),
        (Value::Time(_), "UTC" | "Local" | "String" | "IsZero") => Some(&[]),
        (Value::Duration(_), "Seconds" | "Minutes" | "Hours" | "String" | "Milliseconds") => Some(&[]),
        _ => None,
    }
}

/// Calls a method that [`method`] knows.
pub fn call_method(receiver: &Value, name: &str, args: &[Value]) -> Returned {
    let time = match receiver {
        Value::Time(time) => *time,
        Value::Duration(nanos) => return Ok(duration_method(*nanos, name)),
        _ => return Err(format!("no method {name}").into()),
    };
    let zoned = time.to_zoned(TimeZone::UTC);
    Ok(match name {
        "Format" => Value::str(format(&args.first().map(text).unwrap_or_default(), &zoned)),
        "Unix" => Value::Int64(time.as_second()),
        "UnixMilli" => Value::Int64(time.as_millisecond()),
        "UnixNano" => Value::Int64(time.as_nanosecond() as i64),
        "Year" => Value::Int(i64::from(zoned.year())),
        "Month" => Value::str(MONTHS[zoned.month() as usize - 1]),
        "Day" => Value::Int(i64::from(zoned.day())),
        "Hour" => Value::Int(i64::from(zoned.hour())),
        "Minute" => Value::Int(i64::from(zoned.minute())),
        "Second" => Value::Int(i64::from(zoned.second())),
        "IsZero" => Value::Bool(time == zero()),
        "String" => Value::str(display(time)),
        _ => Value::Time(time),
    })
}

fn duration_method(nanos: i64, name: &str) -> Value {
    match name {
        "Seconds" => Value::Float(nanos as f64 / 1e9),
        "Minutes" => Value::Float(nanos as f64 / 60e9),
        "Hours" => Value::Float(nanos as f64 / 3600e9),
        "Milliseconds" => Value::Int64(nanos / 1_000_000),
        _ => Value::str(go_duration::display(nanos)),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Reference pieces, longest first where one begins another.
const PIECES: [&str; 31] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-0700",
    "-07",
    "Z07:00",
    "Z0700",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
    ".000",
    ".999",
    ",000",
];

/// Splits a layout into its next reference piece: literal before, piece, rest.
fn next_piece(layout: &str) -> (&str, &str, &str) {
    for (at, _) in layout.char_indices() {
        let rest = &layout[at..];
        for piece in PIECES {
            if !rest.starts_with(piece) {
                continue;
            }
            if piece == "Jan" && rest[3..].starts_with(|c: char| c.is_lowercase()) {
                continue;
            }
            if piece == "Mon" && rest[3..].starts_with(|c: char| c.is_lowercase()) {
                continue;
            }
            let length = if piece.starts_with(['.', ',']) { fraction_length(rest) } else { piece.len() };
            if length > 0 {
                return (&layout[..at], &rest[..length], &rest[length..]);
            }
        }
        let length = fraction_length(rest);
        if length > 0 {
            return (&layout[..at], &rest[..length], &rest[length..]);
        }
    }
    (layout, "", "")
}

/// Length of `.000` or `.999` of any width, 0 when this is none.
fn fraction_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.len() < 2 || !matches!(bytes[0], b'.' | b',') || !matches!(bytes[1], b'0' | b'9') {
        return 0;
    }
    let run = bytes[1..].iter().take_while(|b| **b == bytes[1]).count();
    if bytes.get(1 + run).is_some_and(u8::is_ascii_digit) { 0 } else { 1 + run }
}

fn format(layout: &str, time: &jiff::Zoned) -> String {
    let mut out = String::new();
    let mut rest = layout;
    loop {
        let (literal, piece, tail) = next_piece(rest);
        out.push_str(literal);
        if piece.is_empty() {
            return out;
        }
        out.push_str(&format_piece(piece, time));
        rest = tail;
    }
}

fn format_piece(piece: &str, time: &jiff::Zoned) -> String {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let month = MONTHS[time.month() as usize - 1];
    let day = DAYS[time.weekday().to_monday_zero_offset() as usize];
    match piece {
        "January" => month.into(),
        "Jan" => month[..3].into(),
        "Monday" => day.into(),
        "Mon" => day[..3].into(),
        "MST" => abbreviation(time),
        "2006" => format!("{:04}", time.year()),
        "06" => format!("{:02}", time.year().rem_euclid(100)),
        "01" => format!("{:02}", time.month()),
        "1" => time.month().to_string(),
        "02" => format!("{:02}", time.day()),
        "_2" => format!("{:2}", time.day()),
        "2" => time.day().to_string(),
        "002" => format!("{:03}", time.day_of_year()),
        "15" => format!("{:02}", time.hour()),
        "03" => format!("{hour12:02}"),
        "3" => hour12.to_string(),
        "04" => format!("{:02}", time.minute()),
        "4" => time.minute().to_string(),
        "05" => format!("{:02}", time.second()),
        "5" => time.second().to_string(),
        "PM" => if time.hour() >= 12 { "PM" } else { "AM" }.into(),
        "pm" => if time.hour() >= 12 { "pm" } else { "am" }.into(),
        zone if zone.starts_with(['-', 'Z']) => format_offset(zone, time.offset()),
        fraction => format_fraction(fraction, time.subsec_nanosecond()),
    }
}

fn abbreviation(time: &jiff::Zoned) -> String {
    let name = time.time_zone().to_offset_info(time.timestamp()).abbreviation().to_owned();
    if name.is_empty() { "UTC".into() } else { name }
}

fn format_offset(piece: &str, offset: Offset) -> String {
    let seconds = offset.seconds();
    if piece.starts_with('Z') && seconds == 0 {
        return "Z".into();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes, rest) = (seconds.abs() / 3600, seconds.abs() / 60 % 60, seconds.abs() % 60);
    match piece.trim_start_matches(['-', 'Z']) {
        "07:00:00" => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "0700" => format!("{sign}{hours:02}{minutes:02}"),
        _ => format!("{sign}{hours:02}"),
    }
}

fn format_fraction(piece: &str, nanos: i32) -> String {
    let digits = piece.len() - 1;
    let text: String = format!("{nanos:09}").chars().chain(std::iter::repeat('0')).take(digits).collect();
    if piece.as_bytes()[1] == b'0' {
        return format!("{}{text}", &piece[..1]);
    }
    match text.trim_end_matches('0') {
        "" => String::new(),
        kept => format!("{}{kept}", &piece[..1]),
    }
}

/// `time.Parse` for numeric layouts, names of months and days, and offsets.
fn parse(layout: &str, value: &str) -> Option<Timestamp> {
    let mut fields = Fields { year: 1, month: 1, day: 1, ..Fields::default() };
    let (mut rest, mut value) = (layout, value);
    loop {
        let (literal, piece, tail) = next_piece(rest);
        value = value.strip_prefix(literal)?;
        if piece.is_empty() {
            return if value.is_empty() { fields.timestamp() } else { None };
        }
        value = fields.take(piece, value)?;
        if piece.starts_with("05") && value.starts_with('.') && fraction_length(tail) == 0 {
            value = fields.take_fraction(value)?;
        }
        rest = tail;
    }
}

#[derive(Default)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    pm: Option<bool>,
    offset_s: i32,
}

impl Fields {
    fn timestamp(&self) -> Option<Timestamp> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let civil = jiff::civil::DateTime::new(
            self.year,
            self.month,
            self.day,
            hour,
            self.minute,
            self.second,
            self.nanos,
        );
        let offset = Offset::from_seconds(self.offset_s).ok()?;
        offset.to_timestamp(civil.ok()?).ok()
    }

    fn take<'v>(&mut self, piece: &str, value: &'v str) -> Option<&'v str> {
        let number = |min: usize, max: usize| -> Option<(i32, &'v str)> {
            let trimmed = if piece == "_2" { value.trim_start_matches(' ') } else { value };
            let len = trimmed.bytes().take(max).take_while(u8::is_ascii_digit).count();
            if len < min { None } else { Some((trimmed[..len].parse().ok()?, &trimmed[len..])) }
        };
        let (n, rest) = match piece {
            "2006" => number(4, 4)?,
            "01" | "02" | "15" | "03" | "04" | "05" | "06" => number(2, 2)?,
            "1" | "2" | "_2" | "3" | "4" | "5" => number(1, 2)?,
            "January" | "Jan" => {
                let at = MONTHS
                    .iter()
                    .position(|m| value.starts_with(if piece == "Jan" { &m[..3] } else { m }))?;
                self.month = at as i8 + 1;
                return Some(&value[if piece == "Jan" { 3 } else { MONTHS[at].len() }..]);
            }
            "Monday" | "Mon" => {
                let day =
                    DAYS.iter().find(|d| value.starts_with(if piece == "Mon" { &d[..3] } else { d }))?;
                return Some(&value[if piece == "Mon" { 3 } else { day.len() }..]);
            }
            "PM" | "pm" => {
                self.pm = Some(value.get(..2)?.eq_ignore_ascii_case("pm"));
                return Some(&value[2..]);
            }
            "MST" => return value.get(3..),
            zone if zone.starts_with(['-', 'Z']) => return self.take_offset(zone, value),
            _ => return self.take_fraction(value),
        };
        match piece {
            "2006" => self.year = n as i16,
            "06" => self.year = n as i16 + if n >= 69 { 1900 } else { 2000 },
            "01" | "1" => self.month = n as i8,
            "02" | "2" | "_2" => self.day = n as i8,
            "15" | "03" | "3" => self.hour = n as i8,
            "04" | "4" => self.minute = n as i8,
            _ => self.second = n as i8,
        }
        Some(rest)
    }

    fn take_offset<'v>(&mut self, piece: &str, value: &'v str) -> Option<&'v str> {
        if let Some(rest) = value.strip_prefix('Z').filter(|_| piece.starts_with('Z')) {
            return Some(rest);
        }
        let sign = match value.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        let length = piece.len();
        let text = value.get(..length)?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let hours: i32 = digits.get(..2)?.parse().ok()?;
        let minutes: i32 = digits.get(2..4).map_or(Some(0), |m| m.parse().ok())?;
        self.offset_s = sign * (hours * 3600 + minutes * 60);
        Some(&value[length..])
    }

    fn take_fraction<'v>(&mut self, value: &'v str) -> Option<&'v str> {
        let Some(body) = value.strip_prefix(['.', ',']) else { return Some(value) };
        let len = body.bytes().take_while(u8::is_ascii_digit).count();
        let padded: String = body[..len].chars().chain(std::iter::repeat('0')).take(9).collect();
        self.nanos = padded.parse().ok()?;
        Some(&body[len..])
    }
}
