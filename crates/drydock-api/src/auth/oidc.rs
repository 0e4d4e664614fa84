//! How others verify our tokens: the issuer's discovery document and its public keys.

use axum::body::Body;
use http::header::CACHE_CONTROL;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::json;

use crate::auth::token::ISSUER;
use crate::server::Server;
use crate::status::ApiError;
use crate::wire;

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";

/// The answer to a path of ours, `None` for all others.
pub(crate) fn answer(
    server: &Server,
    path: &str,
    method: &Method,
) -> Option<Result<Response<Body>, ApiError>> {
    let (document, form) = match path {
        DISCOVERY => {
            let document = json!({
                "issuer": ISSUER,
                "jwks_uri": format!("https://{}:443{KEYS}", server.config.service_network.api_address()),
                "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            });
            (document, "application/json")
        }
        KEYS => (server.pki.signer().jwks(), "application/jwk-set+json"),
        _ => return None,
    };
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(Err(ApiError::method_not_allowed()));
    }
    let mut answer = wire::json_as(StatusCode::OK, &document, form);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Some(Ok(answer))
}
