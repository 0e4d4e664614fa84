//! Values whose JSON form differs from their wire form: times, durations, integers that may be strings.

use jiff::{SignedDuration, Timestamp};

const NANOS_PER_MICRO: i32 = 1000;

/// Go's zero time, which means "unset" everywhere.
const ZERO_TIME_S: i64 = -62_135_596_800;

pub(crate) fn is_zero_time(seconds: i64, nanos: i32) -> bool {
    seconds == ZERO_TIME_S && nanos == 0
}

/// `2006-01-02T15:04:05Z`; `None` when no year of four digits holds it.
pub(crate) fn time_text(seconds: i64) -> Option<String> {
    Some(Timestamp::from_second(seconds).ok()?.to_string())
}

/// `2006-01-02T15:04:05.000000Z`.
pub(crate) fn micro_time_text(seconds: i64, nanos: i32) -> Option<String> {
    let whole = nanos / NANOS_PER_MICRO * NANOS_PER_MICRO;
    Some(format!("{:.6}", Timestamp::new(seconds, whole).ok()?))
}

/// Seconds and nanoseconds (never negative) of a time in RFC 3339.
pub(crate) fn parse_time(text: &str) -> Option<(i64, i32)> {
    let time: Timestamp = text.parse().ok()?;
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    Some((seconds, nanos))
}

pub(crate) fn whole_micros(nanos: i32) -> i32 {
    nanos / NANOS_PER_MICRO * NANOS_PER_MICRO
}

/// Nanoseconds as Go prints a duration: `1h2m3.5s`, `250ms`, `0s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let scaled = |unit: u64, name: &str| format!("{sign}{}{name}", decimal(size, unit));
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => scaled(1_000, "µs"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "ms"),
        _ => {
            let (hours, minutes) = (size / 3_600_000_000_000, size / 60_000_000_000 % 60);
            let seconds = decimal(size % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, _) => format!("{sign}{minutes}m{seconds}s"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `value / unit` without trailing zeros.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// Nanoseconds of a duration as Go writes it.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = SignedDuration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = &rest[end..];
        total = total.checked_add(SignedDuration::try_from_secs_f64(amount * unit).ok()?)?;
    }
    let nanos = i64::try_from(total.as_nanos()).ok()?;
    Some(if negative { -nanos } else { nanos })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(nanos: i64, text: &str) {
        assert_eq!(duration_text(nanos), text);
        assert_eq!(parse_duration(text), Some(nanos));
    }

    #[test]
    fn durations_read_as_go_writes_them() {
        check(0, "0s");
        check(1, "1ns");
        check(1_500, "1.5µs");
        check(250_000_000, "250ms");
        check(30_000_000_000, "30s");
        check(3_723_500_000_000, "1h2m3.5s");
        check(-90_000_000_000, "-1m30s");
        check(3_600_000_000_000, "1h0m0s");
    }

    #[test]
    fn text_that_is_no_duration_is_refused() {
        for text in ["", "-", "5", "1x", "s", "1..2s", "9999999999h"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn times_before_1970_keep_positive_fractions() {
        assert_eq!(parse_time("1969-12-31T23:59:58.5Z"), Some((-2, 500_000_000)));
        assert_eq!(micro_time_text(-2, 500_000_999).as_deref(), Some("1969-12-31T23:59:58.500000Z"));
        assert_eq!(time_text(-2).as_deref(), Some("1969-12-31T23:59:58Z"));
    }
}
