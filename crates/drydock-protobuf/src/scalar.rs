//! Values whose JSON form differs from their wire form: times, integers that may be strings.

use jiff::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_keep_positive_fractions() {
        assert_eq!(parse_time("1969-12-31T23:59:58.5Z"), Some((-2, 500_000_000)));
        assert_eq!(micro_time_text(-2, 500_000_999).as_deref(), Some("1969-12-31T23:59:58.500000Z"));
        assert_eq!(time_text(-2).as_deref(), Some("1969-12-31T23:59:58Z"));
    }
}
