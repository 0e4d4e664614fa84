//! RuntimeClass: which runtime of a node runs a pod's containers.

use k8s_openapi::api::node::v1::RuntimeClass;
use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::names;
use crate::read::text;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<RuntimeClass>()
    .validate_with(validate)
    .columns(&[Column::at("Handler", "/handler"), Column::age()]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let handler = text(new, "/handler");
    let wrong = names::label(handler)
        .map(|complaint| FieldError::invalid(&Path::root("handler"), handler, complaint));
    wrong.into_iter().chain(old.and_then(|old| keeps(new, old, "/handler"))).collect()
}
