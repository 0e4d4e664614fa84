//! The answers to `/health` and `/ready`.
//!
//! Health is about this process only and asks nobody; readiness runs named checks and says `ok` or
//! `unavailable` for each. Why a check failed goes to the log, never to the caller.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::config::{Error, Settings};

/// A dependency that has not answered by then counts as unavailable.
const CHECK_TIMEOUT: Duration = Duration::from_millis(800);

/// What a service says of itself at `/health`.
#[derive(Clone, Debug)]
pub struct Health {
    service: &'static str,
    environment: Arc<str>,
}

#[derive(Serialize)]
struct Healthy<'a> {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    environment: &'a str,
    timestamp: u64,
}

impl Health {
    pub fn new(service: &'static str, settings: &Settings) -> Result<Self, Error> {
        Ok(Self { service, environment: settings.environment()?.into() })
    }

    /// 200 as long as the process can answer at all.
    pub fn answer(&self) -> Response {
        let body = Healthy {
            status: "healthy",
            service: self.service,
            version: env!("CARGO_PKG_VERSION"),
            environment: &self.environment,
            timestamp: crate::clock::unix_s(),
        };
        Json(body).into_response()
    }
}

/// One dependency, asked.
pub struct Check {
    name: &'static str,
    ok: bool,
}

/// Asks a dependency. Ask several at once: an orchestrator waits about a second for the whole answer.
pub async fn check<E: std::error::Error>(
    name: &'static str,
    asking: impl Future<Output = Result<(), E>>,
) -> Check {
    let ok = match tokio::time::timeout(CHECK_TIMEOUT, asking).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(check = name, error = crate::log::chain(&error), "readiness check failed");
            false
        }
        Err(_) => {
            tracing::warn!(check = name, "readiness check timed out");
            false
        }
    };
    Check { name, ok }
}

/// The outcome of the named checks of one readiness question.
#[derive(Default)]
pub struct Readiness {
    checks: BTreeMap<&'static str, &'static str>,
    failed: bool,
}

impl Readiness {
    /// Without it the service is not ready.
    pub fn require(mut self, check: Check) -> Self {
        self.failed |= !check.ok;
        self.checks.insert(check.name, if check.ok { "ok" } else { "unavailable" });
        self
    }

    /// Without it the service is shown as `degraded`, and traffic keeps coming.
    pub fn prefer(mut self, check: Check) -> Self {
        self.checks.insert(check.name, if check.ok { "ok" } else { "degraded" });
        self
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
