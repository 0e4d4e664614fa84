//! Who is calling: a short-lived token, signed by the backend for one user.
//!
//! Everything without such a token is refused before the protocol is even parsed.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use service::clock;
use service::token::{Audience, Keys};

/// The user a call acts for; found in the request's extensions by the tools.
#[derive(Clone, Debug)]
pub struct Caller(pub String);

pub async fn require_tool_token(State(keys): State<Arc<Keys>>, mut request: Request, next: Next) -> Response {
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        return refuse("Bearer realm=\"todo-mcp\"", "a bearer token is required");
    };
    match keys.verify(token.trim(), Audience::ToolCall, clock::unix_s()) {
        Ok(claims) => {
            request.extensions_mut().insert(Caller(claims.sub));
            next.run(request).await
        }
        Err(error) => {
            tracing::warn!(%error, "tool call refused");
            refuse("Bearer realm=\"todo-mcp\", error=\"invalid_token\"", "the token is not valid")
        }
    }
}

fn refuse(challenge: &'static str, message: &'static str) -> Response {
    let body = Json(serde_json::json!({ "code": "UNAUTHORIZED", "message": message }));
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], body).into_response()
}
