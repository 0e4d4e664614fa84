//! What a chart may cost: every bound on reading, unpacking, fetching and rendering, in one place.
//!
//! Charts are not trusted. A bound that is reached ends in an error that names it, and whoever trusts the chart
//! raises that bound with `--limit NAME=VALUE` or in [`ENVIRONMENT`]. Start at [`Limits::set`].

use seaworthy_template::Limits as TemplateLimits;

/// The environment variable that holds bounds, separated by commas.
pub const ENVIRONMENT: &str = "SEAWORTHY_LIMITS";

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files of a chart and its subcharts, unpacked.
    pub chart_bytes: usize,
    /// Files of a chart and its subcharts.
    pub chart_files: usize,
    /// Folders inside each other.
    pub folder_depth: usize,
    /// Charts inside charts.
    pub chart_depth: usize,
    /// Bytes of one values file.
    pub values_bytes: usize,
    /// Bytes of an `index.yaml`.
    pub index_bytes: usize,
    /// Bytes of a packed chart that is fetched.
    pub download_bytes: usize,
    pub template: TemplateLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            chart_bytes: 100 << 20,
            chart_files: 20_000,
            folder_depth: 64,
            chart_depth: 32,
            values_bytes: 64 << 20,
            index_bytes: 256 << 20,
            download_bytes: 100 << 20,
            template: TemplateLimits::default(),
        }
    }
}

/// Why a bound cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not `NAME=VALUE`")]
    NoValue(String),
    #[error("there is no limit `{name}`; there are {}", NAMES.join(", "))]
    Unknown { name: String },
    #[error("`{value}` is not a size such as `200Mi` or `5000`")]
    Value { value: String },
}

/// The names that `--limit` knows.
pub const NAMES: [&str; 11] = [
    "chart-bytes",
    "chart-files",
    "folder-depth",
    "chart-depth",
    "values-bytes",
    "index-bytes",
    "download-bytes",
    "template-steps",
    "template-output",
    "template-depth",
    "template-value",
];

impl Limits {
    /// Reads `chart-bytes=200Mi,chart-files=50000`.
    pub fn set(&mut self, text: &str) -> Result<(), Error> {
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| Error::NoValue(part.to_owned()))?;
            *self.slot(name.trim()).ok_or_else(|| Error::Unknown { name: name.to_owned() })? =
                size(value.trim()).ok_or_else(|| Error::Value { value: value.to_owned() })?;
        }
        Ok(())
    }

    fn slot(&mut self, name: &str) -> Option<&mut usize> {
        Some(match name {
            "chart-bytes" => &mut self.chart_bytes,
            "chart-files" => &mut self.chart_files,
            "folder-depth" => &mut self.folder_depth,
            "chart-depth" => &mut self.chart_depth,
            "values-bytes" => &mut self.values_bytes,
            "index-bytes" => &mut self.index_bytes,
            "download-bytes" => &mut self.download_bytes,
            "template-steps" => &mut self.template.steps,
            "template-output" => &mut self.template.output_bytes,
            "template-depth" => &mut self.template.depth,
            "template-value" => &mut self.template.value_size,
            _ => return None,
        })
    }
}

/// `5000`, `64Ki`, `200Mi`, `1Gi`.
fn size(text: &str) -> Option<usize> {
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("K", 10), ("M", 20), ("G", 30)];
    let unit = units.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_sets_a_bound() {
        for name in NAMES {
            Limits::default().set(&format!("{name}=1")).unwrap();
        }
    }

    #[test]
    fn sizes_have_units() {
        let mut limits = Limits::default();
        limits.set("chart-bytes=2Gi, chart-files=7").unwrap();
        assert_eq!((limits.chart_bytes, limits.chart_files), (2 << 30, 7));
    }

    #[test]
    fn what_is_no_bound_is_refused_with_the_names_there_are() {
        let refused = |text: &str| Limits::default().set(text).unwrap_err().to_string();
        assert!(refused("depth=1").contains("chart-depth"));
        assert!(refused("chart-bytes").contains("NAME=VALUE"));
        assert!(refused("chart-bytes=many").contains("not a size"));
    }
}
