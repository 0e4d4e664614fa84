//! ResourceSlice: the devices a driver has on a node. Served as data.

use k8s_openapi::api::resource::v1::ResourceSlice;

use crate::{Column, Generation, KindSpec, Selectable};

pub const KIND: KindSpec = KindSpec::cluster::<ResourceSlice>()
    .generation(Generation::Spec)
    .selectable(&[
        Selectable::at("spec.nodeName", &["/spec/nodeName"]),
        Selectable::at("spec.driver", &["/spec/driver"]),
    ])
    .columns(&[
        Column::at("Node", "/spec/nodeName"),
        Column::at("Driver", "/spec/driver"),
        Column::at("Pool", "/spec/pool/name"),
        Column::age(),
    ]);
