//! Quantities (`500m`, `1.5Gi`): read, added up, compared, and written as the API server writes them.
//!
//! For every part that meets amounts of resources. Exact arithmetic in billionths; what does not fit is no number here
//! and left as written.
//!
//! Start at [`Quantity::parse`].

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;
const DECIMAL: [(&str, i32); 10] =
    [("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("", 0), ("m", -3), ("u", -6), ("n", -9)];
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

/// An amount that can be added up and written again in the notation it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantity {
    nano: i128,
    style: Style,
}

impl Quantity {
    pub const ZERO: Self = Self { nano: 0, style: Style::Decimal };

    /// `None` when the text is no quantity or too large to compare.
    pub fn parse(text: &str) -> Option<Self> {
        let (nano, style) = parse(text)?;
        Some(Self { nano: nano?, style })
    }

    /// A number of things.
    pub fn count(things: i64) -> Self {
        Self { nano: i128::from(things) * NANO, style: Style::Decimal }
    }

    /// In billionths.
    pub fn nano(self) -> i128 {
        self.nano
    }

    /// In thousandths, rounded up: a processor's shares.
    pub fn milli(self) -> i128 {
        up(self.nano, MILLI)
    }

    /// In whole units, rounded up.
    pub fn units(self) -> i128 {
        up(self.nano, NANO)
    }

    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// In the notation of the first summand that is not zero.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let style = if self.is_zero() { other.style } else { self.style };
        Self { nano: self.nano.saturating_add(other.nano), style }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self { nano: other.nano.saturating_neg(), style: other.style })
    }

    /// The next whole number of units.
    #[must_use]
    pub fn rounded_up(self) -> Self {
        Self { nano: self.units().saturating_mul(NANO), ..self }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&spell(self.nano, self.style))
    }
}

fn up(nano: i128, unit: i128) -> i128 {
    nano.div_euclid(unit) + i128::from(nano % unit != 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Decimal,
    Binary,
    Exponent,
}

/// The canonical spelling, `1` for `1000m`; `None` when the text is no quantity.
pub fn canonical(text: &str) -> Option<String> {
    let (nano, style) = parse(text)?;
    Some(nano.map_or_else(|| text.to_owned(), |nano| spell(nano, style)))
}

/// The inner `None` is a valid quantity beyond the range of this arithmetic.
fn parse(text: &str) -> Option<(Option<i128>, Style)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (scale, style) = scale(suffix)?;
    let value = value(whole, fraction, scale).map(|value| if text.starts_with('-') { -value } else { value });
    Some((value, style))
}

enum Scale {
    Ten(i32),
    Two(u32),
}

fn scale(suffix: &str) -> Option<(Scale, Style)> {
    if let Some((_, shift)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((Scale::Two(*shift), Style::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((Scale::Ten(*power), Style::Decimal));
    }
    let power = suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?;
    Some((Scale::Ten(power), Style::Exponent))
}

fn value(whole: &str, fraction: &str, scale: Scale) -> Option<i128> {
    let digits: i128 = match format!("{whole}{fraction}").trim_start_matches('0') {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let point = i32::try_from(fraction.len()).ok()?;
    match scale {
        Scale::Ten(power) => shift_ten(digits, power + 9 - point),
        Scale::Two(shift) => shift_ten(digits.checked_mul(1_i128 << shift)?, 9 - point),
    }
}

/// Rounds away from zero, as quantities below a billionth do.
fn shift_ten(digits: i128, power: i32) -> Option<i128> {
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match (power >= 0, factor) {
        (true, factor) => digits.checked_mul(factor?),
        (false, Some(factor)) => Some(digits / factor + i128::from(digits % factor != 0)),
        (false, None) => Some(i128::from(digits != 0)),
    }
}

fn spell(nano: i128, style: Style) -> String {
    if nano == 0 {
        return "0".to_owned();
    }
    // Small or broken binary amounts are written in decimal, so that nothing is rounded.
    let binary = style == Style::Binary && nano % NANO == 0 && nano.abs() >= 1024 * NANO;
    if binary {
        let bytes = nano / NANO;
        let (name, shift) =
            BINARY.iter().find(|(_, shift)| bytes % (1_i128 << shift) == 0).unwrap_or(&("", 0));
        return format!("{}{name}", bytes >> shift);
    }
    let fits = |power: i32| 10_i128.checked_pow((power + 9).unsigned_abs()).filter(|unit| nano % unit == 0);
    let found = DECIMAL.iter().find_map(|(name, power)| fits(*power).map(|unit| (name, power, nano / unit)));
    match found {
        Some((_, 0, amount)) => amount.to_string(),
        Some((_, power, amount)) if style == Style::Exponent => format!("{amount}e{power}"),
        Some((name, _, amount)) => format!("{amount}{name}"),
        None => nano.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expect: Option<&str>) {
        assert_eq!(canonical(written).as_deref(), expect, "{written}");
    }

    #[test]
    fn decimal_amounts_take_the_largest_whole_unit() {
        check("1000m", Some("1"));
        check("0.5", Some("500m"));
        check("100000k", Some("100M"));
        check("1500m", Some("1500m"));
        check("0", Some("0"));
        check("-2000m", Some("-2"));
        check(".5", Some("500m"));
    }

    #[test]
    fn binary_amounts_stay_binary_while_they_are_whole() {
        check("1024Ki", Some("1Mi"));
        check("1.5Gi", Some("1536Mi"));
        check("0.5Ki", Some("512"));
        check("0.1Gi", Some("107374182400m"));
        check("64Mi", Some("64Mi"));
    }

    #[test]
    fn exponents_stay_exponents() {
        check("1e3", Some("1e3"));
        check("12E6", Some("12e6"));
    }

    #[test]
    fn other_texts_are_no_quantities() {
        check("", None);
        check("1GiB", None);
        check("1.2.3", None);
        check("m", None);
        check("one", None);
    }

    #[test]
    fn parts_of_a_unit_round_up() {
        let read = |text: &str| Quantity::parse(text).map(|quantity| (quantity.milli(), quantity.units()));
        assert_eq!(read("250m"), Some((250, 1)));
        assert_eq!(read("1u"), Some((1, 1)));
        assert_eq!(read("0.5Gi"), Some(((1 << 29) * 1000, 1 << 29)));
        assert_eq!(read("-1500m"), Some((-1500, -1)));
        assert_eq!(read("1E"), Some((10_i128.pow(21), 10_i128.pow(18))));
        assert_eq!(read("much"), None);
    }

    #[test]
    fn a_huge_amount_is_left_as_written() {
        check(
            "999999999999999999999999999999999999999999E",
            Some("999999999999999999999999999999999999999999E"),
        );
    }
}
