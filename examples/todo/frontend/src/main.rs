//! The pages of the todo application, on port 3000.
//!
//! Rendered on the server and complete without JavaScript; one small script makes the same forms feel
//! instant. It stores nothing: the session is the backend's token in an HttpOnly cookie, the data comes from
//! the backend with every page, so any replica can answer.
//!
//! Start at [`run`]; routes are in [`router`], markup in `pages`, calls to the backend in `api`.

mod account;
mod api;
mod assets;
mod board;
mod pages;
mod session;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use service::health::{Readiness, check};
use service::metrics::Metrics;
use service::web::{self, Limits};

use crate::api::Api;

const SERVICE: &str = "frontend";
const PORT: u16 = 3000;
/// Only our own script and style sheet, no inline code, never inside another site's frame.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] service::config::Error),
    #[error("the server failed")]
    Web(#[from] web::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    service::start::start(SERVICE, PORT, run()).await
}

async fn run() -> Result<(), Error> {
    let backend =
        service::config::optional("BACKEND_URL").unwrap_or_else(|| "http://backend:8000".to_owned());
    let api = Api::new(backend.trim_end_matches('/').to_owned(), Duration::from_secs(12));
    let limits = Limits::default();
    web::serve(SERVICE, service::config::listen(PORT)?, router(Arc::new(api), limits), limits).await?;
    Ok(())
}

fn router(api: Arc<Api>, limits: Limits) -> Router {
    let metrics = Metrics::new(|_| {});
    let page = metrics.clone();
    let router = Router::new()
        .route("/", get(board::show))
        .route("/signup", get(account::sign_up_page).post(account::sign_up))
        .route("/login", get(account::log_in_page).post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/tasks", post(board::add))
        .route("/tasks/{id}/toggle", post(board::toggle))
        .route("/tasks/{id}/edit", post(board::edit))
        .route("/tasks/{id}/delete", post(board::delete))
        .route("/chat", post(board::chat))
        .route("/chat/clear", post(board::clear_chat))
        .route("/health", get(|| async { service::health::healthy(SERVICE) }))
        .route("/api/health", get(|| async { service::health::healthy(SERVICE) }))
        .route("/ready", get(ready))
        .route("/metrics", get(move || async move { page.render() }))
        .route("/assets/{name}", get(assets::serve))
        .fallback(pages::not_found)
        .layer(from_fn(secure))
        .with_state(api);
    web::guard(router, &metrics, limits)
}

/// Ready when the backend is there: without it there is no page worth showing.
async fn ready(State(api): State<Arc<Api>>) -> Readiness {
    Readiness::default().require(check("backend", api.check()).await)
}

async fn secure(request: Request, next: Next) -> Response {
    let is_tls = session::is_tls(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .insert("permissions-policy", HeaderValue::from_static("camera=(), microphone=(), geolocation=()"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}
