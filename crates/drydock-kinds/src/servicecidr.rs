//! ServiceCIDR: a network that services' addresses are taken from.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::Value;

use crate::edit::start_without_status;
use crate::field::{FieldError, Path};
use crate::read::{list, texts};
use crate::rules;
use crate::{Column, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<ServiceCIDR>()
    .with_status()
    .prepare_with(start_without_status)
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
    let families = |four: bool| {
        cidrs.iter().filter(|cidr| rules::network(cidr).is_some_and(|n| n.0.is_ipv4() == four)).count()
    };
    if families(true) > 1 || families(false) > 1 {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        return vec![FieldError::invalid(&path, cidrs.clone(), detail)];
    }
    let check = |(index, cidr): (usize, &&str)| {
        let at = path.index(index);
        let mut errors = rules::check(rules::cidr, cidr, &at);
        if rules::network(cidr).is_some_and(|(address, prefix)| !is_base(address, prefix)) {
            errors.push(FieldError::invalid(&at, *cidr, "must not have bits set beyond the prefix length"));
        }
        errors
    };
    cidrs.iter().enumerate().flat_map(check).collect()
}

/// Whether an address is the first of its network.
fn is_base(address: IpAddr, prefix: u8) -> bool {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host = width - u32::from(prefix);
    1_u128.checked_shl(host).map_or(bits == 0, |size| bits & (size - 1) == 0)
}
