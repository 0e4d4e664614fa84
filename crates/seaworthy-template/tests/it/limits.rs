//! Bombs: each ends in an error that names the limit, long before the machine is in trouble.

use seaworthy_template::{Limits, Options, Templates, Value, with_deep_stack, yaml};

fn render(text: &str, limits: Limits) -> Result<String, String> {
    with_deep_stack(|| {
        let mut templates = Templates::new(Options { limits, ..Options::default() });
        templates.parse("t", text).map_err(|error| error.to_string())?;
        templates.render("t", Value::map(Vec::<(String, Value)>::new())).map_err(|error| error.to_string())
    })
    .unwrap()
}

/// Small enough for a build without optimisation; the defaults are the same rules with larger figures.
const TIGHT: Limits = Limits { steps: 100_000, output_bytes: 4 << 20, depth: 100, value_size: 4 << 20 };

#[track_caller]
fn check(text: &str, limit: &str) {
    let error = render(text, TIGHT).expect_err(text);
    assert!(error.contains(limit), "{text}: {}", error.chars().take(300).collect::<String>());
}

#[test]
fn loops_end_at_the_limit_of_steps() {
    check("{{ range 100000000 }}x{{ end }}", "limit");
    check("{{ range until 900000 }}{{ range until 900000 }}x{{ end }}{{ end }}", "limit");
}

#[test]
fn texts_that_repeat_or_indent_themselves_end_at_the_limit_of_size() {
    check(r#"{{ $x := repeat 1000000 "0123456789" }}{{ repeat 1000 $x }}"#, "limit");
    check(r#"{{ $x := repeat 100000 "\n" }}{{ indent 100000 $x }}"#, "limit");
    check(r#"{{ $x := "aa" }}{{ range until 60 }}{{ $x = regexReplaceAll "a" $x "aa" }}{{ end }}"#, "limit");
    check(r#"{{ $x := list 1 2 }}{{ range until 60 }}{{ $x = concat $x $x }}{{ end }}"#, "limit");
    check(r#"{{ printf "%9999999999d" 1 | repeat 100000 }}"#, "limit");
}

#[test]
fn a_tpl_that_doubles_its_own_text_is_stopped() {
    let bomb =
        r#"{{ $t := "{{ tpl (print .t .t) (dict \"t\" (print .t .t)) }}" }}{{ tpl $t (dict "t" $t) }}"#;
    check(bomb, "limit");
}

#[test]
fn a_limit_that_is_raised_lets_the_same_template_pass() {
    let text = "{{ range until 1000 }}x{{ end }}";
    assert!(render(text, Limits { steps: 500, ..Limits::default() }).is_err());
    assert_eq!(render(text, Limits { steps: 50_000, ..Limits::default() }).map(|text| text.len()), Ok(1_000));
}

#[test]
fn documents_that_nest_or_multiply_without_end_are_refused() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!(
            "a: &a [x]\n{}",
            (0..40)
                .map(|i| format!(
                    "b{i}: &b{i} [*{0}, *{0}]\n",
                    if i == 0 { "a".into() } else { format!("b{}", i - 1) }
                ))
                .collect::<String>()
        ),
    ] {
        let error = yaml::read(&text).expect_err("refused").to_string();
        assert!(error.contains("limit") || error.contains("yaml"), "{error}");
    }
}

#[test]
fn a_regular_expression_that_grows_without_end_is_refused_by_its_size() {
    check(r#"{{ mustRegexMatch "((((a{1000}){1000}){1000}){1000})" "a" }}"#, "error parsing regexp");
}
