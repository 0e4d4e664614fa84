//! SIGTERM and SIGINT as one future, and a word to answers that never end by themselves.
//!
//! The process is often number 1 of its container, where an unhandled SIGTERM does nothing at all, so
//! [`requested`] must be called at the very first. A stream of events selects on [`Stopping::begun`], or it
//! would hold up the shutdown until the deadline.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Resolves when the process is asked to stop, which counts from this call on and not from the first poll.
pub fn requested() -> impl Future<Output = ()> + Send + 'static {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        let (Ok(mut term), Ok(mut int)) = signals else {
            tracing::error!("signal handlers cannot be installed, shutdown will not be graceful");
            return std::future::pending().await;
        };
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutting down: finishing the requests in progress");
    }
}

/// Knows whether the server that answers this request is about to stop. Handlers take it as an argument.
#[derive(Clone, Debug)]
pub struct Stopping(Option<watch::Receiver<bool>>);

impl Stopping {
    pub(crate) fn of(stopping: watch::Receiver<bool>) -> Self {
        Self(Some(stopping))
    }

    /// Resolves when the server begins to stop; never where nobody could tell.
    pub async fn begun(&mut self) {
        match &mut self.0 {
            Some(stopping) => drop(stopping.wait_for(|stopping| *stopping).await),
            None => std::future::pending().await,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Stopping {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or(Self(None)))
    }
}
