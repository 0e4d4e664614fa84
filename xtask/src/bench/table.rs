//! The figures as a table: what, what we aim for, the median with its range, how often it was measured.

use std::fmt;

/// A figure is to stay below this.
#[derive(Debug, Clone, Copy)]
pub struct Aim {
    limit: f64,
    unit: &'static str,
}

impl Aim {
    pub const fn below(limit: f64, unit: &'static str) -> Self {
        Self { limit, unit }
    }
}

#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<[String; 4]>,
    notes: Vec<String>,
}

impl Table {
    pub fn new() -> Self {
        Self { rows: vec![["figure", "aim", "measured", "n"].map(str::to_owned)], notes: Vec::new() }
    }

    /// Adds the median of `values`, in seconds unless the aim has another unit.
    pub fn add(&mut self, figure: &str, aim: Option<Aim>, values: &[f64]) {
        let unit = aim.map_or("s", |aim| aim.unit);
        let told = aim.map_or(String::new(), |aim| format!("< {} {unit}", aim.limit));
        let missed = aim.is_some_and(|aim| median(values) >= aim.limit);
        self.row(figure, told, measured(values, unit) + if missed { "  MISSED" } else { "" }, values.len());
    }

    /// Adds the median of `values` in `unit`, without an aim.
    pub fn add_in(&mut self, figure: &str, unit: &str, values: &[f64]) {
        self.row(figure, String::new(), measured(values, unit), values.len());
    }

    /// A line below the table.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    fn row(&mut self, figure: &str, aim: String, measured: String, count: usize) {
        self.rows.push([figure.to_owned(), aim, measured, count.to_string()]);
    }
}

fn measured(values: &[f64], unit: &str) -> String {
    let digits = if unit == "s" { 2 } else { 1 };
    let median = median(values);
    let (least, most) = values
        .iter()
        .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    match values.len() {
        0 | 1 => format!("{median:.digits$} {unit}"),
        _ => format!("{median:.digits$} {unit}  ({least:.digits$} to {most:.digits$})"),
    }
}

/// The one in the middle; of two, the lower.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        for (number, row) in self.rows.iter().enumerate() {
            let [figure, aim, measured, count] = row;
            writeln!(
                f,
                "| {figure:<0$} | {aim:<1$} | {measured:<2$} | {count:>3$} |",
                widths[0], widths[1], widths[2], widths[3]
            )?;
            if number == 0 {
                let line = widths.map(|width| "-".repeat(width + 2));
                writeln!(f, "|{}|", line.join("|"))?;
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "\n{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts_and_the_range_is_told() {
        let check = |values: &[f64], wanted: &str| assert_eq!(measured(values, "s"), wanted);
        check(&[3.0, 1.0, 2.0], "2.00 s  (1.00 to 3.00)");
        check(&[1.0, 2.0], "1.00 s  (1.00 to 2.00)");
        check(&[1.0], "1.00 s");
    }

    #[test]
    fn a_figure_that_misses_its_aim_says_so() {
        let mut table = Table::new();
        table.add("slow", Some(Aim::below(1.0, "s")), &[2.0]);
        table.add("fast", Some(Aim::below(1.0, "s")), &[0.5]);
        let text = table.to_string();
        assert!(text.contains("2.00 s  MISSED") && !text.contains("0.50 s  MISSED"), "{text}");
    }
}
