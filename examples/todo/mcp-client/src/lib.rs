//! Calls tools at an MCP server, over the small HTTP client of our own services.
//!
//! A crate of its own because the protocol library is generic throughout: its code is generated here, once,
//! and not again with every change of the backend. A [`Session`] belongs to one bearer token: whoever holds
//! it can choose tools and arguments, never on whose behalf they act.
//!
//! Start at [`Session::call`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
pub use rmcp::model::JsonObject;
use rmcp::model::{CallToolRequestParams, ClientJsonRpcMessage, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClient, StreamableHttpClientTransportConfig, StreamableHttpError,
    StreamableHttpPostResponse,
};
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::Value;
use service::client::{self, Answer, Client};
use service::request_id;
use sse_stream::{Sse, SseStream};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the MCP server did not answer in time")]
    Timeout,
    #[error("the MCP server cannot be reached")]
    Connect(#[source] Box<ClientInitializeError>),
    #[error("the tool call failed")]
    Call(#[source] ServiceError),
}

/// What a tool answered: its structured result, and whether it is marked as an error.
#[derive(Debug)]
pub struct Outcome {
    pub result: Value,
    pub failed: bool,
}

/// A tool as the server describes it.
#[derive(Clone, Debug)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// Tools on behalf of the owner of one token. Connects at the first call: many turns need no tool.
pub struct Session {
    client: Client,
    url: String,
    token: String,
    running: Option<RunningService<RoleClient, ()>>,
}

impl Session {
    /// `url` is the whole address, like `http://mcp-server:8001/mcp`.
    pub fn new(client: Client, url: &str, token: String) -> Self {
        Self { client, url: url.to_owned(), token, running: None }
    }

    pub async fn call(&mut self, tool: String, arguments: JsonObject) -> Result<Outcome, Error> {
        let running = self.running().await?;
        let call = running.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments));
        let answer = tokio::time::timeout(CALL_TIMEOUT, call).await.map_err(|_| Error::Timeout)?;
        let answer = answer.map_err(Error::Call)?;
        let text = answer.content.first().and_then(|block| block.as_text()).map(|text| text.text.clone());
        let result =
            answer.structured_content.or_else(|| text.and_then(|text| serde_json::from_str(&text).ok()));
        Ok(Outcome { result: result.unwrap_or(Value::Null), failed: answer.is_error.unwrap_or(false) })
    }

    /// The tools the server has.
    pub async fn tools(&mut self) -> Result<Vec<Tool>, Error> {
        let running = self.running().await?;
        let listing = tokio::time::timeout(CALL_TIMEOUT, running.list_all_tools());
        let tools = listing.await.map_err(|_| Error::Timeout)?.map_err(Error::Call)?;
        let tool = |tool: rmcp::model::Tool| Tool {
            name: tool.name.into_owned(),
            description: tool.description.map(Cow::into_owned).unwrap_or_default(),
            parameters: Value::Object(tool.input_schema.as_ref().clone()),
        };
        Ok(tools.into_iter().map(tool).collect())
    }

    async fn running(&mut self) -> Result<&RunningService<RoleClient, ()>, Error> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.connect().await?,
        };
        Ok(self.running.insert(running))
    }

    /// Ends the session politely; a session that is dropped instead is cancelled.
    pub async fn close(self) {
        if let Some(running) = self.running {
            let _ = tokio::time::timeout(Duration::from_secs(1), running.cancel()).await;
        }
    }

    async fn connect(&self) -> Result<RunningService<RoleClient, ()>, Error> {
        let mut headers = HashMap::new();
        if let Some(id) = request_id::current().and_then(|id| HeaderValue::from_str(&id).ok()) {
            headers.insert(HeaderName::from_static(request_id::HEADER), id);
        }
        let config = StreamableHttpClientTransportConfig::with_uri(self.url.as_str())
            .auth_header(self.token.clone())
            .custom_headers(headers);
        let transport = StreamableHttpClientTransport::with_client(Http(self.client.clone()), config);
        // One question to the server instead of a handshake; servers of older versions get the handshake.
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        };
        let connecting = ().serve_with_lifecycle(transport, lifecycle);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Err(_) => Err(Error::Timeout),
            Ok(outcome) => outcome.map_err(|error| Error::Connect(Box::new(error))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the MCP server cannot be reached")]
    Unreachable(#[from] client::Error),
    #[error("the MCP server answered {0}")]
    Unhealthy(StatusCode),
}

/// Answers whether the MCP server is there, for `/ready`.
pub async fn check(client: &Client, url: &str) -> Result<(), CheckError> {
    let base = url.strip_suffix("/mcp").unwrap_or(url);
    let answer = client.send(Method::GET, &format!("{base}/health"), None, None).await?;
    if answer.status.is_success() { Ok(()) } else { Err(CheckError::Unhealthy(answer.status)) }
}

/// The transport's view of our HTTP client. Answers are read whole, which suits calls that answer once.
#[derive(Clone)]
struct Http(Client);

type Failure = StreamableHttpError<client::Error>;

impl StreamableHttpClient for Http {
    type Error = client::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let mut headers: HeaderMap = custom_headers.into_iter().collect();
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, accept);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let bearer = auth_header.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        headers.extend(bearer.map(|value| (header::AUTHORIZATION, value)));
        let session = session_id.and_then(|id| HeaderValue::from_str(&id).ok());
        headers.extend(session.map(|value| (HeaderName::from_static("mcp-session-id"), value)));
        let body = serde_json::to_vec(&message)?;
        let answer = self.0.send_raw(Method::POST, &uri, headers, body.into()).await;
        read(answer.map_err(StreamableHttpError::Client)?)
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        _session_id: Arc<str>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        Err(StreamableHttpError::ServerDoesNotSupportDeleteSession)
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        _session_id: Option<Arc<str>>,
        _last_event_id: Option<String>,
        _auth_header: Option<String>,
        _custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, sse_stream::Error>>, Failure> {
        Err(StreamableHttpError::ServerDoesNotSupportSse)
    }
}

fn read(answer: Answer) -> Result<StreamableHttpPostResponse, Failure> {
    let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let session = text("mcp-session-id");
    let content_type = text("content-type").unwrap_or_default();
    match answer.status {
        StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(StreamableHttpPostResponse::Accepted),
        status if content_type.starts_with("application/json") => match answer.json() {
            Ok(message) => Ok(StreamableHttpPostResponse::Json(message, session)),
            Err(_) => Err(unexpected(status)),
        },
        status if !status.is_success() => Err(unexpected(status)),
        _ if content_type.starts_with("text/event-stream") => {
            let bytes = stream::once(std::future::ready(Ok::<_, std::io::Error>(answer.body)));
            Ok(StreamableHttpPostResponse::Sse(SseStream::from_bytes_stream(bytes).boxed(), session))
        }
        _ => Err(StreamableHttpError::UnexpectedContentType(Some(content_type))),
    }
}

/// The body is left out: it may repeat what we sent.
fn unexpected(status: StatusCode) -> Failure {
    StreamableHttpError::UnexpectedServerResponse(Cow::Owned(format!("HTTP {status}")))
}
