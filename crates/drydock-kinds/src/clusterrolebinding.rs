//! ClusterRoleBinding: who holds a role everywhere.

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;

use crate::rbac::{BINDING_COLUMNS, default_binding, validate_binding};
use crate::{KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::cluster::<ClusterRoleBinding>()
    .named(NameRule::PathSegment)
    .default_with(default_binding)
    .validate_with(|new, old| validate_binding(new, old, &["ClusterRole"]))
    .columns(BINDING_COLUMNS);
