//! Deployment: replicas of a pod template, replaced step by step when the template changes.

use k8s_openapi::api::apps::v1::Deployment;

use crate::{Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<Deployment>()
    .short_names(&["deploy"])
    .categories(&["all"])
    .with_status()
    .with_scale()
    .generation(Generation::SpecAndAnnotations);
