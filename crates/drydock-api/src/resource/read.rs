//! One object, or a list of them.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_store::List;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::selector::Filter;
use crate::server::Cx;
use crate::status::ApiError;
use crate::{stored, wire};

pub(crate) fn get(cx: &Cx) -> Result<Response<Body>, ApiError> {
    cx.reply(StatusCode::OK, cx.load()?.value)
}

/// Where the next page starts, and the revision all pages of the list show.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    revision: u64,
    after: String,
}

pub(crate) fn list(cx: &Cx) -> Result<Response<Body>, ApiError> {
    let shape = cx.shape()?;
    let filter = Filter::of(&cx.query, &cx.kind)?;
    let limit =
        cx.query.number("limit")?.filter(|limit| *limit > 0).map_or(usize::MAX, |limit| limit as usize);
    let token = cx.query.get("continue").map(parse_token).transpose()?;
    let at = match &token {
        Some(token) => Some(token.revision),
        None => wanted_revision(cx)?,
    };
    let prefix = cx.kind.prefix_in(cx.path.namespace.as_deref());
    let after = token.as_ref().map(|token| token.after.as_str());
    let page = cx.server.store.list(List { prefix: &prefix, after, limit: None, at });
    let page = page.map_err(|compacted| expired(compacted, token.is_some()))?;
    let mut items = Vec::new();
    let mut next = None;
    for (index, item) in page.items.iter().enumerate() {
        let object = cx.kind.present(stored::decode(&item.entry)?.value);
        if !filter.matches(&cx.kind, &object) {
            continue;
        }
        // The page is full once another match would follow: then there is more to continue with.
        if items.len() == limit {
            next = Some((page.items[index - 1].key.to_string(), page.items.len() - index));
            break;
        }
        items.push(object);
    }
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if let Some((after, remaining)) = next {
        metadata["continue"] = write_token(&Continue { revision: page.revision, after })?.into();
        if filter.is_empty() {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    Ok(wire::json(StatusCode::OK, &shape.list(metadata, items)))
}

/// The revision to show: pinned only for `Exact`, since the newest state is never older than any other wish.
fn wanted_revision(cx: &Cx) -> Result<Option<u64>, ApiError> {
    let wanted = parse_revision(cx.query.get("resourceVersion"))?;
    let current = cx.server.store.revision();
    match (cx.query.get("resourceVersionMatch"), wanted) {
        (Some("Exact"), None | Some(0)) => Err(ApiError::bad_request(
            "resourceVersionMatch \"Exact\" needs a resourceVersion greater than 0",
        )),
        (Some("Exact"), Some(revision)) if revision <= current => Ok(Some(revision)),
        (None | Some("NotOlderThan" | "Exact"), Some(revision)) if revision > current => {
            Err(ApiError::too_large_revision(revision, current))
        }
        (None | Some("NotOlderThan"), _) => Ok(None),
        (Some(other), _) => Err(ApiError::bad_request(format!("invalid resourceVersionMatch {other:?}"))),
    }
}

/// A resourceVersion from a client: a number, or nothing.
pub fn parse_revision(text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let refused =
        |text: &str| ApiError::bad_request(format!("Invalid value: {text:?}: resourceVersion is not valid"));
    text.map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

fn expired(compacted: drydock_store::Compacted, continued: bool) -> ApiError {
    match continued {
        true => ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. \
             You must start a new list without the continue parameter.",
        ),
        false => ApiError::expired(format!(
            "too old resource version: {} ({})",
            compacted.requested, compacted.floor
        )),
    }
}

fn write_token(token: &Continue) -> Result<String, ApiError> {
    let text = serde_json::to_vec(token).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

fn parse_token(text: &str) -> Result<Continue, ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let token = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    token.ok_or_else(|| ApiError::bad_request("continue key is not valid"))
}

/// The items of a list as values, for handlers that work on collections.
pub(crate) fn matching(cx: &Cx) -> Result<Vec<Value>, ApiError> {
    let filter = Filter::of(&cx.query, &cx.kind)?;
    let prefix = cx.kind.prefix_in(cx.path.namespace.as_deref());
    let page = cx.server.store.list(List { prefix: &prefix, ..List::default() });
    let page = page.map_err(|compacted| expired(compacted, false))?;
    let objects = page.items.iter().map(|item| Ok(stored::decode(&item.entry)?.value));
    let matches =
        |object: &Result<Value, ApiError>| object.as_ref().map_or(true, |o| filter.matches(&cx.kind, o));
    objects.filter(matches).collect()
}
