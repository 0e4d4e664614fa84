//! NetworkPolicy: who may talk to a set of pods, and whom they may talk to.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::{Value, json};

use crate::cells::selector;
use crate::edit::{each, ensure, fill, fill_at};
use crate::field::{FieldError, Path};
use crate::meta::labels;
use crate::read::{list, texts};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<NetworkPolicy>()
    .short_names(&["netpol"])
    .generation(Generation::Spec)
    .default_with(default)
    .validate_with(validate)
    .columns(&[
        Column::compute("Pod-Selector", |object, _| {
            Value::from(selector(object.pointer("/spec/podSelector")))
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
    let mut errors = labels(new, "/spec/podSelector/matchLabels", &path.child("podSelector.matchLabels"));
    let known = ["Egress", "Ingress"];
    for (index, kind) in texts(new, "/spec/policyTypes").enumerate() {
        if !known.contains(&kind) {
            errors.push(FieldError::not_supported(&path.child("policyTypes").index(index), kind, &known));
        }
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in list(new, &format!("/spec/{direction}")).iter().enumerate() {
            for (place, peer) in list(rule, &format!("/{peers}")).iter().enumerate() {
                let at = path.child(direction).index(index).child(peers).index(place);
                errors.extend(validate_peer(peer, &at));
            }
        }
    }
    errors
}

fn validate_peer(peer: &Value, path: &Path) -> Option<FieldError> {
    let selects = peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some();
    match (selects, peer.get("ipBlock").is_some()) {
        (false, false) => Some(FieldError::required(path, "must specify a peer")),
        (true, true) => Some(FieldError::forbidden(path, "may not specify both ipBlock and another peer")),
        _ => None,
    }
}
