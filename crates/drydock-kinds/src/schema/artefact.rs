//! The committed artefact: two compressed files with one line per definition.
//!
//! For the type index (types only) and the OpenAPI documents (types and descriptions). Lines are decoded one by one
//! while unpacking, so a pass never holds more than one definition. Made by `cargo xtask codegen`.

use std::io::{BufRead, BufReader};
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};

const DEFINITIONS: &[u8] = include_bytes!("../../schema/definitions.tsv.gz");
const DESCRIPTIONS: &[u8] = include_bytes!("../../schema/descriptions.tsv.gz");

/// All definitions without descriptions, by name.
pub(super) fn definitions() -> impl Iterator<Item = (String, Value)> {
    lines(DEFINITIONS).map(|(name, text)| {
        let definition = serde_json::from_str(&text).expect("the committed artefact is JSON");
        (name, definition)
    })
}

/// The names of all definitions, in the order of [`definitions`].
pub(super) fn names() -> impl Iterator<Item = String> {
    lines(DEFINITIONS).map(|(name, _)| name)
}

/// The definitions that `wanted` accepts, with descriptions.
pub(super) fn described(wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, Value)> {
    // Both files have the same lines in the same order, which saves an index.
    lines(DEFINITIONS).zip(lines(DESCRIPTIONS)).filter(move |((name, _), _)| wanted(name)).map(
        |((name, text), (_, texts))| {
            let mut definition = serde_json::from_str(&text).expect("the committed artefact is JSON");
            let texts: Map<String, Value> =
                serde_json::from_str(&texts).expect("the committed artefact is JSON");
            describe(&mut definition, texts);
            (name, definition)
        },
    )
}

/// Changes whenever the artefact changes.
pub(super) fn fingerprint() -> u64 {
    static FINGERPRINT: LazyLock<u64> =
        LazyLock::new(|| [DEFINITIONS, DESCRIPTIONS].into_iter().fold(FNV_START, fnv));
    *FINGERPRINT
}

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a: stable between builds, unlike the standard library's hasher.
pub(crate) fn fnv(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn lines(packed: &'static [u8]) -> impl Iterator<Item = (String, String)> {
    BufReader::new(GzDecoder::new(packed)).lines().map_while(Result::ok).filter_map(|line| {
        let (name, rest) = line.split_once('\t')?;
        Some((name.to_owned(), rest.to_owned()))
    })
}

fn describe(definition: &mut Value, mut texts: Map<String, Value>) {
    if let (Some(own), Some(definition)) = (texts.remove(""), definition.as_object_mut()) {
        definition.insert("description".to_owned(), own);
    }
    let Some(Value::Object(fields)) = definition.get_mut("properties") else { return };
    for (name, text) in texts {
        if let Some(Value::Object(field)) = fields.get_mut(&name) {
            field.insert("description".to_owned(), text);
        }
    }
}
