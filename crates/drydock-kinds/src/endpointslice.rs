//! EndpointSlice: the addresses behind a Service, in pieces.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use crate::cells::some_of;
use crate::edit::{each, fill};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::{list, text, texts};
use crate::{Column, Generation, KindSpec};

const MAX_ENDPOINTS: usize = 1000;

pub const KIND: KindSpec = KindSpec::namespaced::<EndpointSlice>()
    .generation(Generation::Spec)
    .default_with(|object| {
        for port in each(object, "/ports") {
            fill(port, "name", "");
            fill(port, "protocol", "TCP");
        }
    })
    .validate_with(validate)
    .columns(&[
        Column::at("AddressType", "/addressType"),
        Column::compute("Ports", |object, _| some_of(&ports(object))),
        Column::compute("Endpoints", |object, _| some_of(&addresses(object))),
        Column::age(),
    ]);

fn ports(object: &Value) -> Vec<String> {
    let word = |port: &Value| match (port.get("port"), text(port, "/name")) {
        (Some(number), _) if !number.is_null() => number.to_string(),
        (_, "") => "*".to_owned(),
        (_, name) => name.to_owned(),
    };
    list(object, "/ports").iter().map(word).collect()
}

fn addresses(object: &Value) -> Vec<String> {
    list(object, "/endpoints")
        .iter()
        .flat_map(|endpoint| texts(endpoint, "/addresses"))
        .map(str::to_owned)
        .collect()
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = text(new, "/addressType");
    let path = Path::root("addressType");
    match kind {
        "" => errors.push(FieldError::required(&path, "")),
        "IPv4" | "IPv6" | "FQDN" => {}
        other => errors.push(FieldError::not_supported(&path, other, &["FQDN", "IPv4", "IPv6"])),
    }
    let endpoints = list(new, "/endpoints");
    let path = Path::root("endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(FieldError::too_many(&path, endpoints.len(), MAX_ENDPOINTS));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        if list(endpoint, "/addresses").is_empty() {
            let detail = "must contain at least 1 address";
            errors.push(FieldError::required(&path.index(index).child("addresses"), detail));
        }
    }
    errors.extend(old.and_then(|old| keeps(new, old, "/addressType")));
    errors
}
