//! Structured logs: one JSON object per line on standard output, as a cluster expects them.
//!
//! `LOG_LEVEL` is a level (`INFO`) or a filter (`info,sqlx=warn`). Nothing here ever logs a header,
//! a body or a query string: they carry passwords and tokens.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for the process. A second call (tests) is ignored, and so is a level that cannot be read: a
/// service that cannot log cannot say why.
pub fn init(settings: &crate::config::Settings) {
    let level = settings.optional("LOG_LEVEL");
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    let filter = filter(level.as_ref().ok().cloned().flatten());
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    if let Err(error) = level {
        tracing::warn!(error = chain(&error), "logging at the usual level");
    }
}

/// What is no level and no filter is `info`; Python's names of levels are understood. Two libraries tell every
/// step at `info`: they are at `warn` until the filter names them.
fn filter(level: Option<String>) -> Targets {
    let level =
        level.unwrap_or_default().to_lowercase().replace("warning", "warn").replace("critical", "error");
    // An empty text would parse, as a filter that lets only errors through.
    let asked = if level.trim().is_empty() { None } else { level.parse::<Targets>().ok() };
    let asked = asked.unwrap_or_default();
    let asked = match asked.default_level() {
        Some(_) => asked,
        None => asked.with_default(LevelFilter::INFO),
    };
    let named = |library: &str| asked.iter().any(|(target, _)| target.starts_with(library));
    let quieter: Vec<&str> = ["rmcp", "sqlx"].into_iter().filter(|library| !named(library)).collect();
    quieter.into_iter().fold(asked, |filter, library| filter.with_target(library, LevelFilter::WARN))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(level: Option<&str>, target: &str, expect: LevelFilter) {
        let filter = filter(level.map(str::to_owned));
        let enabled = |level: &tracing::Level| filter.would_enable(target, level);
        let levels =
            [tracing::Level::TRACE, tracing::Level::DEBUG, tracing::Level::INFO, tracing::Level::WARN];
        let most = levels
            .into_iter()
            .find(|level| enabled(level))
            .map_or(LevelFilter::ERROR, LevelFilter::from_level);
        assert_eq!(most, expect, "{level:?} {target}");
    }

    #[test]
    fn a_level_applies_to_us_and_not_to_chatty_libraries() {
        check(Some("DEBUG"), "backend", LevelFilter::DEBUG);
        check(Some("DEBUG"), "rmcp::service", LevelFilter::WARN);
        check(None, "backend", LevelFilter::INFO);
        check(Some("WARNING"), "backend", LevelFilter::WARN);
        check(Some(""), "backend", LevelFilter::INFO);
        check(Some("as loud as possible"), "backend", LevelFilter::INFO);
    }

    #[test]
    fn a_library_that_is_named_is_heard() {
        check(Some("info,rmcp=debug"), "rmcp::service", LevelFilter::DEBUG);
    }
}
