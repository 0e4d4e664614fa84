//! `pods/NAME/ephemeralcontainers`: containers added to a pod that runs, as `kubectl debug` does. They are never removed.

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use http::Response;
use serde_json::Value;

use super::part;
use crate::server::Cx;
use crate::status::ApiError;

const FIELD: &str = "ephemeralContainers";

pub(super) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    part::answer(cx, verb, body, |live, wanted| {
        let errors = lost(live, &wanted);
        if !errors.is_empty() {
            return Err(ApiError::invalid(&cx.kind, cx.path.name(), &errors));
        }
        let mut object = live.clone();
        object["spec"][FIELD] = wanted["spec"][FIELD].clone();
        Ok(object)
    })
    .await
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
