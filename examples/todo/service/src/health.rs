//! The answers to `/health` and `/ready`.
//!
//! Health is about this process only and asks nobody; readiness runs named checks and says `ok` or
//! `unavailable` for each. Why a check failed goes to the log, never to the caller.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A dependency that has not answered by then counts as unavailable.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    environment: String,
    timestamp: u64,
}

/// 200 as long as the process can answer at all.
pub fn healthy(service: &'static str) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let environment = crate::config::optional("ENVIRONMENT").unwrap_or_else(|| "development".to_owned());
    let body = Health { status: "healthy", service, version, environment, timestamp: crate::clock::unix_s() };
    Json(body).into_response()
}

/// The outcome of the named checks of one readiness question.
#[derive(Default)]
pub struct Readiness {
    checks: BTreeMap<&'static str, &'static str>,
    failed: bool,
}

impl Readiness {
    /// Runs `check`; an error makes the whole service not ready.
    pub async fn require<E: std::error::Error>(
        &mut self,
        name: &'static str,
        check: impl Future<Output = Result<(), E>>,
    ) {
        let ok = passes(name, check).await;
        self.failed |= !ok;
        self.checks.insert(name, if ok { "ok" } else { "unavailable" });
    }

    /// Runs `check`; an error is shown as `degraded` and traffic keeps coming.
    pub async fn prefer<E: std::error::Error>(
        &mut self,
        name: &'static str,
        check: impl Future<Output = Result<(), E>>,
    ) {
        let ok = passes(name, check).await;
        self.checks.insert(name, if ok { "ok" } else { "degraded" });
    }
}

async fn passes<E: std::error::Error>(name: &str, check: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(CHECK_TIMEOUT, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(check = name, error = crate::log::chain(&error), "readiness check failed");
            false
        }
        Err(_) => {
            tracing::warn!(check = name, "readiness check timed out");
            false
        }
    }
}

impl IntoResponse for Readiness {
    fn into_response(self) -> Response {
        let (code, status) = match self.failed {
            false => (StatusCode::OK, "ready"),
            true => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        };
        let timestamp = crate::clock::unix_s();
        let body = serde_json::json!({ "status": status, "checks": self.checks, "timestamp": timestamp });
        (code, Json(body)).into_response()
    }
}
