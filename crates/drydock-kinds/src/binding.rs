//! Binding: the scheduler's word that a pod runs on a node. Never stored; the pod takes it up.

use k8s_openapi::api::core::v1::Binding;

use crate::KindSpec;

pub const KIND: KindSpec = KindSpec::namespaced::<Binding>().verbs(&["create"]);
