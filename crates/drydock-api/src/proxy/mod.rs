//! `pods/NAME/proxy`, `services/NAME/proxy` and `nodes/NAME/proxy`: requests passed on to what listens there.
//!
//! For `kubectl get --raw`, `kubectl proxy` and dashboards. Bodies are streamed both ways and never kept; a request that
//! asks for another protocol (WebSocket) becomes a connection of its own. Whoever listens never sees the caller's
//! credentials. Pods and Services are reached through the node; of the node's own paths see `node`.
//!
//! Start at [`answer`]. `target` finds whom a request means, `headers` says what is passed on, `pass` passes it.

mod headers;
mod html;
mod node;
mod pass;
mod target;

use axum::body::Body;
use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use self::target::Name;
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::subresource;

pub(crate) async fn answer(
    cx: Cx,
    verb: &str,
    permit: Permit,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    cx.check_scope(verb)?;
    if *request.method() == Method::CONNECT || *request.method() == Method::TRACE {
        return Err(ApiError::method_not_allowed());
    }
    let name = Name::parse(&cx.path)?;
    subresource::check_connection(&cx).await?;
    if cx.kind.is("", "nodes") {
        return node::answer(cx, &name, permit, request).await;
    }
    let target = target::find(&cx, &name)?;
    let is_upgrade = headers::is_upgrade(request.headers());
    if cx.path.proxied.is_empty() && !is_upgrade && is_read(request.method()) {
        return Ok(with_slash(&request));
    }
    cx.server.node.check().map_err(|error| subresource::running::refusal(&cx, error))?;
    match is_upgrade {
        true => pass::upgrade(&cx, &target, permit, request).await,
        false => pass::request(&cx, &target, permit, request).await,
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Relative links of a page work only if its own path ends with a slash.
fn with_slash(request: &Request<Body>) -> Response<Body> {
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", request.uri().path())) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
