//! Names of releases: from arguments, from a template, or made up.

use std::path::Path;

use seaworthy_template::{Options, Templates, Value};

/// Longest name; objects of the release append to it.
const MAX_LENGTH: usize = 53;

/// What the person said about name and chart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Naming<'a> {
    /// `[NAME] CHART`
    pub arguments: &'a [String],
    pub generate: bool,
    pub template: Option<&'a str>,
    /// The name where none is given, as in `template`.
    pub fallback: Option<&'a str>,
    pub now_unix_s: i64,
}

/// Why there is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("cannot set --generate-name and also specify a name")]
    GenerateToo,
    #[error("cannot set --name-template and also specify a name")]
    TemplateToo,
    #[error("expected at most two arguments, unexpected arguments: {}", .0.join(", "))]
    TooMany(Vec<String>),
    #[error("the chart is missing")]
    NoChart,
    #[error("must either provide a name or specify --generate-name")]
    NoName,
    #[error("cannot make a name of the template")]
    Template(#[from] seaworthy_template::Error),
    #[error(
        "invalid release name `{0}`: lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit, \
         at most {MAX_LENGTH} characters"
    )]
    Invalid(String),
}

/// The name and the chart's reference.
pub fn name_and_chart(naming: Naming<'_>) -> Result<(String, String), Error> {
    let (name, chart) = match naming.arguments {
        [] => return Err(Error::NoChart),
        [_, _, rest @ ..] if !rest.is_empty() => return Err(Error::TooMany(rest.to_vec())),
        [_, _, ..] if naming.generate => return Err(Error::GenerateToo),
        [_, _, ..] if naming.template.is_some() => return Err(Error::TemplateToo),
        [name, chart, ..] => (name.clone(), chart),
        [chart] => match (naming.template, naming.fallback) {
            (Some(template), _) => (from_template(template)?, chart),
            (None, Some(fallback)) if !naming.generate => (fallback.to_owned(), chart),
            _ if naming.generate => (generated(chart, naming.now_unix_s), chart),
            _ => return Err(Error::NoName),
        },
    };
    validate(&name)?;
    Ok((name, chart.clone()))
}

/// Whether a release may be called so.
pub fn validate(name: &str) -> Result<(), Error> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
    };
    let valid = name.len() <= MAX_LENGTH && name.split('.').all(part);
    if valid { Ok(()) } else { Err(Error::Invalid(name.to_owned())) }
}

fn from_template(template: &str) -> Result<String, Error> {
    let mut templates = Templates::new(Options::default());
    templates.parse("name-template", template).map_err(seaworthy_template::Error::from)?;
    Ok(templates.render("name-template", Value::Nil)?)
}

/// `web-1700000000` for `./charts/web` and `web-1.2.tgz`
fn generated(chart: &str, now_unix_s: i64) -> String {
    let base =
        Path::new(chart).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = base.split('.').next().unwrap_or_default();
    format!("{}-{now_unix_s}", if stem.is_empty() { "chart" } else { stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], naming: Naming<'_>, expected: &str) {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let found = name_and_chart(Naming { arguments: &arguments, now_unix_s: 7, ..naming });
        let found = found.map_or_else(|error| error.to_string(), |(name, chart)| format!("{name} {chart}"));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_comes_before_the_chart_or_is_made() {
        check(&["web", "./c"], Naming::default(), "web ./c");
        check(&["./c"], Naming { generate: true, ..Naming::default() }, "c-7 ./c");
        check(&["."], Naming { generate: true, ..Naming::default() }, "chart-7 .");
        check(&["./c"], Naming { fallback: Some("release-name"), ..Naming::default() }, "release-name ./c");
        check(
            &["./c"],
            Naming { template: Some("x-{{ upper \"a\" | lower }}"), ..Naming::default() },
            "x-a ./c",
        );
        check(&["./c"], Naming::default(), "must either provide a name or specify --generate-name");
    }

    #[test]
    fn two_ways_to_a_name_are_one_too_many() {
        check(
            &["a", "c"],
            Naming { generate: true, ..Naming::default() },
            "cannot set --generate-name and also specify a name",
        );
        check(
            &["a", "c", "d", "e"],
            Naming::default(),
            "expected at most two arguments, unexpected arguments: d, e",
        );
    }

    #[test]
    fn names_that_objects_cannot_carry_are_refused() {
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", &"a".repeat(54)] {
            assert!(validate(bad).is_err(), "{bad}");
        }
        assert!(validate("a-b.c0").is_ok());
    }
}
