//! Input that no client sends: refused, never a panic, never a flood.

use drydock_protobuf::{DecodeError, decode, encode};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// An envelope around the content of a kind.
fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut out = b"k8s\0".to_vec();
    let mut meta = Vec::new();
    put(&mut meta, 1, api_version.as_bytes());
    put(&mut meta, 2, kind.as_bytes());
    put(&mut out, 1, &meta);
    put(&mut out, 2, raw);
    out
}

fn put(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

#[track_caller]
fn check(raw: &[u8], expect: &str) {
    let error = decode(&envelope("v1", "Pod", raw), None).unwrap_err();
    assert_eq!(error.to_string(), expect);
}

#[test]
fn what_is_no_protobuf_is_told_so() {
    for bytes in [&b"k8s"[..], b"{}", b"apiVersion: v1"] {
        assert_eq!(decode(bytes, None), Err(DecodeError::Prefix));
    }
    assert_eq!(decode(b"", None), Err(DecodeError::NoData));
    assert_eq!(decode(b"k8s\0", None), Err(DecodeError::NoBody));
    let expect = "provided data does not appear to be a protobuf message, expected prefix [107, 56, 115, 0]";
    assert_eq!(DecodeError::Prefix.to_string(), expect);
}

#[test]
fn kinds_without_a_protobuf_form_are_named() {
    let error = decode(&envelope("example.com/v1", "Widget", b""), None).unwrap_err();
    assert_eq!(error.to_string(), "no kind \"Widget\" is registered for version \"example.com/v1\"");
}

#[test]
fn truncated_and_malformed_content_is_refused() {
    check(b"\x0a", "unexpected EOF");
    check(b"\x0a\x05abc", "unexpected EOF");
    check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "unexpected EOF");
    check(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "proto: integer overflow");
    check(b"\x0b", "proto: illegal tag 11");
    check(b"\x02\x00", "proto: illegal tag 2");
}

#[test]
fn wrong_wire_types_name_their_field() {
    check(b"\x08\x01", "proto: wrong wireType for field Pod.metadata");
    check(b"\x0a\x02\x08\x01", "proto: wrong wireType for field ObjectMeta.name");
    check(b"\x0a\x03\x0a\x01\xff", "proto: field ObjectMeta.name contains invalid UTF-8");
}

#[test]
fn fields_of_newer_versions_are_skipped() {
    let raw = [
        b"\x0a\x03\x0a\x01a".as_slice(),
        b"\xf8\x3f\x07",
        b"\xfa\x3f\x02hi",
        b"\xf9\x3f12345678",
        b"\xfd\x3f1234",
    ];
    let found = decode(&envelope("v1", "ConfigMap", &raw.concat()), None).unwrap();
    assert_eq!(found["metadata"], json!({ "name": "a" }));
}

#[test]
fn a_schema_that_nests_without_end_is_refused() {
    let mut schema = Vec::new();
    for _ in 0..300 {
        let mut outer = Vec::new();
        // `not`
        outer.extend_from_slice(&[0xe2, 0x01]);
        let mut length = schema.len();
        while length >= 0x80 {
            outer.push(length as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend_from_slice(&schema);
        schema = outer;
    }
    let (mut validation, mut version, mut spec, mut raw) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    put(&mut validation, 1, &schema);
    put(&mut version, 4, &validation);
    put(&mut spec, 7, &version);
    put(&mut raw, 2, &spec);
    let bytes = envelope("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw);
    assert_eq!(decode(&bytes, None), Err(DecodeError::TooDeep));
}

#[test]
fn raw_json_may_not_nest_deeper_than_json_may() {
    let text = format!("{}{}", "[".repeat(125), "]".repeat(125));
    let (mut data, mut raw) = (Vec::new(), Vec::new());
    put(&mut data, 1, text.as_bytes());
    put(&mut raw, 2, &data);
    let bytes = envelope("apps/v1", "ControllerRevision", &raw);
    assert_eq!(decode(&bytes, None), Err(DecodeError::TooDeep));
}

#[test]
fn few_bytes_cannot_stand_for_a_flood_of_values() {
    // Each pair of bytes is a container of its own, with all that is implied.
    let spec = [0x12, 0x00].repeat(1 << 20);
    let mut raw = Vec::new();
    put(&mut raw, 2, &spec);
    assert_eq!(decode(&envelope("v1", "Pod", &raw), None), Err(DecodeError::TooLarge));
}

fn kinds() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("v1", "Pod"),
        ("v1", "Secret"),
        ("apps/v1", "Deployment"),
        ("v1", "DeleteOptions"),
        ("v1", "Event"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("certificates.k8s.io/v1beta1", "PodCertificateRequest"),
        ("authorization.k8s.io/v1", "SubjectAccessReview"),
        ("networking.k8s.io/v1", "Ingress"),
    ])
}

fn text() -> impl Strategy<Value = String> {
    "[ -~äöü€\u{1F680}]{0,12}"
}

prop_compose! {
    /// Objects in the form in which Go writes them.
    fn config_map()(
        name in "[a-z]{1,8}",
        data in prop::collection::btree_map(text(), text(), 0..6),
        binary in prop::collection::btree_map(text(), prop::collection::vec(any::<u8>(), 0..9), 0..4),
        labels in prop::collection::btree_map(text(), text(), 0..4),
        generation in any::<i64>(),
        immutable in any::<Option<bool>>(),
    ) -> Value {
        use base64::Engine as _;
        let mut metadata = json!({ "name": name });
        if generation != 0 {
            metadata["generation"] = generation.into();
        }
        if !labels.is_empty() {
            metadata["labels"] = json!(labels);
        }
        let mut object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata });
        if !data.is_empty() {
            object["data"] = json!(data);
        }
        if !binary.is_empty() {
            let encode = |bytes: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes).into();
            object["binaryData"] = binary.into_iter().map(|(key, bytes)| (key, encode(bytes))).collect::<Map<_, Value>>().into();
        }
        if let Some(immutable) = immutable {
            object["immutable"] = immutable.into();
        }
        object
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), kind in kinds()) {
        let _ = decode(&bytes, Some(kind));
        let _ = decode(&[b"k8s\0", bytes.as_slice()].concat(), Some(kind));
        if let Ok(object) = decode(&envelope(kind.0, kind.1, &bytes), None) {
            // What was decoded can be encoded, and then stays as it is.
            let encoded = encode(&object).unwrap();
            let again = decode(&encoded, None).unwrap();
            prop_assert_eq!(encode(&again).unwrap(), encoded);
        }
    }

    #[test]
    fn objects_come_back_as_they_were(object in config_map()) {
        let bytes = encode(&object).unwrap();
        prop_assert_eq!(decode(&bytes, None).unwrap(), object);
    }

    #[test]
    fn damaged_objects_are_decoded_or_refused(object in config_map(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&object).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes, None);
        let _ = decode(&bytes[..at], None);
    }

    #[test]
    fn any_value_is_encoded_or_refused(name in text(), number in any::<i64>(), kind in kinds()) {
        let leaf = json!([name, number, null, { name.clone(): number }]);
        for value in [leaf.clone(), json!(number), json!(name), json!({ "containers": leaf })] {
            let _ = encode(&json!({ "apiVersion": kind.0, "kind": kind.1, "metadata": value, "spec": value, "data": value }));
        }
    }
}
