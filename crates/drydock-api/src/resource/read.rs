//! One object, or a list of them.
//!
//! Answers in JSON are made of the stored bytes as they are; only other forms decode the objects.

use axum::body::Body;
use bytes::Bytes;
use drydock_store::{Item, List};
use futures::stream;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::resource::page::{self, Page};
use crate::selector::Filter;
use crate::served::ServedKind;
use crate::server::Cx;
use crate::status::ApiError;
use crate::wire::table::Shape;
use crate::{stored, wire};

/// A list is sent in pieces of about this size, so that a large one is never in memory as a whole.
const CHUNK_BYTES: usize = 64 << 10;
const JSON: &str = "application/json";

pub(crate) fn get(cx: &Cx) -> Result<Response<Body>, ApiError> {
    let shape = cx.shape()?;
    if let Some(wanted) = page::parse_revision(cx.query.get("resourceVersion"))? {
        page::check_reached(wanted, cx.server.store.revision())?;
    }
    let entry = cx.server.store.get(&cx.store_key()).ok_or_else(|| cx.not_found())?;
    if !shape.accept.is_plain_json() {
        return cx.reply(StatusCode::OK, stored::decode(&entry)?.value);
    }
    let mut out = Vec::new();
    stored::write_json(&mut out, &cx.kind, &entry.value.plain(), entry.revision)?;
    Ok(wire::bytes_as(StatusCode::OK, out, JSON))
}

pub(crate) fn list(cx: &Cx) -> Result<Response<Body>, ApiError> {
    let shape = cx.shape()?;
    let page = Page::of(cx)?;
    let metadata = page.metadata();
    shown(cx, &shape, metadata, page.items)
}

/// A list of stored objects in the form the client asked for.
pub(crate) fn shown(
    cx: &Cx,
    shape: &Shape,
    metadata: Value,
    items: Vec<Item>,
) -> Result<Response<Body>, ApiError> {
    if shape.accept.is_plain_json() {
        return Ok(wire::bytes_as(StatusCode::OK, in_pieces(cx.kind.clone(), &metadata, items)?, JSON));
    }
    let objects = items.iter().map(|item| Ok(cx.kind.present(stored::decode(&item.entry)?.value)));
    Ok(wire::json(StatusCode::OK, shape.list(metadata, objects.collect::<Result<_, ApiError>>()?)))
}

/// A list in JSON: at once when it is small, else in pieces that are written while they are sent.
fn in_pieces(kind: ServedKind, metadata: &Value, items: Vec<Item>) -> Result<Body, ApiError> {
    let (name, version) = (kind.list_kind(), kind.api_version());
    let head = format!(r#"{{"kind":"{name}","apiVersion":"{version}","metadata":{metadata},"items":["#);
    let mut pieces =
        Pieces { kind, items: items.into_iter(), out: head.into_bytes(), separator: b"", ended: false };
    let first = pieces.next().transpose()?.unwrap_or_default();
    if pieces.ended {
        return Ok(Body::from(first));
    }
    Ok(Body::from_stream(stream::iter(std::iter::once(Ok(first)).chain(pieces))))
}

/// An object that cannot be read ends the answer early, which no client takes for a whole list.
struct Pieces {
    kind: ServedKind,
    items: std::vec::IntoIter<Item>,
    out: Vec<u8>,
    separator: &'static [u8],
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Result<Bytes, ApiError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        while self.out.len() < CHUNK_BYTES {
            let Some(Item { entry, .. }) = self.items.next() else {
                self.ended = true;
                self.out.extend_from_slice(b"]}");
                break;
            };
            self.out.extend_from_slice(self.separator);
            self.separator = b",";
            let value = entry.value.plain();
            if let Err(error) = stored::write_item(&mut self.out, &self.kind, &value, entry.revision) {
                self.ended = true;
                return Some(Err(error));
            }
        }
        let room = if self.ended { 0 } else { self.out.capacity() };
        Some(Ok(std::mem::replace(&mut self.out, Vec::with_capacity(room)).into()))
    }
}

/// The objects that a request selects, for handlers that work on collections. As they are stored: decoded, many would
/// be in memory at once.
pub(crate) fn matching(cx: &Cx) -> Result<Vec<Item>, ApiError> {
    let filter = Filter::of(&cx.query, &cx.kind)?;
    let prefix = cx.kind.prefix_in(cx.path.namespace.as_deref());
    let page = cx.server.store.list(List { prefix: &prefix, ..List::default() });
    let page = page.map_err(|compacted| ApiError::expired(compacted.to_string()))?;
    if filter.is_empty() {
        return Ok(page.items);
    }
    let mut selected = Vec::new();
    for item in page.items {
        let object = cx.kind.present(stored::decode(&item.entry)?.value);
        if filter.matches(&cx.kind, &object) {
            selected.push(item);
        }
    }
    Ok(selected)
}
