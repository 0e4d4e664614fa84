//! EndpointSlice: the addresses behind a Service, in pieces.

use std::collections::HashSet;
use std::net::IpAddr;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::Value;

use crate::cells::some_of;
use crate::edit::{each, fill};
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::pod::template::choice;
use crate::read::{list, text, texts};
use crate::rules;
use crate::{Column, Generation, KindSpec};

const MAX_ENDPOINTS: usize = 1000;

pub const KIND: KindSpec = KindSpec::namespaced::<EndpointSlice>()
    .generation(Generation::Spec)
    .default_with(|object| {
        for endpoint in each(object, "/endpoints") {
            fill(endpoint, "conditions", serde_json::Map::new());
        }
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
        errors.extend(validate_endpoint(endpoint, kind, &path.index(index)));
    }
    errors.extend(validate_ports(new));
    errors.extend(old.and_then(|old| keeps(new, old, "/addressType")));
    errors
}

fn validate_endpoint(endpoint: &Value, kind: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path.child("addresses");
    if list(endpoint, "/addresses").is_empty() {
        errors.push(FieldError::required(&at, "must contain at least 1 address"));
    }
    for (index, address) in texts(endpoint, "/addresses").enumerate() {
        let place = at.index(index);
        if kind == "FQDN" {
            errors.extend(rules::check(rules::subdomain, address, &place));
            continue;
        }
        if !["IPv4", "IPv6"].contains(&kind) {
            continue;
        }
        match address.parse::<IpAddr>() {
            Err(_) => errors.extend(rules::check(rules::ip, address, &place)),
            Ok(parsed) if parsed.is_ipv4() != (kind == "IPv4") => {
                let detail = format!("must be an {kind} address");
                errors.push(FieldError::invalid(&at, address, detail));
            }
            Ok(parsed) => errors.extend(outside(address, parsed, &place)),
        }
    }
    errors.extend(rules::check_if_present(rules::label, endpoint, "hostname", path));
    errors
}

/// An address that leads out of the machine it is used on.
pub(crate) fn outside(text: &str, address: IpAddr, path: &Path) -> Option<FieldError> {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let detail = if address.is_unspecified() {
        "may not be unspecified (0.0.0.0 or ::)"
    } else if address.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if address.is_multicast() {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    } else {
        return None;
    };
    Some(FieldError::invalid(path, text, detail))
}

fn validate_ports(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for (index, port) in list(new, "/ports").iter().enumerate() {
        let at = Path::root("ports").index(index);
        let name = text(port, "/name");
        if !name.is_empty() {
            errors.extend(rules::check(rules::label, name, &at.child("name")));
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at.child("name"), name));
        }
        errors.extend(choice(port, &at, "protocol", &["SCTP", "TCP", "UDP"]));
    }
    errors
}
