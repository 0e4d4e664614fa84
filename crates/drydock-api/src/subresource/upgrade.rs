//! From an HTTP request to a connection of another protocol.
//!
//! What is wrong before the 101 is an ordinary answer; kubectl shows plain text behind "unable to upgrade connection".

use axum::body::Body;
use drydock_streams::{Handshake, HandshakeError, Service};
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::wire;

/// The connection behind an upgraded request.
pub(super) type Connection = TokioIo<Upgraded>;

pub(super) fn read(cx: &Cx, service: Service) -> Result<Handshake, ApiError> {
    Handshake::read(&cx.headers, service).map_err(|error| match error {
        HandshakeError::NoCommonProtocol { .. } => {
            let refused = ApiError::forbidden("", "pods", cx.path.name(), "");
            refused.with_message(error.to_string())
        }
        error => ApiError::bad_request(error.to_string()),
    })
}

/// Grants the upgrade and serves the connection with `serve` until it ends or the API does.
pub(super) fn grant<F>(
    cx: &Cx,
    handshake: &Handshake,
    permit: Permit,
    upgrade: Option<OnUpgrade>,
    serve: impl FnOnce(Connection) -> F + Send + 'static,
) -> Result<Response<Body>, ApiError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let upgrade = upgrade.ok_or_else(|| ApiError::bad_request("this connection cannot be upgraded"))?;
    let shutdown = cx.server.shutdown.clone();
    tokio::spawn(async move {
        match upgrade.await {
            Ok(connection) => {
                let _ = shutdown.run_until_cancelled(serve(TokioIo::new(connection))).await;
            }
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
        drop(permit);
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = handshake.headers();
    Ok(response)
}

/// An answer as a kubelet gives it, which the API server of a cluster only passes on.
pub(super) fn plain(code: StatusCode, text: &str) -> Response<Body> {
    wire::bytes_as(code, Body::from(text.to_owned()), "text/plain; charset=utf-8")
}
