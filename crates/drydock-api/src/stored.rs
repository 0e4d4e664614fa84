//! Objects as they lie in the store, and as they are handed out.
//!
//! Stored bytes are the object's JSON without `metadata.resourceVersion`: the store's revision is that version, so
//! it is known only after the write and added on every read. They begin with apiVersion, kind and metadata, in this
//! order, so that [`write_json`] can add it without reading the rest: a list or watch never decodes what it only
//! passes on.

use bytes::Bytes;
use drydock_store::Entry;
use serde_json::{Map, Value};

use crate::meta;
use crate::served::ServedKind;
use crate::status::ApiError;

/// The fields every stored object begins with.
const HEAD: [&str; 3] = ["apiVersion", "kind", "metadata"];
const REVISION: &str = "resourceVersion";
/// What objects have in common, in the order fields are written: memory holds them packed with it. It is no format:
/// any text will do, one closer to what is stored makes it shorter.
pub const WORDS: &[u8] = include_bytes!("words.txt");

/// A stored object with its `resourceVersion` in place.
#[derive(Debug, Clone)]
pub struct Object {
    pub revision: u64,
    pub value: Value,
}

pub fn encode(object: &Value) -> Result<Bytes, ApiError> {
    let mut out = Vec::with_capacity(2048);
    let written = match object {
        Value::Object(fields) => write_fields(&mut out, fields),
        other => serde_json::to_writer(&mut out, other),
    };
    written.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(out.into())
}

