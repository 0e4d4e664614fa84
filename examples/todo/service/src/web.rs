//! Serving HTTP: the limits, logs and metrics that every route gets.
//!
//! Start at [`serve`]; connections and the shutdown are in [`crate::connections`]. Each request gets an id, a span, a
//! deadline and a place among a bounded number of concurrent requests; beyond that bound callers are told to come back
//! instead of waiting in a queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::Instrument;

pub use crate::connections::serve_on;
use crate::metrics::{Metrics, RequestLabels};
use crate::request_id;

/// What one request may cost, and one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub body_bytes: usize,
    pub time: Duration,
    pub concurrent: usize,
    pub connections: usize,
    /// How long a client may take for the head of a request; also how long a connection may stay unused, so it is
    /// longer than clients of ours keep one ([`crate::client`]).
    pub head: Duration,
    /// How long requests in progress may take once the process was asked to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 << 10,
            time: Duration::from_secs(15),
            concurrent: 512,
            connections: 4_096,
            head: Duration::from_secs(30),
            drain: Duration::from_secs(20),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on `{address}`")]
    Listen { address: String, source: std::io::Error },
    #[error("the address of the socket cannot be read")]
    Address(#[source] std::io::Error),
}

#[derive(Clone)]
struct Gate {
    metrics: Metrics,
    places: Arc<Semaphore>,
    limits: Limits,
}

/// Adds limits, request ids, logs and metrics to every route of `router`.
pub fn guard(router: Router, metrics: &Metrics, limits: Limits) -> Router {
    let places = Arc::new(Semaphore::new(limits.concurrent));
    let gate = Gate { metrics: metrics.clone(), places, limits };
    router.layer(DefaultBodyLimit::max(limits.body_bytes)).layer(from_fn_with_state(gate, admit))
}

/// Listens on `host` and `port`.
pub async fn bind((host, port): (String, u16)) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind((host.as_str(), port)).await;
    bound.map_err(|source| Error::Listen { address: format!("{host}:{port}"), source })
}

/// Serves `router` as `service` until `stop` resolves and the requests in progress are done, and logs both ends.
pub async fn serve(
    service: &'static str,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let address = listener.local_addr().map_err(Error::Address)?;
    tracing::info!(service, %address, version = env!("CARGO_PKG_VERSION"), "listening");
    serve_on(listener, router, limits, stop).await;
    tracing::info!(service, "stopped");
    Ok(())
}

async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let offered = request.headers().get(request_id::HEADER).and_then(|id| id.to_str().ok());
    let id = request_id::accept_or_new(offered);
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", request_id = %id, %method, %route);
    let work = async {
        let began = Instant::now();
        gate.metrics.begin();
        let response = within_limits(&gate, &route, request, next).await;
        finish(
            &gate.metrics,
            RequestLabels { method, route, status: response.status().as_u16() },
            began.elapsed(),
        );
        response
    };
    let mut response = request_id::scope(id.clone(), work.instrument(span)).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    response
}

async fn within_limits(gate: &Gate, route: &str, request: Request, next: Next) -> Response {
    if is_probe(route) {
        return next.run(request).await;
    }
    let Ok(_place) = gate.places.try_acquire() else {
        return refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "OVERLOADED",
            "too many requests at once, try again",
        );
    };
    match tokio::time::timeout(gate.limits.time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal(StatusCode::GATEWAY_TIMEOUT, "TIMEOUT", "the request took too long"),
    }
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(serde_json::json!({ "code": code, "message": message }));
    (status, [(header::RETRY_AFTER, "1")], body).into_response()
}

/// Probes are answered also while all places are taken: a busy process is not a sick one.
fn is_probe(route: &str) -> bool {
    matches!(route, "/health" | "/ready" | "/api/health" | "/metrics")
}

/// Probes come every few seconds; they are counted, but logged only when they fail.
fn finish(metrics: &Metrics, labels: RequestLabels, took: Duration) {
    let took_ms = took.as_secs_f64() * 1e3;
    if labels.status >= 500 {
        tracing::warn!(status = labels.status, took_ms, "answered");
    } else if is_probe(&labels.route) {
        tracing::debug!(status = labels.status, took_ms, "answered");
    } else {
        tracing::info!(status = labels.status, took_ms, "answered");
    }
    metrics.observe(labels, took);
}
