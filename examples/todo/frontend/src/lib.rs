//! The pages of the todo application, on port 3000.
//!
//! Rendered on the server and complete without JavaScript; one script makes the same forms instant, streams the
//! assistant's replies and shows what other windows change. It stores nothing: the session is the backend's token
//! in an HttpOnly cookie, the data comes from the backend with every page, so any replica can answer.
//!
//! Start at [`run`]; routes are in [`router`], markup in `pages`, calls to the backend in `api`.

mod account;
mod api;
mod assets;
mod board;
mod flash;
mod live;
mod pages;
mod session;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use service::config::Settings;
use service::health::{Health, Readiness, check};
use service::metrics::Metrics;
use service::web::{self, Limits};
use tokio::net::TcpListener;

use crate::api::Api;

pub const SERVICE: &str = "frontend";
pub const PORT: u16 = 3000;
const BACKEND: &str = "http://backend:8000";
const BACKEND_TIMEOUT: Duration = Duration::from_secs(12);

/// What browsers may do with our pages: only our own script, style sheet and fonts, no inline code, never inside
/// another site's frame.
const SAFETY: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
/// Two years, as the lists of browsers want it.
const HSTS: &str = "max-age=63072000";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable")]
    Config(#[from] service::config::Error),
    #[error("the server failed")]
    Web(#[from] web::Error),
}

/// Serves where the settings say until the process is asked to stop. Settings: section "Environment" in the README.
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
    let backend = settings.optional("BACKEND_URL")?.unwrap_or_else(|| BACKEND.to_owned());
    let limits = Limits::default();
    let router = router(&backend, Health::new(SERVICE, settings)?, limits);
    Ok(web::serve(SERVICE, listener, router, limits, stop).await?)
}

/// All routes; pages come from the backend at `backend_url`.
pub fn router(backend_url: &str, health: Health, limits: Limits) -> Router {
    let health = get(async move || health.answer());
    let api = Arc::new(Api::new(backend_url.trim_end_matches('/').to_owned(), BACKEND_TIMEOUT));
    let metrics = Metrics::new(|_| {});
    let page = metrics.clone();
    let router = Router::new()
        .route("/", get(board::show))
        .route("/signup", get(account::sign_up_page).post(account::sign_up))
        .route("/login", get(account::log_in_page).post(account::log_in))
        .route("/logout", post(account::log_out))
        .route("/help", get(pages::help))
        .route("/theme", post(account::theme))
        .route("/tasks", post(board::add))
        .route("/tasks/{id}/complete", post(board::complete))
        .route("/tasks/{id}/reopen", post(board::reopen))
        .route("/tasks/{id}/edit", post(board::edit))
        .route("/tasks/{id}/delete", post(board::delete))
        .route("/tasks/{id}/restore", post(board::restore))
        .route("/chat", post(live::chat))
        .route("/chat/clear", post(board::clear_chat))
        .route("/events", get(live::events))
        .route("/health", health.clone())
        .route("/api/health", health.clone())
        .route("/ready", get(ready))
        .route("/metrics", get(move || async move { page.render() }))
        .route("/assets/{name}", get(assets::serve))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(board::home)
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
    for (name, value) in SAFETY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if is_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    response
}
