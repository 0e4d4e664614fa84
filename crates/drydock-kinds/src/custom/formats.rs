//! The `format`s of texts that a cluster enforces in custom resources. Unknown formats mean nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::names;

/// A format by its normal name, without hyphens except in Kubernetes' own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// As the author wrote it, which error texts repeat.
    pub(crate) name: &'static str,
    check: fn(&str) -> bool,
}

const FORMATS: &[Format] = &[
    of("bsonobjectid", |text| text.len() == 24 && is_hex(text)),
    of("uri", is_uri),
    of("email", is_email),
    of("hostname", is_hostname),
    of("ipv4", |text| text.parse::<Ipv4Addr>().is_ok()),
    of("ipv6", |text| text.parse::<Ipv6Addr>().is_ok()),
    of("cidr", is_cidr),
    of("mac", is_mac),
    of("uuid", |text| is_uuid(text, &[])),
    of("uuid3", |text| is_uuid(text, b"3")),
    of("uuid4", |text| is_uuid(text, b"4") && variant_is_rfc(text)),
    of("uuid5", |text| is_uuid(text, b"5") && variant_is_rfc(text)),
    of("isbn", |text| is_isbn10(text) || is_isbn13(text)),
    of("isbn10", is_isbn10),
    of("isbn13", is_isbn13),
    of("creditcard", is_credit_card),
    of("ssn", is_ssn),
    of("hexcolor", is_hex_color),
    of("rgbcolor", is_rgb_color),
    of("byte", is_base64),
    of("password", |_| true),
    of("date", is_date),
    of("duration", is_duration),
    of("date-time", is_date_time),
    of("datetime", is_date_time),
    of("k8s-short-name", |text| names::label(text).is_none()),
    of("k8s-long-name", |text| names::subdomain(text).is_none()),
];

const fn of(name: &'static str, check: fn(&str) -> bool) -> Format {
    Format { name, check }
}

impl Format {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let exact = FORMATS.iter().find(|format| format.name == name);
        let plain = || FORMATS.iter().find(|format| format.name == name.replace('-', ""));
        exact.or_else(plain).copied()
    }

    pub(crate) fn accepts(self, text: &str) -> bool {
        (self.check)(text)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A scheme and something behind it, or an absolute path.
fn is_uri(text: &str) -> bool {
    let plain = !text.is_empty() && !text.chars().any(|c| c.is_control() || c == ' ');
    let scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && !rest.is_empty()
    });
    plain && (text.starts_with('/') || scheme)
}

fn is_email(text: &str) -> bool {
    let address = match text.rsplit_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or(""),
        None => text,
    };
    let plain = |part: &str| {
        !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>()[],;:\\\"".contains(c))
    };
    address.rsplit_once('@').is_some_and(|(user, host)| plain(user) && !user.contains('@') && plain(host))
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
    let bits = bits.parse::<u8>().ok().filter(|_| plain);
    let fits = |max: u8| bits.is_some_and(|bits| bits <= max);
    (address.parse::<Ipv4Addr>().is_ok() && fits(32)) || (address.parse::<Ipv6Addr>().is_ok() && fits(128))
}

fn is_mac(text: &str) -> bool {
    let split = |sign: char, width: usize| {
        let parts: Vec<&str> = text.split(sign).collect();
        let bytes = parts.len() * width / 2;
        matches!(bytes, 6 | 8 | 20) && parts.iter().all(|part| part.len() == width && is_hex(part))
    };
    split(':', 2) || split('-', 2) || split('.', 4)
}

fn is_uuid(text: &str, version: &[u8]) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let grouped = text.len() == 32 || text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    digits.len() == 32
        && is_hex(&digits)
        && grouped
        && version.first().is_none_or(|wanted| digits.as_bytes().get(12) == Some(wanted))
}

fn variant_is_rfc(text: &str) -> bool {
    let digit = text.bytes().filter(|b| *b != b'-').nth(16).map(|b| b.to_ascii_lowercase());
    matches!(digit, Some(b'8' | b'9' | b'a' | b'b'))
}

fn digits_of(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | ' ')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let text = digits_of(text);
    let value = |(index, b): (usize, u8)| match b {
        b'X' | b'x' if index == 9 => Some(10),
        b'0'..=b'9' => Some(u32::from(b - b'0')),
        _ => None,
    };
    let values: Option<Vec<u32>> = text.bytes().enumerate().map(value).collect();
    values.filter(|values| values.len() == 10).is_some_and(|values| {
        let sum: u32 = (1..).zip(values).map(|(weight, value)| weight * value).sum();
        sum.is_multiple_of(11)
    })
}

