//! `/healthz`, `/livez` and `/readyz`, as a whole and check by check.
//!
//! An API that answers has its store open, or it would not have started; the checks carry the names that probes and
//! people know from a real API server.

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, Uri};

use crate::request::Query;
use crate::wire;

const ALWAYS: &[&str] = &["ping", "log", "etcd"];
const READY: &[&str] = &["etcd-readiness", "informer-sync", "shutdown"];

/// The checks behind a path.
pub(super) fn names(path: &str) -> impl Iterator<Item = &'static str> {
    let ready = if path == "readyz" { READY } else { &[] };
    ALWAYS.iter().chain(ready).copied()
}

/// `None` when there is no such check.
pub(super) fn answer(path: &str, check: &str, uri: &Uri) -> Option<Response<Body>> {
    let query = Query::of(uri);
    if !check.is_empty() {
        return names(path).any(|name| name == check).then(|| text("ok".to_owned()));
    }
    if !uri.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose"))) {
        return Some(text("ok".to_owned()));
    }
    let excluded: Vec<&str> = query.all("exclude").collect();
    let lines: String = names(path)
        .map(|name| match excluded.contains(&name) {
            true => format!("[+]{name} excluded: ok\n"),
            false => format!("[+]{name} ok\n"),
        })
        .collect();
    Some(text(format!("{lines}{path} check passed\n")))
}

fn text(body: String) -> Response<Body> {
    let mut response = wire::bytes_as(StatusCode::OK, body, "text/plain; charset=utf-8");
    response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
