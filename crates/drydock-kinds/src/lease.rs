//! Lease: who leads, and for how long.

use k8s_openapi::api::coordination::v1::Lease;

use crate::{Column, KindSpec};

pub const KIND: KindSpec =
    KindSpec::namespaced::<Lease>().columns(&[Column::at("Holder", "/spec/holderIdentity"), Column::age()]);
