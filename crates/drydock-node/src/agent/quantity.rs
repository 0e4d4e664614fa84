//! Quantities of a pod as the numbers that the kernel and the downward API want. Pure.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The quantity, or `None` when it is not one, or less than nothing.
fn read(quantity: &Quantity) -> Option<kubernetes_quantity::Quantity> {
    kubernetes_quantity::Quantity::parse(quantity.0.trim()).filter(|read| read.nano() >= 0)
}

/// The quantity as a number, or `None` when it is not one.
pub fn number(quantity: &Quantity) -> Option<f64> {
    read(quantity).map(|read| read.nano() as f64 / 1e9)
}

/// Whole units, rounded up.
pub fn units(quantity: &Quantity) -> Option<u64> {
    u64::try_from(read(quantity)?.units()).ok()
}

/// Thousandths, rounded up: millicores for CPU.
pub fn millis(quantity: &Quantity) -> Option<u64> {
    u64::try_from(read(quantity)?.milli()).ok()
}

/// How many times `divisor` fits, rounded up, as the downward API shows it.
pub fn divided(value: f64, divisor: Option<&Quantity>) -> u64 {
    let divisor = divisor.and_then(number).filter(|d| *d > 0.0).unwrap_or(1.0);
    (value / divisor - 1e-9).ceil().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<f64>) {
        assert_eq!(number(&Quantity(text.into())), expect);
    }

    #[test]
    fn binary_and_decimal_suffixes_differ() {
        check("64Mi", Some(67_108_864.0));
        check("64M", Some(64_000_000.0));
        check("1.5Gi", Some(1_610_612_736.0));
    }
    #[test]
    fn exponents_are_not_the_suffix_e() {
        check("2e3", Some(2000.0));
        assert_eq!(units(&Quantity("2E".into())), Some(2_000_000_000_000_000_000));
    }
    #[test]
    fn nonsense_is_not_a_number() {
        check("lots", None);
        check("", None);
        check("-1", None);
    }
    #[test]
    fn cpu_is_counted_in_thousandths() {
        assert_eq!(millis(&Quantity("250m".into())), Some(250));
        assert_eq!(millis(&Quantity("0.5".into())), Some(500));
        assert_eq!(millis(&Quantity("2".into())), Some(2000));
    }
    #[test]
    fn the_downward_api_rounds_up() {
        assert_eq!(divided(0.25, None), 1);
        assert_eq!(divided(0.25, Some(&Quantity("1m".into()))), 250);
        assert_eq!(divided(67_108_864.0, Some(&Quantity("1Mi".into()))), 64);
    }
}
