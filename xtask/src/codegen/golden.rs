//! Packs the published pairs of JSON and protobuf, one per kind, into the test data of `drydock-protobuf`.
//!
//! One line per pair: its name, the protobuf bytes in hexadecimal, the JSON in one line. Pairs of kinds that no server
//! has offered for years stay out.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

const OUTPUT: &str = "crates/drydock-protobuf/tests/it/data";
const GONE: &[&str] = &["extensions.v1beta1.", "apps.v1beta1.", "apps.v1beta2.", "imagepolicy."];

/// `module` is the folder of the Go module `k8s.io/api`.
pub fn run(module: &Path) -> Result<()> {
    let folder = module.join("testdata/HEAD");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut text = String::new();
    for name in names.iter().filter_map(|name| name.strip_suffix(".pb")) {
        if GONE.iter().any(|gone| name.starts_with(gone)) {
            continue;
        }
        let read = |end: &str| {
            let path = folder.join(format!("{name}.{end}"));
            fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))
        };
        let json: Value = serde_json::from_slice(&read("json")?)?;
        let hex: String = read("pb")?.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&format!("{name}\t{hex}\t{json}\n"));
    }
    fs::create_dir_all(OUTPUT).with_context(|| format!("cannot create `{OUTPUT}`"))?;
    super::write_gzip(&Path::new(OUTPUT).join("golden.tsv.gz"), &text)
}
