//! How one watch sees objects, and what watches that see them alike share.
//!
//! Many clients watch the same thing in the same form. The first of them to meet a change encodes it, decoding the
//! objects only if a selector or a form needs it; the others send the same bytes. What is shared hangs on the
//! store's [`Notice`] and goes with it when the last watch has sent it.

use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use drydock_store::{Event, Item, Notice, Packed};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::selector::Filter;
use crate::status::ApiError;
use crate::stored;
use crate::wire::table::{Form, Shape};
use crate::wire::{self, Format};

const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// One client's selection, and the form it wants objects in.
pub(super) struct View {
    filter: Filter,
    shape: Shape,
    form: Form,
}

/// What watches of one change share.
#[derive(Default)]
struct Shared {
    now: OnceLock<Option<Value>>,
    before: OnceLock<Option<Value>>,
    /// Few: one for each form in use, and for each word where selections differ.
    lines: Mutex<Vec<(Form, &'static str, Bytes)>>,
}

impl View {
    pub fn new(filter: Filter, shape: Shape) -> Self {
        let form = shape.form();
        Self { filter, shape, form }
    }

    /// An object that was there when the watch began; `None` when it is not selected.
    pub fn initial(&self, item: &Item) -> Result<Option<Bytes>, ApiError> {
        let (value, revision) = (item.entry.value.plain(), item.entry.revision);
        if self.filter.is_empty() {
            return self.encode("ADDED", &value, revision, None).map(Some);
        }
        let object = self.decode(&value, revision)?;
        if !self.filter.matches(&self.shape.kind, &object) {
            return Ok(None);
        }
        self.encode("ADDED", &value, revision, Some(&object)).map(Some)
    }

    /// The change as this client sees it; `None` when it does not concern the selection.
    pub fn event(&self, notice: &Notice) -> Result<Option<Bytes>, ApiError> {
        let own = Shared::default();
        // Versions of a custom kind show one stored object differently.
        let alike = self.shape.kind.reads_as_stored();
        let shared = notice.memo::<Shared>().filter(|_| alike).unwrap_or(&own);
        let Some(word) = self.word(notice, shared)? else { return Ok(None) };
        // Held while encoding: watches that come meanwhile wait for the result instead of making their own.
        let mut lines = shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., line)) = lines.iter().find(|(form, said, _)| *said == word && *form == self.form) {
            return Ok(Some(line.clone()));
        }
        let decoded = if word == "DELETED" { shared.before.get() } else { shared.now.get() };
        let value = match word {
            // The last state that was in the selection, with the revision of its leaving.
            "DELETED" => notice.previous.as_ref().map(|entry| &entry.value),
            _ => notice.value.as_ref(),
        };
        let Some(value) = value else { return Ok(None) };
        let line = self.encode(word, &value.plain(), notice.revision, decoded.and_then(Option::as_ref))?;
        lines.push((self.form.clone(), word, line.clone()));
        Ok(Some(line))
    }

    /// What happened, seen through the selection.
    fn word(&self, event: &Event, shared: &Shared) -> Result<Option<&'static str>, ApiError> {
        let (before, now) = match self.filter.is_empty() {
            true => (event.previous.is_some(), event.value.is_some()),
            false => {
                let previous = event.previous.as_ref().map(|entry| &entry.value);
                (
                    self.selects(previous, event.revision, &shared.before)?,
                    self.selects(event.value.as_ref(), event.revision, &shared.now)?,
                )
            }
        };
        Ok(match (before, now) {
            (false, false) => None,
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
        })
    }

    fn selects(
        &self,
        value: Option<&Packed>,
        revision: u64,
        decoded: &OnceLock<Option<Value>>,
    ) -> Result<bool, ApiError> {
        let Some(value) = value else { return Ok(false) };
        if decoded.get().is_none() {
            // Another watch may be as fast; both hold the same.
            let _ = decoded.set(Some(self.decode(&value.plain(), revision)?));
        }
        let object = decoded.get().and_then(Option::as_ref);
        Ok(object.is_some_and(|object| self.filter.matches(&self.shape.kind, object)))
    }

    fn decode(&self, bytes: &[u8], revision: u64) -> Result<Value, ApiError> {
        Ok(self.shape.kind.present(stored::decode_at(bytes, revision)?.value))
    }

    /// One line of the stream. `decoded` is the same object, if somebody has decoded it already.
    fn encode(
        &self,
        word: &str,
        bytes: &[u8],
        revision: u64,
        decoded: Option<&Value>,
    ) -> Result<Bytes, ApiError> {
        if self.shape.accept.is_plain_json() {
            let mut out = Vec::with_capacity(bytes.len() + 128);
            out.extend_from_slice(format!(r#"{{"type":"{word}","object":"#).as_bytes());
            stored::write_json(&mut out, &self.shape.kind, bytes, revision)?;
            out.extend_from_slice(b"}\n");
            return Ok(out.into());
        }
        let object = match decoded {
            Some(object) => object.clone(),
            None => self.decode(bytes, revision)?,
        };
        Ok(wire::event(self.format(), word, self.shape.at(Timestamp::now()).one(object)))
    }

    pub fn bookmark(&self, revision: u64, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({ "resourceVersion": revision.to_string() });
        if initial_events_end {
            metadata["annotations"] = json!({ INITIAL_EVENTS_END: "true" });
        }
        wire::event(self.format(), "BOOKMARK", self.shape.bookmark(metadata))
    }

    pub fn format(&self) -> Format {
        self.shape.accept.format
    }
}

pub(super) fn error_event(format: Format, error: &ApiError) -> Bytes {
    wire::event(format, "ERROR", error.to_value())
}
