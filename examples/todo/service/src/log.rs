//! Structured logs: one JSON object per line on standard output, as a cluster expects them.
//!
//! `LOG_LEVEL` is a level (`INFO`) or a filter (`info,sqlx=warn`). Nothing here ever logs a header,
//! a body or a query string: they carry passwords and tokens.

use tracing_subscriber::EnvFilter;

/// The MCP library tells every step of every session at `info`; a filter of `LOG_LEVEL` can ask for it back.
const QUIETER: &str = "rmcp=warn";

/// Starts logging for the process. A second call (tests) is ignored.
pub fn init() {
    let filter = std::env::var("LOG_LEVEL")
        .ok()
        .and_then(|level| EnvFilter::try_new(format!("{QUIETER},{}", level.to_lowercase())).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("{QUIETER},info")));
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
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
