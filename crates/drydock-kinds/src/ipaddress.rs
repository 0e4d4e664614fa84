//! IPAddress: an address of the cluster's services and who holds it.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::IPAddress;
use serde_json::Value;

use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::text;
use crate::rules;
use crate::{Column, KindSpec, NameRule, Selectable};

pub const KIND: KindSpec = KindSpec::cluster::<IPAddress>()
    .short_names(&["ip"])
    .named(NameRule::PathSegment)
    .validate_with(validate)
    .selectable(&[Selectable::at("spec.parentRef.name", &["/spec/parentRef/name"])])
    .columns(&[Column::compute("ParentRef", |object, _| Value::from(parent(object))), Column::age()]);

fn parent(object: &Value) -> String {
    let Some(parent) = object.pointer("/spec/parentRef") else { return "<none>".to_owned() };
    let resource = match text(parent, "/group") {
        "" => text(parent, "/resource").to_owned(),
        group => format!("{}.{group}", text(parent, "/resource")),
    };
    let place = match text(parent, "/namespace") {
        "" => String::new(),
        namespace => format!("/{namespace}"),
    };
    format!("{}{place}/{}", resource.to_ascii_lowercase(), text(parent, "/name"))
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = text(new, "/metadata/name");
    let canonical = name.parse::<IpAddr>().is_ok_and(|address| address.to_string() == name);
    if name.parse::<IpAddr>().is_err() {
        errors.extend(rules::check(rules::ip, name, &Path::root("metadata.name")));
    } else if !canonical {
        let detail = "must be a valid IP address in canonical form";
        errors.push(FieldError::invalid(&Path::root("metadata.name"), name, detail));
    }
    let path = Path::root("spec.parentRef");
    match new.pointer("/spec/parentRef") {
        None => errors.push(FieldError::required(&path, "")),
        Some(parent) => {
            for field in ["resource", "name"] {
                if text(parent, &format!("/{field}")).is_empty() {
                    errors.push(FieldError::required(&path.child(field), ""));
                }
            }
        }
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/spec/parentRef")));
    errors
}
