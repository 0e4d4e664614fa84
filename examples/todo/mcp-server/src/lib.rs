//! The tools of the todo application, for any program that speaks the Model Context Protocol.
//!
//! Serves streamable HTTP at `/mcp` on port 8001, statelessly: any replica can answer any call. It reads and
//! writes the database itself, through the same `store` crate as the backend, so a call costs one hop.
//! Whose tasks a call touches is decided by its signed token alone ([`auth`]), never by an argument.
//!
//! Start at [`run`]; the tools are in [`tools`].

mod arguments;
mod auth;
mod tools;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use service::config::Settings;
use service::health::{Health, Readiness, check};
use service::metrics::{Metrics, Outcomes, Reading, register_readings};
use service::token::Keys;
use service::web::{self, Limits};
use store::{PoolSize, Store};
use tokio::net::TcpListener;

pub const SERVICE: &str = "mcp-server";
pub const PORT: u16 = 8001;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] service::config::Error),
    #[error("the configuration is not usable")]
    Store(#[from] store::Error),
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
    let keys = Keys::from_settings(settings)?;
    let size = PoolSize {
        min: settings.parsed("DB_POOL_MIN", "a number", 1)?,
        max: settings.parsed("DB_POOL_MAX", "a number", 10)?,
    };
    let redis_url = settings.optional("REDIS_URL")?;
    let store = Store::connect(&settings.database_url()?, redis_url.as_deref(), size)?;
    let hosts = allowed_hosts(settings.optional("MCP_ALLOWED_HOSTS")?);
    let limits = Limits { time: Duration::from_secs(10), ..Limits::default() };
    let router = router(store.clone(), keys, hosts, Health::new(SERVICE, settings)?, limits);
    tokio::select! {
        outcome = web::serve(SERVICE, listener, router, limits, stop) => outcome?,
        () = store.listen() => {}
    }
    store.close().await;
    Ok(())
}

/// Names under which we may be called: a browser tricked by DNS rebinding calls us by another.
fn allowed_hosts(configured: Option<String>) -> Vec<String> {
    let configured = configured.unwrap_or_else(|| "mcp-server,localhost,127.0.0.1,::1".to_owned());
    configured.split(',').map(|host| host.trim().to_owned()).filter(|host| !host.is_empty()).collect()
}

/// All routes; `hosts` are the names under which we may be called.
pub fn router(store: Store, keys: Keys, hosts: Vec<String>, health: Health, limits: Limits) -> Router {
    let calls = Outcomes::default();
    let counter = calls.clone();
    let counted = store.clone();
    let metrics = Metrics::new(|registry| {
        registry.register("tool_calls", "Tool calls by outcome", counter);
        register_readings(registry, move || {
            let reading = |(name, help, is_counter, value)| Reading { name, help, is_counter, value };
            counted.readings().map(reading).to_vec()
        });
    });
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_max_request_body_bytes(limits.body_bytes)
        .enforce_origin_validation();
    let tools = tools::Tools::new(store.clone(), calls);
    let mcp = StreamableHttpService::new(
        move || Ok(tools.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let guarded = Router::new()
        .route_service("/mcp", mcp)
        .layer(from_fn_with_state(Arc::new(keys), auth::require_tool_token));
    let page = metrics.clone();
    let router = Router::new()
        .route("/health", get(async move || health.answer()))
        .route("/ready", get(move || ready(store.clone())))
        .route("/metrics", get(move || async move { page.render() }))
        .merge(guarded);
    web::guard(router, &metrics, limits)
}

async fn ready(store: Store) -> Readiness {
    let (database, redis) =
        tokio::join!(check("database", store.check()), check("redis", store.cache().check()));
    Readiness::default().require(database).prefer(redis)
}
