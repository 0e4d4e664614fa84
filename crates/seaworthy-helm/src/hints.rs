//! Likely mistakes in values: keys that nothing reads, and what was probably meant.
//!
//! Judged by what templates mention, what defaults and the schema know. Where a template takes a whole map
//! (`toYaml .Values.resources`) anything may stand below it, and nothing is said: a wrong hint is worse than none.
//! Start at [`unknown_values`] for what a person set, at [`unused_values`] for a chart's own defaults.

mod lines;
mod references;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value as Json;

use crate::chart::{Chart, Values};
use references::References;

pub use lines::line_of;

/// How alike two names must be before one is suggested for the other.
const LIKENESS: f64 = 0.85;
/// Hints beyond this many are noise.
const MAX_HINTS: usize = 50;

/// A key that was set and that the chart does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub path: Vec<String>,
    pub chart: String,
    /// The path that was probably meant.
    pub meant: Option<Vec<String>>,
}

/// A default that no template reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    pub path: Vec<String>,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value `{}` is not known to the chart `{}`", self.path.join("."), self.chart)?;
        match &self.meant {
            Some(meant) => write!(f, "; did you mean `{}`?", meant.join(".")),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no template reads `{}`", self.path.join("."))
    }
}

/// Keys of `given` that neither the chart's templates nor its defaults nor its schema know.
pub fn unknown_values(chart: &Chart, given: &Values) -> Vec<Unknown> {
    let mut found = Vec::new();
    Search::of(chart).walk(given, &mut Vec::new(), &mut found);
    for subchart in &chart.dependencies {
        for name in names_of(chart, subchart) {
            let Some(Json::Object(inner)) = given.get(&name) else { continue };
            for mut unknown in unknown_values(subchart, inner) {
                unknown.path.insert(0, name.clone());
                if let Some(meant) = &mut unknown.meant {
                    meant.insert(0, name.clone());
                }
                found.push(unknown);
            }
        }
    }
    found.truncate(MAX_HINTS);
    found
}

/// Defaults of the chart itself that none of its templates reads.
pub fn unused_values(chart: &Chart) -> Vec<Unused> {
    let search = Search::of(chart);
    let mut found = Vec::new();
    // A library's values are read by those who use it.
    if search.references.everything || chart.metadata.is_library() || chart.templates.is_empty() {
        return found;
    }
    search.unused(&chart.values, &mut Vec::new(), &mut found);
    found.truncate(MAX_HINTS);
    found
}

/// Under which names a subchart's values stand in its parent.
fn names_of(chart: &Chart, subchart: &Chart) -> Vec<String> {
    let listed = chart.metadata.dependencies.iter().filter(|wanted| wanted.name == subchart.name());
    let mut names: BTreeSet<String> = listed.map(|wanted| wanted.shown_name().to_owned()).collect();
    if names.is_empty() {
        names.insert(subchart.name().to_owned());
    }
    names.into_iter().collect()
}

struct Search<'c> {
    chart: &'c Chart,
    references: References,
    schema: Json,
    /// First steps that are not the chart's own.
    foreign: BTreeSet<String>,
}

impl<'c> Search<'c> {
    fn of(chart: &'c Chart) -> Self {
        let mut foreign: BTreeSet<String> = ["global", "tags"].map(str::to_owned).into();
        foreign.extend(chart.metadata.dependencies.iter().map(|wanted| wanted.shown_name().to_owned()));
        foreign.extend(chart.dependencies.iter().map(|subchart| subchart.name().to_owned()));
        let schema = chart.schema.as_deref().and_then(|schema| serde_json::from_slice(schema).ok());
        Search { chart, references: References::of(chart), schema: schema.unwrap_or(Json::Null), foreign }
    }

    fn walk(&self, given: &Values, path: &mut Vec<String>, found: &mut Vec<Unknown>) {
        for (key, value) in given {
            if path.is_empty() && self.foreign.contains(key) {
                continue;
            }
            path.push(key.clone());
            if !self.is_known(path) {
                let meant = self.suggestion(path, given);
                // Where anything may be read, only a likely misspelling is worth a word.
                if meant.is_some() || !self.references.everything {
                    found.push(Unknown { path: path.clone(), chart: self.chart.name().to_owned(), meant });
                }
            } else if let Json::Object(inner) = value
                && !self.references.takes_whole(path)
                && self.schema_at(path).is_none_or(|schema| !is_open(schema))
            {
                self.walk(inner, path, found);
            }
            path.pop();
        }
    }

    fn is_known(&self, path: &[String]) -> bool {
        let above = &path[..path.len() - 1];
        at(&self.chart.values, path).is_some()
            || self.references.mentions(path)
            || self.references.takes_whole(above)
            || self.schema_at(path).is_some()
            || self.schema_at(above).is_some_and(|schema| !above.is_empty() && is_open(schema))
    }

    fn unused(&self, values: &Values, path: &mut Vec<String>, found: &mut Vec<Unused>) {
        for (key, value) in values {
            if path.is_empty() && (self.foreign.contains(key) || key == "exports") {
                continue;
            }
            path.push(key.clone());
            let read = self.references.mentions(path) || self.references.takes_whole(path);
            match value {
                _ if !read => found.push(Unused { path: path.clone() }),
                Json::Object(inner) if !self.references.takes_whole(path) => self.unused(inner, path, found),
                _ => {}
            }
            path.pop();
        }
    }

