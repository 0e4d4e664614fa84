//! How values of charts, files and flags become the values a template sees: Helm's rules for merging,
//! for nulls that delete, and for globals.

use serde_json::{Map, Number, Value as Json};

use seaworthy_template::yaml;

use crate::chart::{Chart, Error, Values};
use crate::limits::Limits;

const GLOBAL: &str = "global";

/// Reads a values file: one or more documents, later ones win.
pub(crate) fn load(name: &str, text: &str) -> Result<Values, Error> {
    parse_values_within(name, text, &Limits::default())
}

/// Reads a `-f` file within bounds of the caller's choice.
pub fn parse_values_within(name: &str, text: &str, limits: &Limits) -> Result<Values, Error> {
    let bounds = yaml::Limits { bytes: limits.values_bytes, ..yaml::Limits::default() };
    let mut values = Values::new();
    for document in yaml::split_documents(text) {
        match yaml::read_with(&document, bounds)
            .map_err(|source| Error::Yaml { file: name.to_owned(), source })?
        {
            Json::Null => {}
            Json::Object(map) => merge_maps(&mut values, map),
            _ => return Err(Error::NotAMap { file: name.to_owned() }),
        }
    }
    as_floats_map(&mut values);
    Ok(values)
}

/// Reads a `-f` file.
pub fn parse_values(name: &str, text: &str) -> Result<Values, Error> {
    load(name, text)
}

/// Later wins; maps are merged, everything else is replaced, nulls stay.
pub fn merge_maps(into: &mut Values, from: Values) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(old)), Json::Object(new)) => merge_maps(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// All values of a chart with the user's over its defaults, as templates would see them.
pub fn computed(chart: &Chart, given: &Values) -> Result<Values, String> {
    coalesce(chart, given, Nulls::Delete)
}

/// Adds what `values` does not set; a null in it takes away what `defaults` has.
pub fn fill(values: &mut Values, defaults: Values) {
    coalesce_tables(values, defaults, Nulls::Delete);
}

/// Numbers as Helm holds what it read from files: floats. Flags keep their integers.
pub fn as_floats(value: &mut Json) {
    match value {
        Json::Number(n) => {
            if let Some(float) = n.as_f64().and_then(Number::from_f64) {
                *n = float;
            }
        }
        Json::Array(items) => items.iter_mut().for_each(as_floats),
        Json::Object(map) => as_floats_map(map),
        _ => {}
    }
}

fn as_floats_map(map: &mut Values) {
    map.values_mut().for_each(as_floats);
}

/// Whether nulls delete (what templates see) or are kept (what import-values works on).
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Nulls {
    Delete,
    Keep,
}

/// The values of a chart and its subcharts with `given` over the charts' defaults.
pub(crate) fn coalesce(chart: &Chart, given: &Values, nulls: Nulls) -> Result<Values, String> {
    let mut values = given.clone();
    coalesce_chart(chart, &mut values, nulls)?;
    Ok(values)
}

fn coalesce_chart(chart: &Chart, values: &mut Values, nulls: Nulls) -> Result<(), String> {
    coalesce_defaults(chart, values, nulls);
    for subchart in &chart.dependencies {
        let name = subchart.name().to_owned();
        let globals = values.get(GLOBAL).cloned();
        match values.entry(name.clone()).or_insert_with(|| Json::Object(Map::new())) {
            Json::Object(inner) => {
                coalesce_globals(inner, globals);
                coalesce_chart(subchart, inner, nulls)?;
            }
            _ => return Err(format!("values for subchart `{name}` must be a map")),
        }
    }
    Ok(())
}

fn coalesce_globals(inner: &mut Values, outer: Option<Json>) {
    let target = inner.entry(GLOBAL).or_insert_with(|| Json::Object(Map::new()));
    let Json::Object(target) = target else { return };
    let Some(Json::Object(source)) = outer else { return };
    for (key, value) in source {
        match (value, target.get(&key)) {
            (Json::Object(mut value), Some(Json::Object(own))) => {
                // Globals of the parent win over the subchart's own.
                coalesce_tables(&mut value, own.clone(), Nulls::Keep);
                target.insert(key, Json::Object(value));
            }
            (Json::Object(_), Some(_)) => {}
            (value @ Json::Object(_), None) => {
                target.insert(key, value);
            }
            (_, Some(Json::Object(_))) => {}
            (value, _) => {
                target.insert(key, value);
            }
        }
    }
}

fn coalesce_defaults(chart: &Chart, values: &mut Values, nulls: Nulls) {
    for (key, mut default) in chart.values.clone() {
        match values.get_mut(&key) {
            Some(Json::Null) if nulls == Nulls::Delete => {
                values.remove(&key);
            }
            Some(Json::Object(own)) => {
                let Json::Object(mut default) = default else { continue };
                let is_subchart = chart.dependencies.iter().any(|subchart| subchart.name() == key);
                let nulls = if is_subchart { Nulls::Keep } else { nulls };
                if nulls == Nulls::Delete {
                    drop_nulls(&mut default);
                }
                coalesce_tables(own, default, nulls);
            }
            Some(_) => {}
            None => {
                if nulls == Nulls::Delete {
                    if default.is_null() {
                        continue;
                    }
                    if let Json::Object(map) = &mut default {
                        drop_nulls(map);
                    }
                }
                values.insert(key, default);
            }
        }
    }
}

/// Fills `target` from `source` without replacing what is there.
pub(crate) fn coalesce_tables(target: &mut Values, source: Values, nulls: Nulls) {
    for (key, value) in source {
        match (target.get_mut(&key), value) {
            (Some(Json::Null), value) if nulls == Nulls::Delete && !value.is_null() => {
                target.remove(&key);
            }
            (None, value) => {
                target.insert(key, value);
            }
            (Some(Json::Object(own)), Json::Object(value)) => coalesce_tables(own, value, nulls),
            (Some(_), _) => {}
        }
    }
}

pub(crate) fn drop_nulls(map: &mut Values) {
    map.retain(|_, value| {
        if let Json::Object(inner) = value {
            drop_nulls(inner);
        }
        !value.is_null()
    });
}

/// The value at a dotted path.
pub(crate) fn at_path<'v>(values: &'v Values, path: &str) -> Option<&'v Json> {
    let mut steps = path.split('.');
    let first = values.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}
