//! Floats as Go's `strconv.FormatFloat` prints them.

/// Digits and decimal exponent of the shortest text that reads back as `f`: `0.d1d2d3... * 10^exponent`.
fn shortest(f: f64) -> (String, i32) {
    let text = format!("{:e}", f.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    (digits, exponent.parse::<i32>().unwrap_or(0))
}

fn special(f: f64) -> Option<&'static str> {
    match f {
        f if f.is_nan() => Some("NaN"),
        f if f == f64::INFINITY => Some("+Inf"),
        f if f == f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

fn scientific(digits: &str, exponent: i32) -> String {
    let (head, tail) = digits.split_at(1);
    let point = if tail.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{head}{point}{tail}e{sign}{:02}", exponent.abs())
}

fn positional(digits: &str, exponent: i32) -> String {
    let whole = exponent + 1;
    match usize::try_from(whole) {
        Ok(whole) if whole > 0 && digits.len() > whole => {
            format!("{}.{}", &digits[..whole], &digits[whole..])
        }
        Ok(whole) if whole > 0 => format!("{digits}{}", "0".repeat(whole - digits.len())),
        _ => format!("0.{}{digits}", "0".repeat(whole.unsigned_abs() as usize)),
    }
}

fn signed(f: f64, text: String) -> String {
    if f.is_sign_negative() { format!("-{text}") } else { text }
}

/// `%v` and `%g` with the shortest precision: `1e+06`, `0.5`, `12345`.
pub fn float_g(f: f64) -> String {
    if let Some(text) = special(f) {
        return text.to_owned();
    }
    let (digits, exponent) = shortest(f);
    // With the shortest precision Go decides between the two forms as if six digits were asked for.
    let text = if !(-4..6).contains(&exponent) {
        scientific(&digits, exponent)
    } else {
        positional(&digits, exponent)
    };
    signed(f, text)
}

/// As `encoding/json` writes a number; `None` for what JSON cannot say.
pub fn float_json(f: f64) -> Option<String> {
    if special(f).is_some() {
        return None;
    }
    let (digits, exponent) = shortest(f);
    let small = f != 0.0 && f.abs() < 1e-6;
    let text = if small || f.abs() >= 1e21 {
        // encoding/json writes e-9, not e-09.
        scientific(&digits, exponent).replace("e-0", "e-")
    } else {
        positional(&digits, exponent)
    };
    Some(signed(f, text))
}

/// `FormatFloat(f, verb, precision, 64)` for `e`, `f` and `g`.
pub fn float_with(f: f64, verb: char, precision: Option<usize>) -> String {
    if let Some(text) = special(f) {
        return text.to_owned();
    }
    let text = match (verb.to_ascii_lowercase(), precision) {
        ('f', Some(places)) => format!("{:.places$}", f.abs()),
        ('f', None) => {
            let (digits, exponent) = shortest(f);
            positional(&digits, exponent)
        }
        ('e', places) => {
            let text = match places {
                Some(places) => format!("{:.places$e}", f.abs()),
                None => format!("{:e}", f.abs()),
            };
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
        (_, None) => float_g(f.abs()),
        (_, Some(places)) => general(f.abs(), places.max(1)),
    };
    let text = if verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
    signed(f, text)
}

fn general(f: f64, places: usize) -> String {
    let text = format!("{:.*e}", places - 1, f);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let all: String = mantissa.chars().filter(|c| *c != '.').collect();
    let trimmed = all.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    if exponent < -4 || exponent >= places as i32 {
        scientific(digits, exponent)
    } else {
        positional(digits, exponent)
    }
}

/// `%x` of a float: `0x1.8p+00`.
pub fn float_hex(f: f64) -> String {
    if let Some(text) = special(f) {
        return text.to_owned();
    }
    if f == 0.0 {
        return signed(f, "0x0p+00".into());
    }
    let (mut exponent, mut mantissa) = (((f.to_bits() >> 52) & 0x7ff) as i32 - 1023, f.to_bits() << 12);
    if exponent == -1023 {
        // Subnormal numbers are shown as if they were normal.
        let zeros = mantissa.leading_zeros();
        (exponent, mantissa) = (exponent - zeros as i32, mantissa.checked_shl(zeros + 1).unwrap_or(0));
    }
    let digits = format!("{mantissa:016x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    signed(f, format!("0x1{point}{digits}p{sign}{:02}", exponent.abs()))
}
