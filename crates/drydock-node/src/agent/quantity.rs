//! Kubernetes quantities (`100m`, `1.5`, `64Mi`, `2e3`) as numbers. Pure.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// The quantity as a number, or `None` when it is not one.
pub fn number(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let parsed = match text.parse::<f64>() {
        Ok(value) => value,
        Err(_) => {
            let (suffix, factor) = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix))?;
            text.strip_suffix(suffix)?.parse::<f64>().ok()? * factor
        }
    };
    (parsed.is_finite() && parsed >= 0.0).then_some(parsed)
}

/// Whole units, rounded up.
pub fn units(quantity: &Quantity) -> Option<u64> {
    number(quantity).map(|n| n.ceil() as u64)
}

/// Thousandths, rounded up: millicores for CPU.
pub fn millis(quantity: &Quantity) -> Option<u64> {
    number(quantity).map(|n| (n * 1000.0 - 1e-6).ceil().max(0.0) as u64)
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
        check("2E", Some(2e18));
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
