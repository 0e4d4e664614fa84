//! Both directions, for every published kind, with every field filled.

use std::io::Read as _;

use drydock_protobuf::{decode, encode, encode_event, frame, has_kind};
use flate2::read::GzDecoder;
use serde_json::Value;

/// Never travels in an envelope: see `watch events carry whole objects`.
const WITHOUT_KIND: &str = "core.v1.WatchEvent";

struct Pair {
    name: String,
    protobuf: Vec<u8>,
    json: Value,
}

fn pairs() -> Vec<Pair> {
    let mut text = String::new();
    GzDecoder::new(&include_bytes!("data/golden.tsv.gz")[..]).read_to_string(&mut text).unwrap();
    text.lines().map(pair).filter(|pair| pair.name != WITHOUT_KIND).collect()
}

fn pair(line: &str) -> Pair {
    let parts: Vec<&str> = line.split('\t').collect();
    let byte = |at: usize| u8::from_str_radix(&parts[1][at..at + 2], 16).unwrap();
    Pair {
        name: parts[0].to_owned(),
        protobuf: (0..parts[1].len()).step_by(2).map(byte).collect(),
        json: serde_json::from_str(parts[2]).unwrap(),
    }
}

/// The first place where two values differ.
fn difference(path: &str, found: &Value, wanted: &Value) -> Option<String> {
    match (found, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let missing =
                b.keys().find(|key| !a.contains_key(*key)).map(|key| format!("{path}.{key} is missing"));
            missing.or_else(|| {
                a.iter().find_map(|(key, value)| match b.get(key) {
                    Some(wanted) => difference(&format!("{path}.{key}"), value, wanted),
                    None => Some(format!("{path}.{key} is too much: {value}")),
                })
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(&format!("{path}[{i}]"), a, b))
        }
        _ => (found != wanted).then(|| format!("{path}: {found} instead of {wanted}")),
    }
}

fn findings(check: impl Fn(&Pair) -> Option<String>) -> Vec<String> {
    let pairs = pairs();
    assert!(pairs.len() > 120, "only {} pairs", pairs.len());
    pairs.iter().filter_map(|pair| check(pair).map(|why| format!("{}: {why}", pair.name))).collect()
}

#[test]
fn every_pair_is_of_a_kind_we_know() {
    let unknown = findings(|pair| {
        let (api_version, kind) = (pair.json["apiVersion"].as_str()?, pair.json["kind"].as_str()?);
        (!has_kind(api_version, kind)).then(|| format!("{api_version} {kind}"))
    });
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn protobuf_of_every_kind_decodes_to_its_json() {
    let wrong = findings(|pair| match decode(&pair.protobuf, None) {
        Ok(found) => difference("", &found, &pair.json),
        Err(error) => Some(error.to_string()),
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn json_of_every_kind_encodes_to_its_protobuf_byte_for_byte() {
    let wrong = findings(|pair| match encode(&pair.json) {
        Ok(found) if found == pair.protobuf => None,
        Ok(found) => Some(match decode(&found, None) {
            Ok(again) => difference("", &again, &pair.json).unwrap_or_else(|| "other bytes".to_owned()),
            Err(error) => error.to_string(),
        }),
        Err(error) => Some(error.to_string()),
    });
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn watch_events_carry_whole_objects() {
    for pair in pairs().iter().filter(|pair| pair.name == "core.v1.Pod" || pair.name == "core.v1.Status") {
        let event = encode_event("ADDED", &pair.json).unwrap();
        let position = event.windows(pair.protobuf.len()).position(|window| window == pair.protobuf);
        assert!(position.is_some(), "{}", pair.name);
        assert!(event.starts_with(b"\x0a\x05ADDED\x12"), "{}", pair.name);
        assert_eq!(frame(&event)[..4], u32::try_from(event.len()).unwrap().to_be_bytes());
    }
}
