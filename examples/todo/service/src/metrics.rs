//! Prometheus metrics: what every service counts, and a registry for what it counts besides.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds; a page should stay in the first half of these.
const LATENCY_BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The route is the pattern (`/api/{user_id}/tasks`), never the path: user ids would make endless series.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct RequestLabels {
    pub method: String,
    pub route: String,
    pub status: u16,
}

/// A counter with one label, for what a service counts besides requests.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Outcome {
    pub outcome: String,
}

/// Counts events by outcome (`hit`, `miss`, `ok`, `error`).
pub type Outcomes = Family<Outcome, Counter>;

/// Adds one to `outcomes` for `outcome`.
pub fn count(outcomes: &Outcomes, outcome: &str) {
    outcomes.get_or_create(&Outcome { outcome: outcome.to_owned() }).inc();
}

/// Shared by the middleware that counts and the route that prints.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    latency: Histogram,
}

impl Metrics {
    /// `extra` registers the counters that only this service has.
    pub fn new(extra: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let latency = Histogram::new(LATENCY_BUCKETS_S);
        registry.register("http_requests", "Requests served", requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer", latency.clone());
        extra(&mut registry);
        Self { registry: Arc::new(registry), requests, latency }
    }

    pub(crate) fn observe(&self, labels: RequestLabels, took: Duration) {
        self.requests.get_or_create(&labels).inc();
        self.latency.observe(took.as_secs_f64());
    }

    /// The body of `/metrics`.
    pub fn render(&self) -> Response {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            return axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
    }
}
