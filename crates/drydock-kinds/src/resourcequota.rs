//! ResourceQuota: how much a namespace may use.

use k8s_openapi::api::core::v1::ResourceQuota;
use serde_json::{Value, json};

use crate::edit::start_status;
use crate::read::{entries, or};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<ResourceQuota>()
    .short_names(&["quota"])
    .with_status()
    .prepare_with(|new, old| start_status(new, old, json!({})))
    .columns(&[
        Column::compute("Request", |quota, _| usage(quota, false)),
        Column::compute("Limit", |quota, _| usage(quota, true)),
        Column::age(),
    ]);

fn usage(quota: &Value, limits: bool) -> Value {
    let hard = entries(quota, "/status/hard").filter(|(name, _)| name.starts_with("limits.") == limits);
    let line = |(name, most): (&String, &Value)| {
        let used = quota["status"]["used"][name.as_str()].as_str().unwrap_or_default();
        format!("{name}: {}/{}", or(used, "0"), most.as_str().unwrap_or_default())
    };
    Value::from(hard.map(line).collect::<Vec<_>>().join(", "))
}
