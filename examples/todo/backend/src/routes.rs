//! The table of routes, health answers and the rules for browsers of other sites.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use service::health::{Readiness, check};
use service::metrics::Metrics;
use service::web::{self, Limits};

use crate::app::App;
use crate::error::ApiError;
use crate::{auth, chat, docs, events, tasks};

pub fn router(app: App, limits: Limits) -> Router {
    let metrics = Metrics::new(|registry| app.metrics.register(registry, &app.store));
    let page = metrics.clone();
    let health = app.health.clone();
    let health = async move || health.answer();
    let router = Router::new()
        .route("/health", get(health.clone()))
        .route("/api/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(move || async move { page.render() }))
        .route("/api/openapi.json", get(docs::document))
        .route("/api/docs", get(docs::page))
        .route("/api/docs.css", get(docs::style))
        .route("/api/auth/signup", post(auth::sign_up))
        .route("/api/auth/register", post(auth::sign_up))
        .route("/api/auth/login", post(auth::log_in))
        .route("/api/auth/logout", post(auth::log_out))
        .route("/api/auth/me", get(auth::me))
        .route("/api/{user_id}/tasks", get(tasks::list).post(tasks::add))
        .route("/api/{user_id}/tasks/{id}", get(tasks::get).put(tasks::update).delete(tasks::delete))
        .route("/api/{user_id}/tasks/{id}/complete", patch(tasks::toggle))
        .route("/api/{user_id}/tasks/{id}/restore", post(tasks::restore))
        .route("/api/{user_id}/events", get(events::events))
        .route("/api/{user_id}/chat", post(chat::chat))
        .route("/api/{user_id}/chat/history", get(chat::history).delete(chat::clear))
        .fallback(|| async { ApiError::NotFound("this address") })
        .method_not_allowed_fallback(|| async { ApiError::Method })
        .layer(from_fn(never_cached))
        .layer(from_fn_with_state(app.clone(), cors))
        .with_state(app);
    web::guard(router, &metrics, limits)
}

async fn ready(State(app): State<App>) -> Readiness {
    let (database, redis, mcp) = tokio::join!(
        check("database", check_database(&app)),
        check("redis", app.store.cache().check()),
        check("mcp", mcp_client::check(&app.client, &app.mcp_url)),
    );
    Readiness::default().require(database).prefer(redis).prefer(mcp)
}

#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("the migrations have not run yet")]
    Migrating,
    #[error("the database does not answer")]
    Database(#[source] store::Error),
}

async fn check_database(app: &App) -> Result<(), NotReady> {
    if !app.is_migrated() {
        return Err(NotReady::Migrating);
    }
    app.store.check().await.map_err(NotReady::Database)
}

/// Answers are about one user; no proxy may keep them.
async fn never_cached(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Lets the configured origins call from a browser. Pages of the same origin need none of this.
async fn cors(State(app): State<App>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| {
        origin.to_str().is_ok_and(|origin| app.cors_origins.iter().any(|known| known == origin))
    });
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match is_preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed_headers =
            HeaderValue::from_static("authorization, content-type, last-event-id, x-request-id");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers);
        let exposed = HeaderValue::from_static("link, retry-after, x-request-id, x-total-count");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}
