//! `PUT`: the whole object anew, if nobody else changed it meanwhile.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::meta;
use crate::resource::MAX_RETRIES;
use crate::resource::admit::{self, Committed, Ownership};
use crate::resource::options::{OptionsOf, WriteOptions};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::body;

pub(crate) async fn update(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = WriteOptions::of(cx, OptionsOf::Update)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let decoded = cx.decode(&bytes)?;
    let object = admit::conform(cx, decoded, &options)?;
    let replace = |_: &Object| Ok(Change { object: object.clone(), ownership: Ownership::Track });
    let stored = modify(cx, &options, replace).await?;
    cx.reply(StatusCode::OK, stored)
}

/// What a client makes of an object.
pub(crate) struct Change {
    pub object: Value,
    pub ownership: Ownership,
}

/// Changes the addressed object. A change that names no resourceVersion is made again when it loses a race; one that
/// does fails with 409.
pub(crate) async fn modify(
    cx: &Cx,
    options: &WriteOptions,
    change: impl Fn(&Object) -> Result<Change, ApiError>,
) -> Result<Value, ApiError> {
    let _addresses = match cx.kind.is("", "services") && cx.path.subresource != "status" {
        true => Some(cx.server.service_addresses.lock().await),
        false => None,
    };
    let _turn = cx.server.custom.hold(&cx.kind).await;
    for _ in 0..MAX_RETRIES {
        let live = cx.load()?;
        let Change { object, ownership } = change(&live)?;
        check_preconditions(cx, &object, &live)?;
        let pinned = has_revision(&object);
        let new = admit::admit(cx, object, Some(&live.value), ownership, options).await?;
        let _quota = crate::admission::quota::reserve(cx, &new, Some(&live.value)).await?;
        match admit::commit(cx, &live, new, options.dry_run).await? {
            Committed::Stored(object) | Committed::Vanished(object) => return Ok(object.value),
            Committed::Raced if pinned => return Err(ApiError::modified(&cx.kind, cx.path.name())),
            Committed::Raced => {}
        }
    }
    Err(ApiError::modified(&cx.kind, cx.path.name()))
}

fn has_revision(object: &Value) -> bool {
    !matches!(meta::text(object, "resourceVersion"), "" | "0")
}

fn check_preconditions(cx: &Cx, object: &Value, live: &Object) -> Result<(), ApiError> {
    let name = cx.path.name();
    let wanted = meta::uid(object);
    let found = meta::uid(&live.value);
    if !wanted.is_empty() && wanted != found {
        // Worded after a storage that we do not have, because that is the text clients know.
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
            registry_key(cx)
        );
        return Err(ApiError::conflict(&cx.kind, name, &why));
    }
    if !has_revision(object) {
        return Ok(());
    }
    let wanted = meta::text(object, "resourceVersion");
    if wanted.parse::<u64>().is_err() {
        return Err(ApiError::failed(format!("strconv.ParseUint: parsing {wanted:?}: invalid syntax")));
    }
    if wanted != live.revision.to_string() {
        return Err(ApiError::modified(&cx.kind, name));
    }
    Ok(())
}

fn registry_key(cx: &Cx) -> String {
    let place = cx.path.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{}/{place}{}", cx.kind.plural(), cx.path.name())
}
