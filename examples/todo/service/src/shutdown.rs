//! SIGTERM and SIGINT as one future. The process is often number 1 of its container, where an unhandled
//! SIGTERM does nothing at all, so this must be awaited from the first moment.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the process is asked to stop.
pub async fn requested() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signal handlers cannot be installed, shutdown will not be graceful");
        return std::future::pending().await;
    };
    let name = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    };
    tracing::info!(signal = name, "shutting down: finishing the requests in progress");
}
