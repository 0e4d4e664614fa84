//! NetworkPolicy: who may talk to a set of pods, and whom they may talk to.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::cells;
use crate::edit::{each, ensure, fill, fill_at};
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::read::{list, text, texts};
use crate::{Column, Generation, KindSpec};
use crate::{rules, selector};

pub const KIND: KindSpec = KindSpec::namespaced::<NetworkPolicy>()
    .short_names(&["netpol"])
    .generation(Generation::Spec)
    .default_with(default)
    .validate_with(validate)
    .columns(&[
        Column::compute("Pod-Selector", |object, _| {
            Value::from(cells::selector(object.pointer("/spec/podSelector")))
        }),
        Column::age(),
    ]);

/// A policy with rules for outgoing traffic is about both directions, any other about incoming traffic.
fn default(object: &mut Value) {
    ensure(object, "/spec");
    let types: &[&str] =
        if list(object, "/spec/egress").is_empty() { &["Ingress"] } else { &["Ingress", "Egress"] };
    fill_at(object, "/spec", json!({ "podSelector": {}, "policyTypes": types }));
    for direction in ["/spec/ingress", "/spec/egress"] {
        for rule in each(object, direction) {
            each(rule, "/ports").for_each(|port| fill(port, "protocol", "TCP"));
        }
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = selector::labels(new["spec"].get("podSelector"), &path.child("podSelector"));
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(new, &format!("/spec/{direction}")).iter().enumerate() {
            let at = path.child(direction).index(index);
            for (place, port) in list(rule, "/ports").iter().enumerate() {
                errors.extend(validate_port(port, &at.child("ports").index(place)));
            }
            for (place, peer) in list(rule, &format!("/{peers}")).iter().enumerate() {
                errors.extend(validate_peer(peer, &at.child(peers).index(place)));
            }
        }
    }
    let (types, known) = (list(new, "/spec/policyTypes"), ["Ingress", "Egress"]);
    if types.len() > known.len() {
        let detail = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid(&path.child("policyTypes"), types.to_vec(), detail));
        return errors;
    }
    for (index, kind) in texts(new, "/spec/policyTypes").enumerate() {
        if !known.contains(&kind) {
            errors.push(FieldError::not_supported(&path.child("policyTypes").index(index), kind, &known));
        }
    }
    errors
}

fn validate_port(port: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    errors.extend(template::choice(port, path, "protocol", &["TCP", "UDP", "SCTP"]));
    let end = port.get("endPort").and_then(Value::as_i64);
    let at = path.child("endPort");
    match port.get("port") {
        Some(Value::String(name)) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(FieldError::invalid(&at, end, detail));
            }
            errors.extend(rules::check(rules::port_name, name, &path.child("port")));
        }
        Some(first) => {
            let first = first.as_i64().unwrap_or_default();
            errors.extend(template::port_number(first, &path.child("port")));
            if let Some(end) = end {
                if end < first {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(FieldError::invalid(&at, first, detail));
                }
                errors.extend(template::port_number(end, &at));
            }
        }
        None => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is not specified";
                errors.push(FieldError::invalid(&at, end, detail));
            }
        }
    }
    errors
}

fn validate_peer(peer: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["podSelector", "namespaceSelector"] {
        errors.extend(selector::labels(peer.get(field), &path.child(field)));
    }
    let selects = peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some();
    match (selects, peer.get("ipBlock")) {
        (false, None) => errors.push(FieldError::required(path, "must specify a peer")),
        (true, Some(_)) => {
            errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
        (_, Some(block)) => errors.extend(validate_block(block, &path.child("ipBlock"))),
        _ => {}
    }
    errors
}

fn validate_block(block: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = rules::check_required(rules::cidr, block, "cidr", path);
    let outer = rules::network(text(block, "/cidr"));
    for (index, except) in texts(block, "/except").enumerate() {
        let at = path.child("except").index(index);
        errors.extend(rules::check(rules::cidr, except, &at));
        if let (Some(outer), Some(inner)) = (outer, rules::network(except))
            && !contains(outer, inner)
        {
            errors.push(FieldError::invalid(&at, except, "must be a strict subset of `cidr`"));
        }
    }
    errors
}

/// Whether a network is a smaller part of another one.
fn contains(outer: (IpAddr, u8), inner: (IpAddr, u8)) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
        IpAddr::V6(address) => (address.to_bits(), 6),
    };
    let ((whole, family), (part, other)) = (bits(outer.0), bits(inner.0));
    let mask = u128::MAX.checked_shl(128 - u32::from(outer.1)).unwrap_or(0);
    family == other && inner.1 > outer.1 && (whole & mask) == (part & mask)
}
