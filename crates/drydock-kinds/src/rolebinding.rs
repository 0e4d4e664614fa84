//! RoleBinding: who holds a role in one namespace.

use k8s_openapi::api::rbac::v1::RoleBinding;

use crate::rbac::{BINDING_COLUMNS, default_binding, validate_binding};
use crate::{KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::namespaced::<RoleBinding>()
    .named(NameRule::PathSegment)
    .default_with(default_binding)
    .validate_with(|new, old| validate_binding(new, old, &["Role", "ClusterRole"]))
    .columns(BINDING_COLUMNS);
