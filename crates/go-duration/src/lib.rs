//! Durations in Go's notation (`1h30m`, `250ms`, `-1.5s`), for everything that reads or prints what Go programs do.
//!
//! A duration is a count of nanoseconds in an `i64`, as in Go: about 292 years either way. Text is read exactly,
//! without floating point, and refused where Go's `time.ParseDuration` refuses it.
//!
//! Start at [`parse`] and [`display`].

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Nanoseconds of a text: an optional sign, then `0` or numbers with a unit each.
pub fn parse(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = match rest {
        "0" => 0,
        rest => magnitude(rest)?,
    };
    match negative {
        true => 0i64.checked_sub_unsigned(nanos),
        false => i64::try_from(nanos).ok(),
    }
}

fn magnitude(mut rest: &str) -> Option<u64> {
    let mut total = 0u64;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let next_at = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(next_at);
        total = total.checked_add(scaled(number, nanos_of(unit)?)?)?;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}

fn nanos_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// `number` (with or without a fraction) times `unit`; what is finer than a nanosecond is cut off.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Digits beyond the fifteenth are worth less than a nanosecond even of an hour.
    let digits = &fraction[..fraction.len().min(15)];
    let part = match digits {
        "" => 0,
        digits => {
            u128::from(digits.parse::<u64>().ok()?) * u128::from(unit) / 10u128.pow(digits.len() as u32)
        }
    };
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// As Go prints it (`time.Duration.String`): `1h2m3.5s`, `250ms`, `0s`.
pub fn display(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    let scaled = |unit: u64, name: &str| format!("{sign}{}{name}", decimal(size, unit));
    match size {
        0 => "0s".to_owned(),
        1..MICROSECOND => scaled(1, "ns"),
        MICROSECOND..MILLISECOND => scaled(MICROSECOND, "\u{b5}s"),
        MILLISECOND..SECOND => scaled(MILLISECOND, "ms"),
        _ => {
            let (hours, minutes) = (size / HOUR, size % HOUR / MINUTE);
            let seconds = decimal(size % MINUTE, SECOND);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, nanos: i64) {
        assert_eq!(parse(text), Some(nanos), "{text}");
    }

    #[test]
    fn what_go_reads_is_read() {
        check("0", 0);
        check("-0", 0);
        check("5s", 5_000_000_000);
        check("+1h30m", 5_400_000_000_000);
        check("-1.5h", -5_400_000_000_000);
        check(".5s", 500_000_000);
        check("1.s", 1_000_000_000);
        check("3us4\u{b5}s5\u{3bc}s", 12_000);
        check("0.3333333333333333333h", 1_199_999_999_999);
        check("0.1ns", 0);
        check("9223372036854775807ns", i64::MAX);
        check("-9223372036854775808ns", i64::MIN);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "-",
            "+",
            "5",
            "1x",
            "s",
            ".s",
            "1..2s",
            "1.2.3s",
            " 1s",
            "1s ",
            "1 s",
            "1d",
            "3000000h",
            "9223372036854775808ns",
            "-+1s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (250_000_000, "250ms"),
            (30_000_000_000, "30s"),
            (3_723_500_000_000, "1h2m3.5s"),
            (-90_000_000_000, "-1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(display(nanos), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_the_same(nanos: i64) {
            prop_assert_eq!(parse(&display(nanos)), Some(nanos));
        }

        #[test]
        fn no_text_ends_it(text in ".*") {
            let _ = parse(&text);
        }
    }
}
