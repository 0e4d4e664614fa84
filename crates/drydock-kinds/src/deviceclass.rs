//! DeviceClass: a sort of devices that pods may claim. Served as data; drydock's node has no devices to give.

use k8s_openapi::api::resource::v1::DeviceClass;

use crate::{Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<DeviceClass>().generation(Generation::Spec);
