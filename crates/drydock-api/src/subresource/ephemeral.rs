//! `pods/NAME/ephemeralcontainers`: containers added to a pod that runs, as `kubectl debug` does. They are never removed.

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
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

const FIELD: &str = "ephemeralContainers";

pub(super) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
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
            Some(pod) => pod.clone(),
            None => patch_object(cx, live.value.clone(), &bytes)?,
        };
        let errors = lost(&live.value, &wanted);
        if !errors.is_empty() {
            return Err(ApiError::invalid(&cx.kind, cx.path.name(), &errors));
        }
        let mut object = live.value.clone();
        let revision = replaced.as_ref().and_then(|pod| pod["metadata"]["resourceVersion"].as_str());
        meta::set(&mut object, "resourceVersion", revision.map(Value::from));
        object["spec"][FIELD] = wanted["spec"][FIELD].clone();
        Ok(Change { object, ownership: Ownership::Track })
    };
    let stored = modify(cx, &options, change).await?;
    cx.reply(StatusCode::OK, stored)
}

/// What is there already stays as it is.
fn lost(live: &Value, wanted: &Value) -> Vec<FieldError> {
    let path = Path::root("spec").child(FIELD);
    let list = |pod: &Value| pod["spec"][FIELD].as_array().cloned().unwrap_or_default();
    let new = list(wanted);
    let judged = list(live).into_iter().filter_map(|old| {
        let name = old["name"].as_str().unwrap_or_default();
        let verb = match new.iter().find(|one| one["name"] == name) {
            None => "removed",
            Some(one) if *one != old => "changed",
            Some(_) => return None,
        };
        let why = format!("existing ephemeral containers {name:?} may not be {verb}\n");
        Some(FieldError::forbidden(&path, why))
    });
    judged.collect()
}
