//! LimitRange: bounds and defaults for what single objects of a namespace may ask for.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::LimitRange;
use kubernetes_quantity::Quantity;
use serde_json::{Map, Value, json};

use crate::column::ColumnType;
use crate::edit::{each, ensure, fill};
use crate::field::{FieldError, Path};
use crate::pod::resources::{Amounts, amounts};
use crate::read::{entries, list, text};
use crate::role::created;
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<LimitRange>()
    .short_names(&["limits"])
    .default_with(default)
    .validate_with(validate)
    .columns(&[Column::compute("Created At", |object, _| created(object)).typed(ColumnType::Date)]);

/// Containers default to the maximum, and request what they default to or else the minimum.
fn default(object: &mut Value) {
    ensure(object, "/spec");
    for item in each(object, "/spec/limits") {
        if text(item, "/type") != "Container" {
            continue;
        }
        inherit(item, "max", "default");
        inherit(item, "default", "defaultRequest");
        inherit(item, "min", "defaultRequest");
    }
}

fn inherit(item: &mut Value, from: &str, to: &str) {
    let Some(Value::Object(source)) = item.get(from).cloned() else { return };
    fill(item, to, json!(Map::new()));
    for (name, amount) in source {
        fill(&mut item[to], &name, amount);
    }
}

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, limit) in list(new, "/spec/limits").iter().enumerate() {
        let path = Path::root("spec.limits").index(index);
        let kind = text(limit, "/type");
        let bad = rules::check(rules::qualified, kind, &path.child("type"));
        if bad.is_empty() && !kind.contains('/') && !TYPES.contains(&kind) && !kind.contains('.') {
            let detail = "must be a standard limit type or fully qualified";
            errors.push(FieldError::invalid(&path.child("type"), kind, detail));
        }
        errors.extend(bad);
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(&path.child("type"), kind));
        }
        errors.extend(validate_limit(limit, kind, &path));
    }
    errors
}

fn validate_limit(limit: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let sides = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
    for side in sides {
        if kind == "Pod" && side.starts_with("default") {
            if entries(limit, &format!("/{side}")).next().is_some() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(&path.child(side), detail));
            }
            continue;
        }
        for (name, _) in entries(limit, &format!("/{side}")) {
            errors.extend(resource_name(name, kind, &path.child(side).key(name)));
        }
    }
    let stored = ["min", "max"].iter().any(|side| limit[*side].get("storage").is_some());
    if kind == "PersistentVolumeClaim" && !stored {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(FieldError::required(&path.child("limits"), detail));
    }
    let all = sides.map(|side| amounts(limit, &format!("/{side}")));
    let names: BTreeSet<&String> = all.iter().flat_map(|amounts| amounts.keys()).collect();
    errors.extend(names.into_iter().flat_map(|name| in_order(name, &all, path)));
    errors
}

fn resource_name(name: &str, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = rules::check(rules::qualified, name, path);
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if matches!(kind, "Container" | "Pod") && !name.contains('/') && !standard {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
    errors
}

/// Minimum, default request, default and maximum of one resource have to rise in this order.
fn in_order(name: &str, all: &[Amounts; 5], path: &Path) -> Vec<FieldError> {
    let [most, least, default, request, ratio] = all.each_ref().map(|amounts| amounts.get(name).copied());
    let mut errors = Vec::new();
    let mut demand = |low: Option<Quantity>,
                      high: Option<Quantity>,
                      field: &str,
                      shown: Option<Quantity>,
                      words: (&str, &str)| {
        if let (Some(low), Some(high), Some(shown)) = (low, high, shown)
            && low > high
        {
            let detail = format!("{} value {low} is greater than {} value {high}", words.0, words.1);
            errors.push(FieldError::invalid(&path.child(field).key(name), shown.to_string(), detail));
        }
    };
    demand(least, most, "min", least, ("min", "max"));
    demand(least, request, "defaultRequest", request, ("min", "default request"));
    demand(request, most, "defaultRequest", request, ("default request", "max"));
    demand(request, default, "defaultRequest", request, ("default request", "default limit"));
    demand(least, default, "default", least, ("min", "default"));
    demand(default, most, "default", most, ("default", "max"));
    if let Some(ratio) = ratio.filter(|ratio| *ratio < Quantity::count(1)) {
        let at = path.child("maxLimitRequestRatio").key(name);
        errors.push(FieldError::invalid(&at, ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    errors
}
