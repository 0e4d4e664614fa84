//! Every rule of the language and every function beside Helm's own engine, byte for byte.
//!
//! `tests/oracle/cases` holds the cases, `tests/oracle/recorded` what `tools/template-oracle` (Helm's engine in a
//! Go program of ours) made of each. Where that program is built, the recording itself is checked too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seaworthy_helm::{Chart, File, RenderOptions, Values, render_texts};

#[derive(serde::Deserialize)]
struct Recording {
    template: String,
    output: Option<String>,
    #[serde(default)]
    error: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle")
}

fn ours(chart: &Chart, template: &str) -> Result<String, String> {
    let mut chart = chart.clone();
    chart.templates.push(File { name: "templates/case.yaml".into(), data: template.as_bytes().to_vec() });
    let mut options = RenderOptions::install("rel", "ns");
    options.capabilities.kube_version = "v1.36.0".into();
    match render_texts(&chart, &Values::new(), &options) {
        Ok(mut texts) => Ok(texts.remove("oracle/templates/case.yaml").unwrap_or_default()),
        Err(error) => Err(error.in_helms_words()),
    }
}

/// The first place where two texts differ, with a little around it.
fn difference(helm: &str, ours: &str) -> String {
    let same = helm.bytes().zip(ours.bytes()).take_while(|(a, b)| a == b).count();
    let from = (0..=same.saturating_sub(20)).rev().find(|i| helm.is_char_boundary(*i)).unwrap_or(0);
    let show = |text: &str| text.get(from..).unwrap_or(text).chars().take(160).collect::<String>();
    format!("    helm ...{}\n    ours ...{}", show(helm), show(ours))
}

#[track_caller]
fn check(name: &str) {
    let chart = Chart::load(folder().join("chart")).unwrap();
    let recorded = fs::read_to_string(folder().join(format!("recorded/{name}.json"))).unwrap();
    let recorded: Vec<Recording> = serde_json::from_str(&recorded).unwrap();
    let mut wrong = Vec::new();
    for case in &recorded {
        let expected = case.output.clone().ok_or_else(|| case.error.clone());
        let found = ours(&chart, &case.template);
        if expected != found {
            let (helm, ours) = (format!("{expected:?}"), format!("{found:?}"));
            let (helm, ours) = (helm.replace("\\n", "\n"), ours.replace("\\n", "\n"));
            wrong.push(format!("{}\n{}", case.template, difference(&helm, &ours)));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases of `{name}` differ:\n{}",
        wrong.len(),
        recorded.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_language_is_helms_with_its_sentences_for_what_is_wrong() {
    check("language");
}

#[test]
fn texts_regular_expressions_and_formats_are_gos() {
    check("strings");
}

#[test]
fn lists_dicts_numbers_versions_and_dates_are_sprigs() {
    check("collections");
}

#[test]
fn yaml_json_and_toml_are_written_and_read_as_helm_does() {
    check("encoders");
}

#[test]
fn keys_certificates_and_passwords_are_sprigs() {
    check("crypto");
}

#[test]
fn the_recordings_are_what_helms_engine_prints_today() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = root.join("tools/template-oracle/template-oracle");
    let program = std::env::var_os("TEMPLATE_ORACLE_BIN").map_or(built, PathBuf::from);
    if !program.exists() {
        eprintln!("SKIPPED: `tools/template-oracle/build` makes the program that records; it needs Go");
        return;
    }
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(program)
        .args([folder().join("chart"), folder().join("cases")])
        .arg(fresh.path())
        .status()
        .unwrap();
    assert!(status.success());
    for entry in fs::read_dir(folder().join("cases")).unwrap() {
        let name = entry.unwrap().path().with_extension("json");
        let name = name.file_name().unwrap();
        let recorded = fs::read_to_string(folder().join("recorded").join(name)).unwrap();
        let again = fs::read_to_string(fresh.path().join(name)).unwrap();
        assert!(recorded == again, "{name:?}: {}", difference(&again, &recorded));
    }
}
