//! JSON numbers as the API compares and prints them: whole numbers first, `1.0` counts as one.

use serde_json::Number;

pub(crate) fn as_f64(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

pub(crate) fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

pub(crate) fn is_multiple(number: &Number, factor: &Number) -> bool {
    match (number.as_i64(), factor.as_i64()) {
        (Some(number), Some(factor)) if factor != 0 => number % factor == 0,
        _ => {
            let quotient = as_f64(number) / as_f64(factor);
            quotient.is_finite() && (quotient - quotient.round()).abs() < 1e-9
        }
    }
}

/// `5` rather than `5.0`.
pub(crate) fn text_of(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() == 0.0 && value.abs() < 1e21 => format!("{value:.0}"),
        _ => number.to_string(),
    }
}
