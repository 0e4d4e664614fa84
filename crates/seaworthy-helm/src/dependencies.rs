//! Which subcharts take part, under which name, and what they export to their parent.

use serde_json::{Map, Value as Json};

use crate::chart::{Chart, Values};
use crate::metadata::Dependency;
use crate::values::{self, Nulls};

/// Removes disabled subcharts, applies aliases and imports values; `given` are the user's values.
pub(crate) fn process(chart: &mut Chart, given: &Values) -> Result<(), String> {
    enable(chart, given, "")?;
    import_values(chart)
}

/// Names in Chart.yaml that charts/ does not hold.
pub(crate) fn missing(chart: &Chart) -> Vec<&str> {
    let present =
        |wanted: &Dependency| chart.dependencies.iter().any(|subchart| subchart.name() == wanted.name);
    chart
        .metadata
        .dependencies
        .iter()
        .filter(|wanted| !present(wanted))
        .map(|wanted| wanted.name.as_str())
        .collect()
}

fn compatible(range: &str, version: &str) -> bool {
    range.is_empty() || seaworthy_template::version_matches(range, version).unwrap_or(false)
}

fn fits(subchart: &Chart, wanted: &Dependency) -> bool {
    subchart.name() == wanted.name && compatible(&wanted.version, &subchart.metadata.version)
}

fn enable(chart: &mut Chart, given: &Values, path: &str) -> Result<(), String> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let wanted = std::mem::take(&mut chart.metadata.dependencies);
    let present = std::mem::take(&mut chart.dependencies);
    let unlisted = present.iter().filter(|subchart| !wanted.iter().any(|wanted| fits(subchart, wanted)));
    let mut kept: Vec<Chart> = unlisted.cloned().collect();
    let mut listed = Vec::new();
    for mut dependency in wanted {
        let found = present.iter().find(|subchart| fits(subchart, &dependency)).cloned();
        if !dependency.alias.is_empty() {
            dependency.name = dependency.alias.clone();
        }
        if let Some(mut subchart) = found {
            subchart.metadata.name = dependency.name.clone();
            kept.push(subchart);
        }
        listed.push(dependency);
    }
    chart.dependencies = kept;
    let all = values::coalesce(chart, given, Nulls::Delete)?;
    for dependency in &mut listed {
        dependency.enabled = is_enabled(dependency, &all, path);
    }
    let disabled =
        |name: &str| listed.iter().any(|dependency| dependency.name == name && !dependency.enabled);
    chart.dependencies.retain(|subchart| !disabled(subchart.name()));
    for subchart in &mut chart.dependencies {
        let path = format!("{path}{}.", subchart.metadata.name);
        enable(subchart, &all, &path)?;
    }
    listed.retain(|dependency| dependency.enabled);
    chart.metadata.dependencies = listed;
    Ok(())
}

/// Conditions decide over tags; the first path that holds a bool counts.
fn is_enabled(dependency: &Dependency, values: &Values, path: &str) -> bool {
    let tags = values.get("tags").and_then(Json::as_object);
    let states: Vec<bool> = dependency.tags.iter().filter_map(|tag| tags?.get(tag)?.as_bool()).collect();
    let by_tags = states.is_empty() || states.contains(&true);
    let conditions = dependency.condition.trim().split(',').filter(|condition| !condition.is_empty());
    let mut by_condition =
        conditions.filter_map(|condition| values::at_path(values, &format!("{path}{condition}"))?.as_bool());
    by_condition.next().unwrap_or(by_tags)
}

fn import_values(chart: &mut Chart) -> Result<(), String> {
    chart.dependencies.iter_mut().try_for_each(import_values)?;
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let mut own = values::coalesce(chart, &Values::new(), Nulls::Keep)?;
    let mut imported = Values::new();
    for dependency in &mut chart.metadata.dependencies {
        let mut normalized = Vec::new();
        for import in &dependency.import_values {
            let (child, parent) = match import {
                Json::String(name) => (format!("exports.{name}"), ".".to_owned()),
                Json::Object(map) => (field(map, "child"), field(map, "parent")),
                _ => continue,
            };
            normalized.push(serde_json::json!({"child": child, "parent": parent}));
            let path = format!("{}.{child}", dependency.name);
            if let Some(Json::Object(table)) = values::at_path(&own, &path) {
                values::coalesce_tables(&mut imported, nested(&parent, table.clone()), Nulls::Keep);
            }
        }
        dependency.import_values = normalized;
    }
    values::coalesce_tables(&mut own, imported, Nulls::Keep);
    chart.values = own;
    Ok(())
}

fn field(map: &Map<String, Json>, key: &str) -> String {
    map.get(key).and_then(Json::as_str).unwrap_or("<nil>").to_owned()
}

/// Wraps a table in maps along a dotted path.
fn nested(path: &str, table: Values) -> Values {
    if path == "." {
        return table;
    }
    path.split('.').rev().fold(table, |inner, step| Map::from_iter([(step.to_owned(), Json::Object(inner))]))
}
