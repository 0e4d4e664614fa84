//! The API of the todo application: accounts, tasks, live updates and the chat, on port 8000.
//!
//! Holds no state of its own: users, tasks and conversations are in the database, the chat limit and copies of
//! task lists in Redis, and tools are called at the MCP server. Any replica can answer any request.
//! It listens before the database can be reached (health is about the process), migrates as soon as it can
//! be, and reports itself ready only then.
//!
//! Start at [`run`]; routes are listed in [`routes`].

mod app;
mod auth;
mod chat;
mod docs;
mod error;
mod events;
mod metrics;
mod passwords;
mod routes;
mod tasks;

use std::time::Duration;

use service::config::Settings;
use service::web::{self, Limits};
use tokio::net::TcpListener;

use crate::app::{App, AppState};

pub const SERVICE: &str = "backend";
pub const PORT: u16 = 8000;
/// How long the database may stay away at start before we give up and let the orchestrator restart us.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(180);
const MIGRATION_PAUSE: Duration = Duration::from_millis(500);
const HOUSEKEEPING_PAUSE: Duration = Duration::from_secs(3_600);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] service::config::Error),
    #[error("the configuration is not usable")]
    Store(#[from] store::Error),
    #[error("the database could not be prepared within {patience:?}")]
    Database { patience: Duration, source: store::Error },
    #[error("the server failed")]
    Web(#[from] web::Error),
}

/// Serves where the settings say until the process is asked to stop.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let stop = service::shutdown::requested();
    let listener = web::bind(settings.listen(PORT)?).await?;
    serve(&settings, listener, stop).await
}

/// Serves on a socket that is already bound until `stop` resolves.
pub async fn serve(
    settings: &Settings,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let app = AppState::new(settings)?;
    let limits = Limits::default();
    let served = web::serve(SERVICE, listener, routes::router(app.clone(), limits), limits, stop);
    tokio::pin!(served);
    tokio::select! {
        outcome = &mut served => return Ok(outcome?),
        outcome = prepare_database(&app) => outcome?,
    }
    tokio::select! {
        outcome = &mut served => outcome?,
        () = app.store.listen() => {}
        () = keep_house(&app) => {}
    }
    app.store.close().await;
    Ok(())
}

/// Migrates as soon as the database answers. A migration that itself fails is not retried.
async fn prepare_database(app: &App) -> Result<(), Error> {
    let began = tokio::time::Instant::now();
    loop {
        match app.store.migrate().await {
            Ok(applied) => {
                tracing::info!(applied, database = app.store.kind(), "the database is ready");
                app.mark_migrated();
                return Ok(());
            }
            Err(source @ store::Error::Database(_)) if began.elapsed() < MIGRATION_PATIENCE => {
                let waited_s = began.elapsed().as_secs();
                tracing::warn!(waited_s, error = service::log::chain(&source), "waiting for the database");
                tokio::time::sleep(MIGRATION_PAUSE).await;
            }
            Err(source) => return Err(Error::Database { patience: MIGRATION_PATIENCE, source }),
        }
    }
}

/// Removes what nobody can ask for any more; every replica may do it.
async fn keep_house(app: &App) {
    loop {
        tokio::time::sleep(HOUSEKEEPING_PAUSE).await;
        for (what, outcome) in [
            ("deleted tasks", app.store.purge_deleted().await),
            ("revocations", app.store.sweep_revoked(service::clock::unix_s()).await),
        ] {
            match outcome {
                Ok(removed) => tracing::debug!(what, removed, "housekeeping"),
                Err(error) => {
                    tracing::warn!(what, error = service::log::chain(&error), "housekeeping failed")
                }
            }
        }
    }
}
