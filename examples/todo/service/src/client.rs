//! A small HTTP client for calls between our own services: plain HTTP, JSON in and out, a deadline on
//! every call, a bound on every answer, and the request id of the caller passed along.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

const MAX_ANSWER_BYTES: usize = 4 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a usable address")]
    Address(String, #[source] http::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection failed")]
    Connection(#[source] hyper_util::client::legacy::Error),
    #[error("the answer cannot be read")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is not the JSON expected")]
    Json(#[source] serde_json::Error),
}

/// An answer of any status; deciding what a status means is the caller's business.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(Error::Json)
    }
}

#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// `timeout` covers one call from connecting to the last byte.
    pub fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        // Shorter than the servers' own patience, so that a reused connection is rarely one being closed.
        let pool =
            Pool::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Self { pool, timeout }
    }

    /// Sends `body` as JSON (none: no body), with a bearer `token` where given.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
        if let Some(value) = token.and_then(|token| format!("Bearer {token}").parse().ok()) {
            headers.insert(header::AUTHORIZATION, value);
        }
        let bytes = match body {
            None => Bytes::new(),
            Some(json) => {
                headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
                Bytes::from(json.to_string())
            }
        };
        self.send_raw(method, url, headers, bytes).await
    }

    /// Sends exactly these headers and bytes, plus the request id.
    pub async fn send_raw(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(body))
            .map_err(|error| Error::Address(url.to_owned(), error))?;
        *request.headers_mut() = headers;
        if let Some(id) = crate::request_id::current().and_then(|id| id.parse().ok()) {
            request.headers_mut().insert(crate::request_id::HEADER, id);
        }
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout(self.timeout)),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let response = self.pool.request(request).await.map_err(Error::Connection)?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(Error::Body)?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}
