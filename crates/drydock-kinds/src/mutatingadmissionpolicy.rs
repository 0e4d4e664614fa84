//! MutatingAdmissionPolicy: rules that change objects, as expressions. Known, so that clients find it, and refused by name.

use k8s_openapi::api::admissionregistration::v1::MutatingAdmissionPolicy;

use crate::field::{FieldError, Path};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<MutatingAdmissionPolicy>()
    .categories(&["api-extensions"])
    .generation(Generation::Spec)
    .validate_with(|_, _| {
        let why = "drydock does not offer policies that change objects yet; a mutating webhook can";
        vec![FieldError::forbidden(&Path::root("spec"), why)]
    })
    .columns(&[Column::age()]);
