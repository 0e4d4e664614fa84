//! Which line of which template an object came from. Pure.
//!
//! A rendered document does not say; but its template has a line `kind: ...` for it. Where several fit, the one whose
//! document names the object is meant, else the one at the same place among its kind.

use std::collections::BTreeMap;

use crate::manifest::Object;

/// Templates by their path as manifests name them: `chart/templates/web.yaml`.
pub(crate) fn find_lines(objects: &mut [Object], templates: &BTreeMap<String, String>) {
    for index in 0..objects.len() {
        let Some(text) = templates.get(&objects[index].source_file) else { continue };
        let (before, object) = (&objects[..index], &objects[index]);
        let nth = before
            .iter()
            .filter(|other| other.source_file == object.source_file && other.kind() == object.kind())
            .count();
        objects[index].line = Some(line(text, object.kind(), object.name(), nth));
    }
}

fn line(text: &str, kind: &str, name: &str, nth: usize) -> usize {
    let wanted = |line: &str| {
        let value = line.trim_start_matches("- ").strip_prefix("kind:");
        value.is_some_and(|value| value.trim().trim_matches(['"', '\'']) == kind)
    };
    let lines: Vec<&str> = text.lines().collect();
    let found: Vec<usize> = (0..lines.len()).filter(|&at| wanted(lines[at])).collect();
    let by_name = found.iter().find(|&&at| document(&lines, at).any(|line| names(line, name)));
    match (found.as_slice(), by_name) {
        ([only], _) => only + 1,
        (_, Some(at)) => at + 1,
        (found, None) => found.get(nth).or(found.last()).map_or(1, |at| at + 1),
    }
}

/// The lines of the document around a line.
fn document<'t>(lines: &[&'t str], at: usize) -> impl Iterator<Item = &'t str> {
    let start = lines[..at].iter().rposition(|line| line.starts_with("---")).map_or(0, |start| start + 1);
    let end = lines[at..].iter().position(|line| line.starts_with("---")).map_or(lines.len(), |end| at + end);
    lines[start..end].iter().copied()
}

fn names(line: &str, name: &str) -> bool {
    let Some(value) = line.trim().strip_prefix("name:") else { return false };
    let value = value.trim().trim_matches(['"', '\'']);
    // `name: {{ .Release.Name }}-web` names what ends in `-web`.
    let fixed = value.rsplit("}}").next().unwrap_or(value).trim_matches(['"', '\'']);
    value == name || (value.contains("}}") && !fixed.is_empty() && name.ends_with(fixed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
{{- if .Values.web }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-web
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-api
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
";

    #[track_caller]
    fn check(kind: &str, name: &str, nth: usize, expect: usize) {
        assert_eq!(line(TEXT, kind, name, nth), expect);
    }

    #[test]
    fn the_only_one_of_its_kind_is_meant() {
        check("Deployment", "todo", 0, 14);
    }

    #[test]
    fn among_several_the_name_decides() {
        check("Service", "todo-api", 0, 8);
        check("Service", "todo-web", 1, 3);
    }

    #[test]
    fn a_name_that_fits_none_is_told_by_its_place() {
        check("Service", "todo-other", 1, 8);
    }

    #[test]
    fn a_kind_that_is_made_up_is_the_whole_file() {
        check("Job", "x", 0, 1);
    }
}
