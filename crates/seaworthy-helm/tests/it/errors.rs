//! Failures name the place, the expression and the reason that Helm names.

use seaworthy_helm::{Chart, File, RenderOptions, Values, render};

fn file(name: &str, text: &str) -> File {
    File { name: name.into(), data: text.as_bytes().to_vec() }
}

fn ours(template: &str) -> String {
    let chart = Chart::from_files(vec![
        file("Chart.yaml", "apiVersion: v2\nname: e\nversion: 0.1.0\n"),
        file("values.yaml", "text: t\nint: 5\nlist: [a]\na: {b: null}\n"),
        file("templates/x.yaml", template),
    ]);
    match render(&chart.unwrap(), &Values::new(), &RenderOptions::install("rel", "default")) {
        Ok(_) => String::new(),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("{error}\n{source}")
        }
    }
}

#[test]
fn every_recorded_failure_has_helms_place_expression_and_reason() {
    let recorded = include_str!("../golden/errors.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(recorded).unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let (template, helm) = (case["template"].as_str().unwrap(), case["helm"].as_str().unwrap());
        let found = ours(template);
        // Helm spreads one sentence over lines; each piece must be in ours.
        let missing =
            helm.lines().map(|line| line.trim().trim_end_matches(':')).any(|piece| !found.contains(piece));
        if missing || helm.is_empty() != found.is_empty() {
            wrong.push(format!("{template}\n  helm: {helm}\n  ours: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[track_caller]
fn check_bounded(template: &str) {
    let found = ours(template);
    assert!(found.contains("limit") || found.contains("nested reference"), "{template}: {found}");
}

#[test]
fn a_template_that_includes_itself_forever_is_stopped() {
    check_bounded(r#"{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}"#);
    check_bounded(r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#);
}

#[test]
fn a_text_that_doubles_itself_is_stopped() {
    check_bounded(r#"{{ $x := "0123456789" }}{{ range until 60 }}{{ $x = print $x $x }}{{ end }}"#);
    check_bounded(r#"{{ repeat 999999999 "xxxxxxxx" }}"#);
    check_bounded(r#"{{ until 999999999 }}"#);
}

#[test]
fn a_tpl_that_calls_itself_forever_is_stopped() {
    check_bounded(
        r#"{{ tpl .Values.text (dict "Values" (dict "text" "x")) }}{{ $t := "{{ tpl .t . }}" }}{{ tpl $t (dict "t" $t) }}"#,
    );
}

#[test]
fn values_that_contain_themselves_end_in_text_or_an_error_but_never_in_a_crash() {
    for show in [
        "toYaml $d",
        "toJson $d",
        "print $d",
        "deepCopy $d | len",
        "deepEqual $d (deepCopy $d)",
        "merge $d $d | len",
    ] {
        let template = format!(
            r#"{{{{ $d := dict }}}}{{{{ $_ := set $d "self" $d }}}}{{{{ {show} | toString | len }}}}"#
        );
        ours(&template);
    }
}

#[test]
fn two_hundred_thousand_nested_maps_are_dropped_without_recursion() {
    let template = "{{ $d := dict }}{{ range until 200000 }}{{ $d = dict \"a\" $d }}{{ end }}";
    assert_eq!(ours(template), "");
}