fn is_isbn13(text: &str) -> bool {
    let text = digits_of(text);
    let values: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(10)).collect();
    values.filter(|values| values.len() == 13).is_some_and(|values| {
        let sum: u32 =
            values.iter().zip([1, 3].into_iter().cycle()).map(|(value, weight)| value * weight).sum();
        sum.is_multiple_of(10)
    })
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| digits.starts_with(prefix));
    match digits.len() {
        13 => starts(&["4"]),
        14 => starts(&["300", "301", "302", "303", "304", "305", "36", "38"]),
        15 => starts(&["34", "37", "2131", "1800"]),
        16 => starts(&["4", "51", "52", "53", "54", "55", "6011", "65", "35"]),
        _ => false,
    }
}

fn is_ssn(text: &str) -> bool {
    let digits = digits_of(text);
    digits.len() == 9 && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let inner = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')).unwrap_or("");
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
}

fn is_base64(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let has_time = text.len() > 11 && matches!(text.as_bytes()[10], b'T' | b't');
    has_time && text.parse::<Timestamp>().is_ok()
}

/// `1h30m`, `1.5s`, or a number and a unit in words: `22 ns`, `3 days`.
fn is_duration(text: &str) -> bool {
    go_duration::parse(text).is_some() || is_worded_duration(text)
}

fn is_worded_duration(text: &str) -> bool {
    const UNITS: &[&str] = &[
        "ns",
        "nano",
        "nanos",
        "nanosecond",
        "nanoseconds",
        "us",
        "µs",
        "micro",
        "micros",
        "microsecond",
        "microseconds",
        "ms",
        "milli",
        "millis",
        "millisecond",
        "milliseconds",
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "m",
        "min",
        "mins",
        "minute",
        "minutes",
        "h",
        "hr",
        "hour",
        "hours",
        "d",
        "day",
        "days",
        "w",
        "week",
        "weeks",
        "wk",
    ];
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    digits > 0 && UNITS.contains(&text[digits..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, good: &[&str], bad: &[&str]) {
        let format = Format::parse(name).unwrap();
        for text in good {
            assert!(format.accepts(text), "{name}: {text}");
        }
        for text in bad {
            assert!(!format.accepts(text), "{name}: {text}");
        }
    }

    #[test]
    fn times_and_durations_are_told_from_other_texts() {
        check(
            "date-time",
            &["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.5+02:00"],
            &["2026-01-02", "now", ""],
        );
        check("date", &["2026-01-02"], &["2026-13-02", "2026-01-02T00:00:00Z"]);
        check("duration", &["1h30m", "1.5s", "22 ns", "3 days"], &["1d2", "soon", ""]);
    }

    #[test]
    fn addresses_are_told_from_other_texts() {
        check("ipv4", &["10.0.0.1"], &["10.0.0", "::1"]);
        check("ipv6", &["::1"], &["10.0.0.1"]);
        check("cidr", &["10.0.0.0/8", "fd00::/64"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"]);
        check("mac", &["00:00:5e:00:53:01", "0000.5e00.5301"], &["00:00:5e"]);
        check("hostname", &["a.example.com"], &["-a", "a..b"]);
        check("uri", &["https://example.com/a", "/a"], &["a b", ""]);
        check("email", &["a@example.com"], &["a", "a@"]);
    }

    #[test]
    fn identifiers_are_told_from_other_texts() {
        check("uuid", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567"]);
        check("uuid4", &["123e4567-e89b-42d3-a456-426614174000"], &["123e4567-e89b-12d3-a456-426614174000"]);
        check("isbn", &["0321751043", "978-0321751041"], &["0321751044"]);
        check("hexcolor", &["#fff", "00ff00"], &["#ff"]);
        check("byte", &["YQ=="], &["a"]);
        check("k8s-short-name", &["a-b"], &["A", "a.b"]);
    }

    #[test]
    fn unknown_formats_mean_nothing() {
        assert!(Format::parse("phone").is_none());
        assert!(Format::parse("date-time").is_some_and(|format| format.name == "date-time"));
    }
}
