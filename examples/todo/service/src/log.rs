//! Structured logs: one JSON object per line on standard output, as a cluster expects them.
//!
//! `LOG_LEVEL` is a level (`INFO`) or a filter (`info,sqlx=warn`). Nothing here ever logs a header,
//! a body or a query string: they carry passwords and tokens.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for the process. A second call (tests) is ignored.
pub fn init() {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    let _ =
        tracing_subscriber::registry().with(filter(std::env::var("LOG_LEVEL").ok())).with(lines).try_init();
}

/// What cannot be read as a filter is `info`. The MCP library tells every step of every session at `info`, so
/// it has to be asked for by name.
fn filter(level: Option<String>) -> Targets {
    let asked = level.and_then(|level| level.to_lowercase().parse::<Targets>().ok());
    let asked = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let names_rmcp = asked.iter().any(|(target, _)| target.starts_with("rmcp"));
    if names_rmcp { asked } else { asked.with_target("rmcp", LevelFilter::WARN) }
}

/// An error and its causes on one line, for a log field.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