fn write_fields(out: &mut Vec<u8>, fields: &Map<String, Value>) -> serde_json::Result<()> {
    let head = HEAD.iter().filter_map(|name| fields.get(*name).map(|value| (*name, value)));
    let rest = fields.iter().map(|(name, value)| (name.as_str(), value));
    let rest = rest.filter(|(name, _)| !HEAD.contains(name));
    out.push(b'{');
    for (name, value) in head.chain(rest) {
        separate(out);
        write_name(out, name)?;
        match value {
            Value::Object(metadata) if name == "metadata" => write_metadata(out, metadata)?,
            value => serde_json::to_writer(&mut *out, value)?,
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_metadata(out: &mut Vec<u8>, metadata: &Map<String, Value>) -> serde_json::Result<()> {
    out.push(b'{');
    for (name, value) in metadata.iter().filter(|(name, _)| *name != REVISION) {
        separate(out);
        write_name(out, name)?;
        serde_json::to_writer(&mut *out, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn separate(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn write_name(out: &mut Vec<u8>, name: &str) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, name)?;
    out.push(b':');
    Ok(())
}

pub fn decode(entry: &Entry) -> Result<Object, ApiError> {
    decode_at(&entry.value.plain(), entry.revision)
}

/// Decodes with another revision than the one that wrote the bytes, as the last event of a deleted object carries.
pub fn decode_at(bytes: &[u8], revision: u64) -> Result<Object, ApiError> {
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| ApiError::internal(error.to_string()))?;
    with_revision(&mut value, revision);
    Ok(Object { revision, value })
}

pub fn with_revision(object: &mut Value, revision: u64) {
    meta::set(object, REVISION, Some(revision.to_string().into()));
}

/// Appends the object's JSON as `kind` shows it at `revision`; decodes only what is stored in another form.
pub fn write_json(out: &mut Vec<u8>, kind: &ServedKind, bytes: &[u8], revision: u64) -> Result<(), ApiError> {
    if kind.reads_as_stored()
        && let Some(parts) = Parts::of(bytes)
    {
        parts.write(out, &kind.api_version(), revision);
        return Ok(());
    }
    let object = kind.present(decode_at(bytes, revision)?.value);
    serde_json::to_writer(out, &object).map_err(|error| ApiError::internal(error.to_string()))
}

/// The same for an item of a list: built-in kinds leave version and kind to the list.
pub fn write_item(out: &mut Vec<u8>, kind: &ServedKind, bytes: &[u8], revision: u64) -> Result<(), ApiError> {
    if kind.names_items() {
        return write_json(out, kind, bytes, revision);
    }
    if kind.reads_as_stored()
        && let Some(parts) = Parts::of(bytes)
    {
        parts.write_bare(out, revision);
        return Ok(());
    }
    let mut object = kind.present(decode_at(bytes, revision)?.value);
    unname(kind, &mut object);
    serde_json::to_writer(out, &object).map_err(|error| ApiError::internal(error.to_string()))
}

/// Takes from an item of a list what the list says for all of them.
pub fn unname(kind: &ServedKind, item: &mut Value) {
    if let (false, Some(fields)) = (kind.names_items(), item.as_object_mut()) {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
}

/// Stored bytes, cut where an answer differs from them.
struct Parts<'a> {
    kind: &'a [u8],
    /// From the first field of the metadata, or its closing brace, to the end.
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` for bytes that do not begin as [`encode`] makes them.
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (_version, rest) = plain_text(bytes.strip_prefix(br#"{"apiVersion":""#)?)?;
        let (kind, rest) = plain_text(rest.strip_prefix(br#","kind":""#)?)?;
        Some(Self { kind, rest: rest.strip_prefix(br#","metadata":{"#)? })
    }

    fn write(&self, out: &mut Vec<u8>, api_version: &str, revision: u64) {
        let head: [&[u8]; 5] =
            [br#"{"apiVersion":""#, api_version.as_bytes(), br#"","kind":""#, self.kind, br#"",""#];
        self.write_behind(out, &head, revision);
    }

    /// Without version and kind.
    fn write_bare(&self, out: &mut Vec<u8>, revision: u64) {
        self.write_behind(out, &[br#"{""#], revision);
    }

    /// The metadata, whose opening quote `head` ends with, and the rest.
    fn write_behind(&self, out: &mut Vec<u8>, head: &[&[u8]], revision: u64) {
        let revision = revision.to_string();
        let comma: &[u8] = if self.rest.starts_with(b"}") { b"" } else { b"," };
        let tail: [&[u8]; 5] =
            [br#"metadata":{"resourceVersion":""#, revision.as_bytes(), b"\"", comma, self.rest];
        let parts = || head.iter().chain(&tail);
        out.reserve(parts().map(|part| part.len()).sum());
        parts().for_each(|part| out.extend_from_slice(part));
    }
}

/// The text up to the closing quote, and what follows it. Names of kinds need no escapes; others are not for us.
fn plain_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let (text, rest) = bytes.split_at(end);
    Some((text, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a client sees is what decoding, presenting and encoding would have given.
    #[track_caller]
    fn check(plural: &str, group: &str, object: Value) {
        let kind = ServedKind::find(group, "v1", plural).unwrap();
        let stored = encode(&object).unwrap();
        let mut shown = Vec::new();
        write_json(&mut shown, &kind, &stored, 42).unwrap();
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!(shown, kind.present(decode_at(&stored, 42).unwrap().value));
        assert_eq!(shown["metadata"]["resourceVersion"], "42");
        let (mut item, mut expect) = (Vec::new(), shown);
        write_item(&mut item, &kind, &stored, 42).unwrap();
        unname(&kind, &mut expect);
        assert_eq!(serde_json::from_slice::<Value>(&item).unwrap(), expect);
    }

    #[test]
    fn the_revision_is_added_to_stored_bytes() {
        let metadata = json!({ "name": "a", "resourceVersion": "7", "uid": "\"},{" });
        let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "a": "{\"metadata\":{" } });
        assert!(
            encode(&object)
                .unwrap()
                .starts_with(br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name""#)
        );
        check("configmaps", "", object);
    }

    #[test]
    fn metadata_may_be_empty() {
        check("configmaps", "", json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": {} }));
    }

    #[test]
    fn a_kind_of_two_groups_shows_its_own_version() {
        check("events", "events.k8s.io", json!({ "apiVersion": "v1", "kind": "Event", "metadata": {} }));
    }

    #[test]
    fn bytes_in_another_order_are_decoded() {
        let kind = ServedKind::find("", "v1", "configmaps").unwrap();
        let mut shown = Vec::new();
        let stored = br#"{"metadata":{"name":"a"},"kind":"ConfigMap","apiVersion":"v1"}"#;
        write_json(&mut shown, &kind, stored, 9).unwrap();
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!(shown["metadata"], json!({ "name": "a", "resourceVersion": "9" }));
    }
}
