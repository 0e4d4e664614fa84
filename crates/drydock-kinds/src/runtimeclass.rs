//! RuntimeClass: which runtime of a node runs a pod's containers.

use k8s_openapi::api::node::v1::RuntimeClass;
use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::meta::{keeps, labels};
use crate::read::text;
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<RuntimeClass>()
    .validate_with(validate)
    .columns(&[Column::at("Handler", "/handler"), Column::age()]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let handler = text(new, "/handler");
    let path = Path::root("handler");
    let mut errors = match handler {
        "" => vec![FieldError::required(&path, "")],
        handler => rules::check(rules::label, handler, &path),
    };
    let selector = Path::root("scheduling.nodeSelector");
    errors.extend(labels(new, "/scheduling/nodeSelector", &selector));
    errors.extend(old.and_then(|old| keeps(new, old, "/handler")));
    errors
}
