//! A small HTTP client for calls between our own services and to language models: JSON in and out, a deadline on
//! every call, a bound on every answer, and the request id of the caller passed along. `https` is verified
//! against the well-known certificate authorities.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
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

/// An answer that is read piece by piece, because it is long or never ends.
pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    patience: Duration,
}

impl Stream {
    /// The next piece; none at the end. Silence for longer than the client's timeout is an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match tokio::time::timeout(self.patience, self.body.frame()).await {
                Err(_) => return Some(Err(Error::Timeout(self.patience))),
                Ok(None) => return None,
                Ok(Some(Err(error))) => return Some(Err(Error::Body(error.into()))),
                // Trailers are no piece of the text.
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(piece) => return Some(Ok(piece)),
                    Err(_) => continue,
                },
            }
        }
    }

    /// The whole of it, when it turned out to be an ordinary answer such as an error.
    pub async fn whole(self) -> Result<Answer, Error> {
        let reading = Limited::new(self.body, MAX_ANSWER_BYTES).collect();
        match tokio::time::timeout(self.patience, reading).await {
            Err(_) => Err(Error::Timeout(self.patience)),
            Ok(body) => Ok(Answer {
                status: self.status,
                headers: self.headers,
                body: body.map_err(Error::Body)?.to_bytes(),
            }),
        }
    }
}

#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// `timeout` covers one call from connecting to the last byte.
    pub fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
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
        let (headers, bytes) = json_request("application/json", token, body);
        self.send_raw(method, url, headers, bytes).await
    }

    /// As [`Client::send`], for an answer of type `accept` that is read piece by piece. The timeout holds for the
    /// head of the answer and then for each piece.
    pub async fn stream(
        &self,
        method: Method,
        url: &str,
        token: Option<&str>,
        accept: &'static str,
        body: Option<&serde_json::Value>,
    ) -> Result<Stream, Error> {
        let (headers, bytes) = json_request(accept, token, body);
        self.stream_raw(method, url, headers, bytes).await
    }

    /// As [`Client::stream`], with exactly these headers and bytes, plus the request id.
    pub async fn stream_raw(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Stream, Error> {
        let request = request(method, url, headers, body)?;
        match tokio::time::timeout(self.timeout, self.pool.request(request)).await {
            Err(_) => Err(Error::Timeout(self.timeout)),
            Ok(response) => {
                let (parts, body) = response.map_err(Error::Connection)?.into_parts();
                Ok(Stream { status: parts.status, headers: parts.headers, body, patience: self.timeout })
            }
        }
    }

    /// Sends exactly these headers and bytes, plus the request id.
    pub async fn send_raw(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Error> {
        let request = request(method, url, headers, body)?;
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

fn json_request(
    accept: &'static str,
    token: Option<&str>,
    body: Option<&serde_json::Value>,
) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
    if let Some(value) = token.and_then(|token| format!("Bearer {token}").parse().ok()) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let Some(json) = body else { return (headers, Bytes::new()) };
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    (headers, Bytes::from(json.to_string()))
}

/// A request with exactly these headers, and the id of the request it is part of.
fn request(
    method: Method,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(url)
        .body(Full::new(body))
        .map_err(|error| Error::Address(url.to_owned(), error))?;
    *request.headers_mut() = headers;
    if let Some(id) = crate::request_id::current().and_then(|id| id.parse().ok()) {
        request.headers_mut().insert(crate::request_id::HEADER, id);
    }
    Ok(request)
}
