//! Decimal arithmetic on floats: Sprig adds 0.1 and 0.2 to 0.3.
//!
//! A float is taken as the shortest decimal that names it; division keeps sixteen places. Numbers too far apart
//! for 128 bits are left to binary arithmetic, which then differs in no digit that a float could hold.

/// `mantissa * 10^exponent`
#[derive(Clone, Copy)]
struct Decimal {
    mantissa: i128,
    exponent: i32,
}

/// Places that a quotient keeps.
const PLACES: i32 = 16;

pub fn add(a: f64, b: f64) -> f64 {
    exact(a, b, sum).unwrap_or(a + b)
}

pub fn sub(a: f64, b: f64) -> f64 {
    exact(a, -b, sum).unwrap_or(a - b)
}

pub fn mul(a: f64, b: f64) -> f64 {
    exact(a, b, product).unwrap_or(a * b)
}

/// The caller has refused a divisor of zero.
pub fn div(a: f64, b: f64) -> f64 {
    exact(a, b, quotient).unwrap_or(a / b)
}

fn exact(a: f64, b: f64, op: fn(Decimal, Decimal) -> Option<Decimal>) -> Option<f64> {
    let result = op(decimal(a)?, decimal(b)?)?;
    format!("{}e{}", result.mantissa, result.exponent).parse().ok()
}

fn decimal(f: f64) -> Option<Decimal> {
    let text = f.is_finite().then(|| format!("{f:e}"))?;
    let (mantissa, exponent) = text.split_once('e')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
    Some(Decimal { mantissa: format!("{whole}{fraction}").parse().ok()?, exponent })
}

fn scaled(mantissa: i128, places: i32) -> Option<i128> {
    mantissa.checked_mul(10i128.checked_pow(u32::try_from(places).ok()?)?)
}

fn sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let exponent = a.exponent.min(b.exponent);
    let a = scaled(a.mantissa, a.exponent - exponent)?;
    let b = scaled(b.mantissa, b.exponent - exponent)?;
    Some(Decimal { mantissa: a.checked_add(b)?, exponent })
}

fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    Some(Decimal { mantissa: a.mantissa.checked_mul(b.mantissa)?, exponent: a.exponent + b.exponent })
}

/// Rounded half away from zero at the sixteenth place.
fn quotient(a: Decimal, b: Decimal) -> Option<Decimal> {
    let shift = a.exponent - b.exponent + PLACES;
    let (dividend, divisor) = match shift {
        shift if shift >= 0 => (scaled(a.mantissa, shift)?, b.mantissa),
        shift => (a.mantissa, scaled(b.mantissa, -shift)?),
    };
    let (whole, rest) = (dividend.checked_div(divisor)?, dividend.checked_rem(divisor)?);
    let up = rest.unsigned_abs().checked_mul(2)? >= divisor.unsigned_abs();
    let away = if (dividend < 0) == (divisor < 0) { 1 } else { -1 };
    Some(Decimal { mantissa: if up { whole + away } else { whole }, exponent: -PLACES })
}
