//! ServiceCIDR: a network that services' addresses are taken from.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::{Value, json};

use crate::edit::start_status;
use crate::field::{FieldError, Path};
use crate::read::{list, texts};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<ServiceCIDR>()
    .with_status()
    .generation(Generation::Spec)
    .prepare_with(|new, old| start_status(new, old, json!({})))
    .validate_with(validate)
    .columns(&[
        Column::compute("CIDRs", |object, _| {
            Value::from(texts(object, "/spec/cidrs").collect::<Vec<_>>().join(","))
        }),
        Column::age(),
    ]);

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec.cidrs");
    if let Some(old) = old {
        let detail = "field is immutable";
        return (list(new, "/spec/cidrs") != list(old, "/spec/cidrs"))
            .then(|| FieldError::invalid(&path, new["spec"]["cidrs"].clone(), detail))
            .into_iter()
            .collect();
    }
    let cidrs: Vec<&str> = texts(new, "/spec/cidrs").collect();
    if cidrs.is_empty() {
        return vec![FieldError::required(&path, "at least one CIDR required")];
    }
    let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    let bad = cidrs.iter().enumerate().filter(|(_, cidr)| !is_cidr(cidr));
    bad.map(|(index, cidr)| FieldError::invalid(&path.index(index), *cidr, detail)).collect()
}

/// An address, a slash and a prefix length.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(prefix)) = (address.parse::<IpAddr>(), prefix.parse::<u8>()) else { return false };
    prefix <= if address.is_ipv4() { 32 } else { 128 }
}
