//! What a chart says about itself, as `helm show` prints it. Pure.

use crate::chart::{Chart, File};

/// Which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    All,
    Chart,
    Values,
    Readme,
    Crds,
}

const READMES: [&str; 3] = ["readme.md", "readme.txt", "readme"];

/// The text of a part; separators stand between the parts of all.
pub fn show(chart: &Chart, part: Part) -> String {
    let wants = |wanted: Part| part == wanted || part == Part::All;
    let separator = if part == Part::All { "---\n" } else { "" };
    let mut text = String::new();
    if wants(Part::Chart) {
        let document = serde_json::to_value(&chart.metadata).unwrap_or_default();
        text.push_str(&format!("{}\n", crate::yaml::write_json(&document).unwrap_or_default()));
    }
    if wants(Part::Values) && (!chart.values.is_empty() || chart.values_text.is_some()) {
        text.push_str(separator);
        if let Some(values) = &chart.values_text {
            text.push_str(&format!("{}\n", String::from_utf8_lossy(values)));
        }
    }
    let readme = chart.files.iter().find(|file| READMES.contains(&file.name.to_lowercase().as_str()));
    if let Some(readme) = readme.filter(|_| wants(Part::Readme)) {
        text.push_str(&format!("{separator}{}\n", String::from_utf8_lossy(&readme.data)));
    }
    if wants(Part::Crds) {
        chart.crds().iter().for_each(|crd| text.push_str(&print_crd(crd)));
    }
    text
}

/// A document begins with a separator, its own or ours.
fn print_crd(crd: &File) -> String {
    let separator = if crd.data.starts_with(b"---") { "" } else { "---\n" };
    format!("{separator}{}\n", String::from_utf8_lossy(&crd.data))
}
