//! PodTemplate: a pod specification kept for others to use.

use k8s_openapi::api::core::v1::PodTemplate;
use serde_json::Value;

use crate::cells::label_map;
use crate::field::Path;
use crate::pod::template;
use crate::read::{list, text};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<PodTemplate>()
    .generation(Generation::Spec)
    .default_with(|object| template::default_at(object, "/template"))
    .validate_with(|new, _| template::validate_any(&new["template"], &Path::root("template")))
    .columns(&[
        Column::compute("Containers", |object, _| containers(object, "/name")),
        Column::compute("Images", |object, _| containers(object, "/image")),
        Column::compute("Pod Labels", |object, _| {
            Value::from(label_map(object.pointer("/template/metadata/labels")))
        }),
    ]);

fn containers(object: &Value, field: &str) -> Value {
    let all = list(object, "/template/spec/containers").iter().map(|container| text(container, field));
    Value::from(all.collect::<Vec<_>>().join(","))
}
