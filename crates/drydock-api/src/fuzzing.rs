//! One function per decoder that strangers can reach: whatever the bytes, it returns.
//!
//! For the fuzzing tests of this crate (`tests/fuzz`), which need what is otherwise private. No part of the API.

use drydock_kinds::CustomKind;
use drydock_kinds::schema::{Schema, conform};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::patch::{Apply, Writer, apply, json_patch, strategic_merge, track_update};
use crate::request::Query;
use crate::resource::page;
use crate::selector::Filter;
use crate::served::ServedKind;
use crate::wire::body;

/// A target's name and what it does with any bytes.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("json_body", json_body),
    ("yaml_body", yaml_body),
    ("protobuf_body", protobuf_body),
    ("strategic_merge", merge_strategically),
    ("json_patch", patch_json),
    ("merge_patch", patch_merge),
    ("server_side_apply", apply_twice),
    ("managed_fields", track),
    ("selectors", selectors),
    ("continue_tokens", continue_tokens),
    ("custom_schema", custom_schema),
    ("spdy_frames", spdy_frames),
];

fn parsed(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn conformed(mut object: Value) -> Option<Value> {
    let root = Schema::builtin().kind("apps", "v1", "Deployment")?;
    conform(&mut object, root).ok().map(|_| object)
}

/// A decoded object that conforms once conforms again, and to itself.
fn json_body(bytes: &[u8]) {
    let Ok(decoded) = body::decode_json(bytes) else {
        drop(body::check_json(bytes, "Deployment"));
        return;
    };
    if let Some(object) = conformed(decoded.value) {
        assert_eq!(conformed(object.clone()), Some(object), "conforming is not stable");
    }
}

fn yaml_body(bytes: &[u8]) {
    if let Ok(decoded) = body::decode_yaml(bytes) {
        drop(conformed(decoded.value));
    }
}

fn protobuf_body(bytes: &[u8]) {
    for (version, kind) in
        [("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "DeleteOptions"), ("v1", "Secret")]
    {
        if let Ok(value) = drydock_protobuf::decode(bytes, Some((version, kind))) {
            drop(drydock_protobuf::encode(&value));
        }
    }
}

/// `{"live", "patch"}`; what comes out of a merge is an object whose directives mean nothing any more.
fn merge_strategically(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let Some(root) = Schema::builtin().kind("apps", "v1", "Deployment") else { return };
    let Some(live) = conformed(input["live"].clone()) else { return };
    if let Ok(merged) = strategic_merge(&live, &input["patch"], root) {
        drop(conformed(merged));
    }
}

fn patch_json(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let operations = input["patch"].as_array().cloned().unwrap_or_default();
    drop(json_patch(&mut input["live"].clone(), &operations));
}

fn patch_merge(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let mut merged = input["live"].clone();
    json_patch::merge(&mut merged, &input["patch"]);
    let once = merged.clone();
    json_patch::merge(&mut merged, &input["patch"]);
    assert_eq!(merged, once, "a merge patch twice is the patch once");
}

/// `{"live", "patch"}`: applying the same twice changes nothing the second time.
fn apply_twice(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let Some(root) = Schema::builtin().kind("apps", "v1", "Deployment") else { return };
    let live = conformed(input["live"].clone());
    let writer = Writer { manager: "fuzz", subresource: "", excluded: &["status"] };
    let mut config = input["patch"].clone();
    if !config.is_object() {
        return;
    }
    // What an apply is of was checked before it gets here.
    (config["apiVersion"], config["kind"]) = ("apps/v1".into(), "Deployment".into());
    let config = &config;
    let once = |live: Option<&Value>| {
        let request = Apply { live, config, root, writer, force: true, now: Timestamp::UNIX_EPOCH };
        apply(request).ok().and_then(conformed)
    };
    if let Some(first) = once(live.as_ref()) {
        let second = once(Some(&first)).expect("what was applied once can be applied again");
        assert_eq!(second["spec"], first["spec"], "applying is not stable");
    }
}

/// `{"live", "patch"}`: two states of an object, owners and all.
fn track(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let Some(root) = Schema::builtin().kind("apps", "v1", "Deployment") else { return };
    let (Some(live), Some(mut new)) = (conformed(input["live"].clone()), conformed(input["patch"].clone()))
    else {
        return;
    };
    if !live["metadata"].is_object() || !new["metadata"].is_object() {
        return;
    }
    let writer = Writer { manager: "fuzz", subresource: "", excluded: &["status"] };
    track_update(Some(&live), &mut new, root, writer, Timestamp::UNIX_EPOCH);
}

fn selectors(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(pods) = ServedKind::find("", "v1", "pods") else { return };
    let object = json!({ "metadata": { "name": "a", "labels": { "a": "1", "b": "x" } } });
    let pairs = [("labelSelector", text), ("fieldSelector", text)];
    for pair in pairs {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(pair.0, pair.1).finish();
        let Ok(uri) = format!("/?{query}").parse() else { continue };
        if let Ok(filter) = Filter::of(&Query::of(&uri), &pods) {
            filter.matches(&pods, &object);
        }
    }
}

fn continue_tokens(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _is_one = page::can_read_token(text);
    }
}

/// `{"live", "patch"}`: a definition's schema and an object of it.
fn custom_schema(bytes: &[u8]) {
    let Some(input) = parsed(bytes) else { return };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": "as.b.c" },
        "spec": {
            "group": "b.c", "scope": "Namespaced", "names": { "plural": "as", "singular": "a", "kind": "A", "listKind": "AList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": input["live"] },
                "additionalPrinterColumns": [{ "name": "x", "type": "string", "jsonPath": input["path"] }],
            }],
        },
    });
    for kind in CustomKind::all(&definition) {
        let mut object = input["patch"].clone();
        if kind.conform(&mut object).is_ok() {
            kind.apply_defaults(&mut object);
            drop(kind.check(&object, None));
        }
    }
}

fn spdy_frames(bytes: &[u8]) {
    let mut decoder = drydock_streams::spdy::Decoder::default();
    for piece in bytes.chunks(7) {
        decoder.push(piece);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }
}
