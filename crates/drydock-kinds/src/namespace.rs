//! Namespace: the boundary of names.

use k8s_openapi::api::core::v1::Namespace;

use crate::{Column, KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::cluster::<Namespace>()
    .short_names(&["ns"])
    .with_status()
    .named(NameRule::Label)
    .columns(&[Column::at("Status", "/status/phase"), Column::age()]);
