//! Kubernetes quantities as numbers that can be added and compared. Pure.
//!
//! Start at [`milli`]; thousandths keep CPU shares exact.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const SUFFIXES: [(&str, i128, i128); 15] = [
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Pi", 1 << 50, 1),
    ("Ei", 1 << 60, 1),
    ("n", 1, 1_000_000_000),
    ("u", 1, 1_000_000),
    ("m", 1, 1_000),
    ("k", 1_000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("T", 1_000_000_000_000, 1),
    ("P", 1_000_000_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
];

/// The quantity in thousandths, rounded up; `None` when it is not a quantity.
pub fn milli(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let (number, factor, divisor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor, divisor)| Some((text.strip_suffix(suffix)?, *factor, *divisor)))
        .unwrap_or((text, 1, 1));
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 18)?),
        None => (number, 0),
    };
    let (digits, scale) = decimal(number)?;
    let power = |exponent: u32| 10i128.checked_pow(exponent);
    let grown = digits.checked_mul(1_000)?.checked_mul(factor)?;
    let grown = grown.checked_mul(power(u32::try_from(exponent.max(0)).ok()?)?)?;
    let divisor =
        divisor.checked_mul(power(scale)?)?.checked_mul(power(u32::try_from((-exponent).max(0)).ok()?)?)?;
    let rest = i128::from(grown % divisor > 0);
    Some(grown / divisor + rest)
}

/// All digits as one number, and how many of them stand after the point.
fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 18 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse().ok()?;
    Some((digits, u32::try_from(fraction.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<i128>) {
        assert_eq!(milli(&Quantity(text.into())), expect);
    }

    #[test]
    fn suffixes_of_both_bases_are_understood() {
        check("250m", Some(250));
        check("1Gi", Some((1 << 30) * 1000));
        check("128M", Some(128_000_000_000));
        check("1.5", Some(1500));
        check("0.5Gi", Some((1 << 29) * 1000));
    }

    #[test]
    fn exponents_are_understood_and_not_mistaken_for_exa() {
        check("1e3", Some(1_000_000));
        check("1E", Some(1_000_000_000_000_000_000_000));
    }

    #[test]
    fn fractions_of_a_thousandth_round_up() {
        check("1u", Some(1));
    }

    #[test]
    fn nonsense_is_not_a_quantity() {
        check("much", None);
        check("", None);
    }
}
