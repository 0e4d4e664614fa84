//! Endpoints: the older list of addresses behind a Service.

use k8s_openapi::api::core::v1::Endpoints;
use serde_json::Value;

use crate::edit::{each, fill};
use crate::read::{list, number, text};
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<Endpoints>()
    .short_names(&["ep"])
    .default_with(default)
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
