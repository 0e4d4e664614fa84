//! Prometheus metrics: what every service counts, and a registry for what it counts besides.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
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

/// A number that something else keeps, read when metrics are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub name: &'static str,
    pub help: &'static str,
    /// Only ever grows; else it goes up and down.
    pub is_counter: bool,
    pub value: u64,
}

/// Registers what `read` gives; its names must be the same every time.
pub fn register_readings(registry: &mut Registry, read: impl Fn() -> Vec<Reading> + Send + Sync + 'static) {
    registry.register_collector(Box::new(Readings(Box::new(read))));
}

struct Readings(Box<dyn Fn() -> Vec<Reading> + Send + Sync>);

impl std::fmt::Debug for Readings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Reading { name, help, is_counter, value } in (self.0)() {
            let metric: &dyn Encode = match is_counter {
                true => &ConstCounter::new(value),
                false => &ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)),
            };
            metric.encode_as(&mut encoder, name, help)?;
        }
        Ok(())
    }
}

/// [`EncodeMetric`] behind a pointer.
trait Encode {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result;
}

impl<M: EncodeMetric> Encode for M {
    fn encode_as(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> std::fmt::Result {
        let metric = encoder.encode_descriptor(name, help, None, self.metric_type())?;
        self.encode(metric)
    }
}

/// What operators look at first: is it leaking, is it busy.
fn process() -> Vec<Reading> {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let gauge = |name, help, value| Reading { name, help, is_counter: false, value };
    vec![
        gauge("process_resident_memory_bytes", "Memory in use", pages * 4_096),
        gauge("process_open_fds", "Open files and connections", files as u64),
    ]
}

/// Shared by the middleware that counts and the route that prints.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<RequestLabels, Counter>,
    latency: Histogram,
    in_flight: Gauge,
}

impl Metrics {
    /// `extra` registers the counters that only this service has.
    pub fn new(extra: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let latency = Histogram::new(LATENCY_BUCKETS_S);
        registry.register("http_requests", "Requests served", requests.clone());
        registry.register("http_request_duration_seconds", "Time to answer", latency.clone());
        let in_flight = Gauge::default();
        registry.register("http_requests_in_flight", "Requests being served", in_flight.clone());
        register_readings(&mut registry, process);
        extra(&mut registry);
        Self { registry: Arc::new(registry), requests, latency, in_flight }
    }

    pub(crate) fn begin(&self) {
        self.in_flight.inc();
    }

    pub(crate) fn observe(&self, labels: RequestLabels, took: Duration) {
        self.in_flight.dec();
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
