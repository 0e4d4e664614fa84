//! What a plain scalar means: YAML 1.1 as go-yaml v2 understands it.

/// The type and value of a plain scalar.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// Looks like a date; stays a string when read, but is quoted when written.
    Timestamp,
    /// `<<`
    Merge,
    Str,
}

/// Resolves an unquoted scalar.
pub fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        "<<" => return Scalar::Merge,
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => go_float(text).map_or(Scalar::Str, Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => number(text),
        _ => Scalar::Str,
    }
}

fn number(text: &str) -> Scalar {
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(n) = crate::funcs::numbers::parse_go_int(&plain) {
        return Scalar::Int(n);
    }
    if let Some(n) = parse_uint(&plain) {
        return Scalar::Uint(n);
    }
    if is_yaml_float(&plain) {
        return plain.parse().map_or(Scalar::Str, Scalar::Float);
    }
    Scalar::Str
}

fn parse_uint(text: &str) -> Option<u64> {
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0b" | "0B") => (&text[2..], 2),
        Some("0o" | "0O") => (&text[2..], 8),
        _ if text.starts_with('0') => (&text[1..], 8),
        _ => (text, 10),
    };
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_yaml_float(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// What `strconv.ParseFloat` takes for a scalar that starts with a point.
fn go_float(text: &str) -> Option<f64> {
    if is_yaml_float(text) { text.parse().ok() } else { None }
}

/// The four forms of dates that go-yaml tries.
fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let Some((month, rest)) = take_number(&text[5..], 12) else { return false };
    let Some(rest) = rest.strip_prefix('-') else { return false };
    let Some((day, rest)) = take_number(rest, 31) else { return false };
    if month == 0 || day == 0 || !day_exists(&text[..4], month, day) {
        return false;
    }
    match rest.chars().next() {
        None => true,
        Some('T' | 't') => time_of_day(&rest[1..]).is_some_and(is_zone),
        Some(' ') => time_of_day(&rest[1..]).is_some_and(str::is_empty),
        Some(_) => false,
    }
}

fn day_exists(year: &str, month: u32, day: u32) -> bool {
    let year: i16 = year.parse().unwrap_or(0);
    let date = jiff::civil::Date::new(year, month as i8, 1);
    date.is_ok_and(|date| day <= date.days_in_month() as u32)
}

fn take_number(text: &str, max: u32) -> Option<(u32, &str)> {
    let len = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let value = text.get(..len)?.parse().ok()?;
    (value <= max).then_some((value, &text[len..]))
}

/// `15:4:5.999`, returning what follows.
fn time_of_day(text: &str) -> Option<&str> {
    let hours = text.bytes().take_while(u8::is_ascii_digit).count();
    if hours != 2 {
        return None;
    }
    let (_, rest) = take_number(text, 23)?;
    let (_, rest) = take_number(rest.strip_prefix(':')?, 59)?;
    let (_, rest) = take_number(rest.strip_prefix(':')?, 59)?;
    match rest.strip_prefix(['.', ',']) {
        Some(fraction) => {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            (digits > 0).then(|| &fraction[digits..])
        }
        None => Some(rest),
    }
}

fn is_zone(text: &str) -> bool {
    if text == "Z" {
        return true;
    }
    let Some(offset) = text.strip_prefix(['+', '-']) else { return false };
    let bytes = offset.as_bytes();
    bytes.len() == 5
        && bytes[2] == b':'
        && bytes.iter().enumerate().all(|(i, b)| i == 2 || b.is_ascii_digit())
}
