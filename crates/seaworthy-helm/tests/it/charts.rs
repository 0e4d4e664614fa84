//! Byte equality with `helm template`.

use std::path::{Path, PathBuf};
use std::process::Command;

use seaworthy_helm::{Chart, RenderOptions, Values, render, set};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn values(flags: &[&str]) -> Values {
    let mut values = Values::new();
    flags.iter().for_each(|flag| set::set(flag, &mut values).unwrap());
    values
}

fn ours(name: &str, flags: &[&str]) -> String {
    let chart = Chart::load(tests().join("charts").join(name)).unwrap();
    let mut options = RenderOptions::install("rel", "ns");
    options.now_unix_s = Some(1_700_000_000);
    match render(&chart, &values(flags), &options) {
        Ok(rendered) => rendered.template_output(),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            panic!("{error}: {source}")
        }
    }
}

/// Fails with the first lines that differ instead of two walls of text.
#[track_caller]
fn assert_same(expected: &str, found: &str, what: &str) {
    let differing: Vec<String> = expected
        .split('\n')
        .zip(found.split('\n'))
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(i, (a, b))| format!("line {}:\n  helm {a:?}\n  ours {b:?}", i + 1))
        .take(30)
        .collect();
    assert!(differing.is_empty(), "{what}\n{}", differing.join("\n"));
    assert_eq!(expected.len(), found.len(), "{what}: one output is longer");
}

#[track_caller]
fn check(name: &str, recording: &str, flags: &[&str]) {
    let golden = tests().join("golden").join(format!("{recording}.yaml"));
    let recorded = std::fs::read_to_string(golden).unwrap();
    assert_same(&recorded, &ours(name, flags), "against the recording");
    if let Some(real) = real_helm(name, flags) {
        assert_same(&recorded, &real, "the recording against the helm on PATH");
    }
}

fn real_helm(name: &str, flags: &[&str]) -> Option<String> {
    let mut command = Command::new("helm");
    command.args(["template", "rel", "-n", "ns"]).arg(tests().join("charts").join(name));
    flags.iter().for_each(|flag| {
        command.args(["--set", flag]);
    });
    let output = command.output().ok().filter(|output| output.status.success());
    if output.is_none() {
        eprintln!("skipped the comparison with a real helm: it is not on PATH or refused the chart");
    }
    String::from_utf8(output?.stdout).ok()
}

#[test]
fn every_function_prints_what_helm_prints() {
    check("functions", "functions", &[]);
}

#[test]
fn a_chart_with_subcharts_hooks_and_imports_renders_like_helm() {
    check("shop", "shop", &[]);
}

#[test]
fn flags_nulls_and_tags_act_like_helms() {
    let flags = [
        "tags.observability=true",
        "cache.enabled=false",
        "replicas=1000000",
        "api.drop.gone=null",
        "api.env.LIST={a,b}",
        "api.list[1].name=x",
        r"sessions.a\.b=c",
        "global.registry=set.test",
    ];
    check("shop", "shop-set", &flags);
}

#[test]
fn hooks_notes_and_crds_are_kept_apart_from_the_manifest() {
    let chart = Chart::load(tests().join("charts/shop")).unwrap();
    let rendered = render(&chart, &Values::new(), &RenderOptions::install("rel", "ns")).unwrap();
    let hooks: Vec<_> = rendered.hooks.iter().map(|hook| (hook.name.as_str(), hook.weight)).collect();
    assert_eq!(hooks, [("migrate-config", 3), ("test-rel", 0), ("migrate", -5)]);
    assert_eq!(rendered.hooks[2].delete_policies, ["before-hook-creation", "hook-succeeded"]);
    assert_eq!(rendered.notes, "Shop rel of 0.3.0.\n");
    assert_eq!(rendered.crds[0].name, "shop/crds/widget.yaml");
    assert!(!rendered.manifest().contains("migrate"));
}
