//! ServiceAccount: the identity of a pod.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::KindSpec;

pub const KIND: KindSpec = KindSpec::namespaced::<ServiceAccount>().short_names(&["sa"]);
