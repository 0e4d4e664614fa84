//! ResourceClaimTemplate: from which each pod gets a ResourceClaim of its own. Served as data.

use k8s_openapi::api::resource::v1::ResourceClaimTemplate;

use crate::meta::keeps;
use crate::{Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<ResourceClaimTemplate>()
    .generation(Generation::Spec)
    .validate_with(|new, old| old.and_then(|old| keeps(new, old, "/spec")).into_iter().collect());
