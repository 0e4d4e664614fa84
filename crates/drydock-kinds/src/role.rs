//! Role: what may be done in one namespace.

use k8s_openapi::api::rbac::v1::Role;
use serde_json::Value;

use crate::column::ColumnType;
use crate::rbac::validate_role;
use crate::{Column, KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::namespaced::<Role>()
    .named(NameRule::PathSegment)
    .validate_with(|new, _| validate_role(new, false))
    .columns(&[Column::compute("Created At", |object, _| created(object)).typed(ColumnType::Date)]);

pub(crate) fn created(object: &Value) -> Value {
    object.pointer("/metadata/creationTimestamp").cloned().unwrap_or_default()
}
