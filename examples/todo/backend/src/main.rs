//! The API of the todo application: accounts, tasks and the chat, on port 8000.
//!
//! Holds no state of its own: users, tasks and conversations are in PostgreSQL, the chat limit and copies of
//! task lists in Redis, and tools are called at the MCP server. Any replica can answer any request.
//! It listens before the database can be reached (health is about the process), migrates as soon as it can
//! be, and reports itself ready only then.
//!
//! Start at [`run`]; routes are listed in [`routes`].

mod app;
mod auth;
mod chat;
mod error;
mod routes;
mod tasks;

use std::process::ExitCode;
use std::time::Duration;

use service::web::{self, Limits};

use crate::app::{App, AppState};

const SERVICE: &str = "backend";
const PORT: u16 = 8000;
/// How long the database may stay away at start before we give up and let the orchestrator restart us.
const MIGRATION_PATIENCE: Duration = Duration::from_secs(180);
const MIGRATION_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] service::config::Error),
    #[error("the configuration is not usable")]
    Store(#[from] store::Error),
    #[error("the database could not be prepared within {patience:?}")]
    Database { patience: Duration, source: store::Error },
    #[error("the server failed")]
    Web(#[from] web::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    service::start::start(SERVICE, PORT, run()).await
}

async fn run() -> Result<(), Error> {
    let app = AppState::from_env()?;
    let limits = Limits::default();
    let listen = service::config::listen(PORT)?;
    let served = web::serve(SERVICE, listen, routes::router(app.clone(), limits), limits);
    tokio::pin!(served);
    tokio::select! {
        outcome = &mut served => return Ok(outcome?),
        outcome = prepare_database(&app) => outcome?,
    }
    served.await?;
    app.store.close().await;
    Ok(())
}

/// Migrates as soon as the database answers. A migration that itself fails is not retried.
async fn prepare_database(app: &App) -> Result<(), Error> {
    let began = tokio::time::Instant::now();
    loop {
        match app.store.migrate().await {
            Ok(applied) => {
                tracing::info!(applied, "the database is ready");
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
