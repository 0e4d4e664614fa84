//! Every way a request can fail, and the JSON a caller gets for it:
//! `{"code": "VALIDATION", "message": "...", "fields": [{"field": "title", "message": "is required"}]}`.
//!
//! What went wrong inside is logged and never sent.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use store::FieldError;

pub type Result<T> = std::result::Result<T, ApiError>;

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("log in first")]
    Unauthenticated,
    #[error("the token is not valid or has expired, log in again")]
    BadToken,
    #[error("email address or password is wrong")]
    BadCredentials,
    #[error("this belongs to another user")]
    Forbidden,
    #[error("{0} does not exist")]
    NotFound(&'static str),
    #[error("this address cannot be asked that way")]
    Method,
    #[error("some fields are not valid")]
    Invalid(Vec<FieldError>),
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    #[error("the request is too large")]
    TooLarge,
    #[error("this email address is already registered")]
    EmailTaken,
    #[error("too many messages, try again in {0} seconds")]
    TooMany(u64),
    #[error("too many windows are open, close one")]
    TooManyStreams,
    #[error("the assistant cannot answer right now, nothing was changed beyond what it told you")]
    Assistant,
    #[error("the service cannot answer right now, try again")]
    Unavailable,
}

impl ApiError {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
            Self::BadToken => (StatusCode::UNAUTHORIZED, "INVALID_TOKEN"),
            Self::BadCredentials => (StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "FORBIDDEN"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION"),
            Self::Unreadable(_) => (StatusCode::BAD_REQUEST, "BAD_REQUEST"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"),
            Self::EmailTaken => (StatusCode::CONFLICT, "EMAIL_TAKEN"),
            Self::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            Self::TooManyStreams => (StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_STREAMS"),
            Self::Assistant => (StatusCode::SERVICE_UNAVAILABLE, "ASSISTANT_UNAVAILABLE"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        }
    }

    /// What a caller is told.
    pub fn body(&self) -> serde_json::Value {
        let mut body = serde_json::json!({ "code": self.status_and_code().1, "message": self.to_string() });
        if let Self::Invalid(fields) = self {
            body["fields"] = serde_json::json!(fields);
        }
        body
    }

    fn extra_header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let challenge = |text| (header::WWW_AUTHENTICATE, HeaderValue::from_static(text));
        match self {
            Self::Unauthenticated | Self::BadCredentials => Some(challenge("Bearer realm=\"todo\"")),
            Self::BadToken => Some(challenge("Bearer realm=\"todo\", error=\"invalid_token\"")),
            Self::TooMany(seconds) => Some((header::RETRY_AFTER, HeaderValue::from(*seconds))),
            Self::TooManyStreams => Some((header::RETRY_AFTER, HeaderValue::from_static("10"))),
            Self::Unavailable | Self::Assistant => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status_and_code().0, Json(self.body())).into_response();
        if let Some((name, value)) = self.extra_header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::NotFound => Self::NotFound("the task"),
            store::Error::Invalid(fields) => Self::Invalid(fields),
            store::Error::EmailTaken => Self::EmailTaken,
            other => {
                tracing::error!(error = service::log::chain(&other), "the store failed");
                Self::Unavailable
            }
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            // Well-formed JSON of the wrong shape is a validation failure, like any other field error.
            StatusCode::UNPROCESSABLE_ENTITY => {
                Self::Invalid(vec![FieldError::new("body", shape_problem(&rejection.body_text()))])
            }
            _ => Self::Unreadable("send JSON with content-type application/json".to_owned()),
        }
    }
}

/// The part of the parser's message that helps: which field, what was expected.
fn shape_problem(text: &str) -> String {
    text.rsplit("target type: ").next().unwrap_or(text).chars().take(200).collect()
}
