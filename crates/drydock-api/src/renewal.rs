//! Certificates are renewed while the engine runs, so that one that is never restarted does not lock its users out.
//!
//! One task per API, which ends with it. What is renewed, and when, `pki` knows.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;

use crate::pki::Pki;
use crate::server::Server;

const ROUND: Duration = Duration::from_secs(6 * 3600);

/// Starts the task. It holds the certificates only while it works.
pub(crate) fn start(server: &Arc<Server>) {
    let (pki, shutdown): (Weak<Pki>, _) = (Arc::downgrade(&server.pki), server.shutdown.clone());
    tokio::spawn(async move {
        while shutdown.run_until_cancelled(tokio::time::sleep(ROUND)).await.is_some() {
            let Some(pki) = pki.upgrade() else { return };
            let renewed = tokio::task::spawn_blocking(move || pki.renew(Timestamp::now())).await;
            match renewed {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "certificates were not renewed"
                    );
                }
                Err(error) => tracing::error!(%error, "certificates were not renewed"),
            }
        }
    });
}
