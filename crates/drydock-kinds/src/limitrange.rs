//! LimitRange: bounds and defaults for what single objects of a namespace may ask for.

use k8s_openapi::api::core::v1::LimitRange;
use serde_json::{Map, Value, json};

use crate::column::ColumnType;
use crate::edit::{each, fill};
use crate::read::text;
use crate::role::created;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<LimitRange>()
    .short_names(&["limits"])
    .default_with(default)
    .columns(&[Column::compute("Created At", |object, _| created(object)).typed(ColumnType::Date)]);

/// Containers default to the maximum, and request what they default to or else the minimum.
fn default(object: &mut Value) {
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
