//! A part of an object's specification that has a door of its own: only what belongs to it is taken over.

use axum::body::Body;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::meta;
use crate::resource::admit::Ownership;
use crate::resource::options::{OptionsOf, WriteOptions};
use crate::resource::patch::{self, patch_object};
use crate::resource::update::{Change, modify};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::Object;
use crate::wire::body;

/// Reads or changes the object. `take` makes of the object as it is, and as the client wants it, what is to be stored.
pub(super) async fn answer(
    cx: &Cx,
    verb: &str,
    body: Body,
    take: impl Fn(&Value, Value) -> Result<Value, ApiError>,
) -> Result<Response<Body>, ApiError> {
    if verb == "get" {
        return cx.reply(StatusCode::OK, cx.load()?.value);
    }
    let of = if verb == "update" { OptionsOf::Update } else { patch::options_of(cx) };
    let options = WriteOptions::of(cx, of)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let replaced = match verb {
        "update" => Some(cx.decode(&bytes)?.value),
        _ => None,
    };
    let change = |live: &Object| {
        let wanted = match &replaced {
            Some(object) => object.clone(),
            None => patch_object(cx, live.value.clone(), &bytes)?,
        };
        let mut object = take(&live.value, wanted)?;
        let revision = replaced.as_ref().and_then(|object| object["metadata"]["resourceVersion"].as_str());
        meta::set(&mut object, "resourceVersion", revision.map(Value::from));
        Ok(Change { object, ownership: Ownership::Track })
    };
    let stored = modify(cx, &options, change).await?;
    cx.reply(StatusCode::OK, stored)
}
