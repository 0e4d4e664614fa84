//! Endpoints: the older list of addresses behind a Service.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Endpoints;
use serde_json::Value;

use crate::edit::{each, fill};
use crate::endpointslice::outside;
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::read::{list, number, text};
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<Endpoints>()
    .short_names(&["ep"])
    .default_with(default)
    .validate_with(validate)
    .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
    .columns(&[Column::compute("Endpoints", |object, _| Value::from(addresses(object))), Column::age()]);

fn default(object: &mut Value) {
    for subset in each(object, "/subsets") {
        each(subset, "/ports").for_each(|port| fill(port, "protocol", "TCP"));
    }
}

fn addresses(object: &Value) -> String {
    const SHOWN: usize = 3;
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        let ips: Vec<&str> = list(subset, "/addresses").iter().map(|address| text(address, "/ip")).collect();
        match list(subset, "/ports") {
            [] => all.extend(ips.iter().map(|ip| (*ip).to_owned())),
            ports => {
                let pairs =
                    ports.iter().flat_map(|port| ips.iter().map(move |ip| (ip, number(port, "/port"))));
                all.extend(pairs.map(|(ip, port)| format!("{ip}:{port}")));
            }
        }
    }
    match all.len() {
        0 => "<none>".to_owned(),
        count if count > SHOWN => format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN),
        _ => all.join(","),
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let all = list(new, "/subsets").iter().enumerate();
    all.flat_map(|(index, subset)| validate_subset(subset, &Path::root("subsets").index(index))).collect()
}

fn validate_subset(subset: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let fields = ["addresses", "notReadyAddresses"];
    if fields.iter().all(|field| list(subset, &format!("/{field}")).is_empty()) {
        errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for field in fields {
        for (index, address) in list(subset, &format!("/{field}")).iter().enumerate() {
            errors.extend(validate_address(address, &path.child(field).index(index)));
        }
    }
    let ports = list(subset, "/ports");
    for (index, port) in ports.iter().enumerate() {
        let at = path.child("ports").index(index);
        match text(port, "/name") {
            "" if ports.len() > 1 => errors.push(FieldError::required(&at.child("name"), "")),
            "" => {}
            name => errors.extend(rules::check(rules::label, name, &at.child("name"))),
        }
        errors.extend(template::port_number(number(port, "/port"), &at.child("port")));
        errors.extend(template::choice(port, &at, "protocol", &["SCTP", "TCP", "UDP"]));
    }
    errors
}

fn validate_address(address: &Value, path: &Path) -> Vec<FieldError> {
    let (ip, at) = (text(address, "/ip"), path.child("ip"));
    let mut errors = rules::check(rules::ip, ip, &at);
    match ip.parse::<IpAddr>() {
        Err(_) => errors.push(FieldError::invalid(&at, ip, "must be a valid IP address")),
        Ok(parsed) => errors.extend(outside(ip, parsed, &at)),
    }
    errors.extend(rules::check_if_present(rules::label, address, "hostname", path));
    errors
}
