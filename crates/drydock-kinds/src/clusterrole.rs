//! ClusterRole: what may be done in all namespaces, or in any one that binds it.

use k8s_openapi::api::rbac::v1::ClusterRole;

use crate::column::ColumnType;
use crate::rbac::validate_role;
use crate::role::created;
use crate::{Column, KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::cluster::<ClusterRole>()
    .named(NameRule::PathSegment)
    .validate_with(|new, _| validate_role(new, true))
    .columns(&[Column::compute("Created At", |object, _| created(object)).typed(ColumnType::Date)]);