    /// The known name beside `path` that is most like its last step and was not set itself.
    fn suggestion(&self, path: &[String], siblings: &Values) -> Option<Vec<String>> {
        let (last, above) = path.split_last()?;
        let mut names = self.references.below(above);
        let defaults = if above.is_empty() {
            Some(&self.chart.values)
        } else {
            at(&self.chart.values, above).and_then(Json::as_object)
        };
        names.extend(defaults.into_iter().flat_map(|map| map.keys().cloned()));
        let properties = self.schema_at(above).and_then(|schema| schema["properties"].as_object());
        names.extend(properties.into_iter().flat_map(|map| map.keys().cloned()));
        let likeness = |name: &String| likeness(&name.to_lowercase(), &last.to_lowercase());
        let best = names
            .into_iter()
            .filter(|name| name != last && !siblings.contains_key(name))
            .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
        (likeness(&best) >= LIKENESS).then(|| above.iter().cloned().chain([best]).collect())
    }

    fn schema_at(&self, path: &[String]) -> Option<&Json> {
        let root = Some(&self.schema).filter(|schema| schema.is_object());
        path.iter().try_fold(root?, |schema, step| {
            if is_composed(schema) { Some(schema) } else { schema["properties"].get(step) }
        })
    }
}

/// From 0 to 1; one slip of the finger in a word of three letters or more counts as very alike.
fn likeness(a: &str, b: &str) -> f64 {
    let slip = a.len() >= 3 && strsim::osa_distance(a, b) == 1;
    if slip { 0.95 } else { strsim::jaro_winkler(a, b) }
}

/// Other keys than the named ones are welcome.
fn is_open(schema: &Json) -> bool {
    let more = &schema["additionalProperties"];
    is_composed(schema)
        || more.is_object()
        || more == &Json::Bool(true)
        || schema["patternProperties"].is_object()
}

/// Made of other schemas, which are not looked into.
fn is_composed(schema: &Json) -> bool {
    ["$ref", "allOf", "anyOf", "oneOf", "if"].iter().any(|key| schema.get(key).is_some())
}

fn at<'v>(values: &'v Values, path: &[String]) -> Option<&'v Json> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(values.get(first)?, |value, step| value.as_object()?.get(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::File;

    fn chart(values: &str, template: &str) -> Chart {
        let file = |name: &str, text: &str| File { name: name.into(), data: text.as_bytes().to_vec() };
        let files = [
            file("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            file("values.yaml", values),
            file("templates/a.yaml", template),
        ];
        Chart::from_files(files.into()).unwrap()
    }

    #[track_caller]
    fn check(values: &str, template: &str, given: Json, expected: &[&str]) {
        let found = unknown_values(&chart(values, template), given.as_object().unwrap());
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_misspelt_key_is_named_with_what_was_meant() {
        let values = "image: {repository: web, tag: v1}\nreplicas: 1\n";
        let template =
            "a: {{ .Values.image.tag }}{{ $.Values.image.repository }}\nb: {{ .Values.replicas }}\n";
        let given = serde_json::json!({"image": {"tga": "v2"}, "replicas": 2, "unheard": 1});
        check(
            values,
            template,
            given,
            &[
                "value `image.tga` is not known to the chart `web`; did you mean `image.tag`?",
                "value `unheard` is not known to the chart `web`",
            ],
        );
    }

    #[test]
    fn below_a_map_that_is_taken_whole_anything_goes() {
        let template = "{{ toYaml .Values.resources }}{{ range $k, $v := .Values.env }}{{ $k }}{{ end }}";
        let given =
            serde_json::json!({"resources": {"limits": {"cpu": 1}}, "env": {"A": "b"}, "global": {"x": 1}});
        check("resources: {}\nenv: {}\n", template, given, &[]);
    }

    #[test]
    fn a_block_of_with_may_hand_on_everything_it_opens() {
        let template = "{{ with .Values.probe }}{{ toYaml . }}{{ end }}";
        check("probe: {}\n", template, serde_json::json!({"probe": {"port": 1}}), &[]);
        assert_eq!(unused_values(&chart("probe: {path: /, port: 1}\n", template)), []);
    }

    #[test]
    fn where_all_values_are_handed_on_only_likely_misspellings_are_told() {
        let template = "{{ toYaml .Values }}";
        let given = serde_json::json!({"replcas": 2, "other": 1});
        let told = "value `replcas` is not known to the chart `web`; did you mean `replicas`?";
        check("replicas: 1\n", template, given, &[told]);
        check(
            "replicas: 1\n",
            "{{ include \"x\" (dict \"values\" .Values) }}",
            serde_json::json!({"other": 1}),
            &[],
        );
    }

    #[test]
    fn defaults_that_nothing_reads_are_found() {
        let chart = chart("a: 1\nb: {c: 1, d: 2}\ne: {f: 1}\n", "{{ .Values.b.c }}{{ toYaml .Values.e }}");
        let found: Vec<String> = unused_values(&chart).iter().map(|unused| unused.path.join(".")).collect();
        assert_eq!(found, ["a", "b.d"]);
    }
}
