//! Stand-ins for the servers of language models: they speak the protocols, and answer what the test wrote down.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use Answer::*;
use Part::*;

/// What a model does at each question, and what it was asked.
#[derive(Clone)]
pub struct Script {
    pub answers: Arc<Mutex<Vec<Answer>>>,
    pub asked: Arc<Mutex<Vec<Value>>>,
    /// Permits for the pieces of streamed answers after the first; by default more than any test needs.
    pub gate: Arc<Semaphore>,
}

impl Script {
    pub fn new(answers: Vec<Answer>) -> Self {
        let answers = Arc::new(Mutex::new(answers));
        Self { answers, asked: Arc::default(), gate: Arc::new(Semaphore::new(1_000_000)) }
    }

    /// Starts the server; gives its address.
    pub async fn serve(&self, dialect: Dialect) -> String {
        let router = Router::new().fallback(answer).with_state((dialect, self.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    }
}

#[derive(Clone)]
pub enum Answer {
    Say(&'static str),
    Call(&'static str, Value),
    Raw(Value),
    Status(u16),
    Never,
    /// In pieces, each after a permit of the gate.
    Stream(Vec<Part>, End),
}

/// A piece of a streamed answer.
#[derive(Clone)]
pub enum Part {
    Words(&'static str),
    /// A call, whose arguments come in fragments where the dialect has such.
    Calling(&'static str, Value),
    Garbage(&'static str),
    Failure,
}

#[derive(Clone, Copy, PartialEq)]
pub enum End {
    /// As the dialect has it.
    Proper,
    /// The connection ends, politely or not.
    Closed,
    Broken,
    /// Nothing more comes, and the connection stays.
    Silent,
    /// The last part again and again.
    Endless,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    OpenAi,
    Gemini,
    Ollama,
}

pub const DIALECTS: [Dialect; 3] = [Dialect::OpenAi, Dialect::Gemini, Dialect::Ollama];

impl Dialect {
    fn spell(self, answer: &Answer) -> Value {
        match (self, answer) {
            (_, Raw(value)) => value.clone(),
            (Self::OpenAi, Say(text)) => json!({ "choices": [{ "message": { "content": text } }] }),
            (Self::OpenAi, Call(tool, arguments)) => {
                let function = json!({ "name": tool, "arguments": arguments.to_string() });
                json!({ "choices": [{ "message": { "content": null, "tool_calls": [{ "id": "1", "function": function }] } }] })
            }
            (Self::Gemini, Say(text)) => {
                json!({ "candidates": [{ "content": { "parts": [{ "text": text }] } }] })
            }
            (Self::Gemini, Call(tool, arguments)) => {
                let call = json!({ "functionCall": { "name": tool, "args": arguments } });
                json!({ "candidates": [{ "content": { "parts": [call] } }] })
            }
            (Self::Ollama, Say(text)) => json!({ "message": { "content": text } }),
            (Self::Ollama, Call(tool, arguments)) => {
                let call = json!({ "function": { "name": tool, "arguments": arguments } });
                json!({ "message": { "content": "", "tool_calls": [call] } })
            }
            (_, Status(_) | Never | Stream(..)) => Value::Null,
        }
    }

    /// The pieces of a streamed answer as they are sent.
    fn pieces(self, part: &Part) -> Vec<String> {
        let values = match (self, part) {
            (_, Garbage(text)) => return vec![(*text).to_owned()],
            (_, Failure) => vec![json!({ "error": { "message": "overloaded" } })],
            (Self::OpenAi, Words(text)) => vec![openai_delta(json!({ "content": text }), None)],
            (Self::OpenAi, Calling(tool, arguments)) => {
                let function = json!({ "name": tool, "arguments": "" });
                let first = json!([{ "index": 0, "id": "call_1", "type": "function", "function": function }]);
                let fragment = |text: &str| json!([{ "index": 0, "function": { "arguments": text } }]);
                let text = arguments.to_string();
                let (start, end) = text.split_at(text.len() / 2);
                let calls = [first, fragment(start), fragment(end)];
                calls.map(|calls| openai_delta(json!({ "tool_calls": calls }), None)).to_vec()
            }
            (Self::Gemini | Self::Ollama, Words(text)) => vec![self.spell(&Say(text))],
            (Self::Gemini | Self::Ollama, Calling(tool, arguments)) => {
                vec![self.spell(&Call(tool, arguments.clone()))]
            }
        };
        values.iter().map(|value| self.framed(value)).collect()
    }

    /// What tells that the answer is complete.
    fn last(self) -> String {
        match self {
            Self::OpenAi => {
                let usage = json!({ "choices": [], "usage": { "total_tokens": 7 } });
                let stop = openai_delta(json!({}), Some("stop"));
                format!("{}{}data: [DONE]\n\n", self.framed(&stop), self.framed(&usage))
            }
            Self::Gemini => {
                self.framed(&json!({ "candidates": [{ "finishReason": "STOP", "content": {} }] }))
            }
            Self::Ollama => self.framed(&json!({ "message": { "content": "" }, "done": true })),
        }
    }

    fn framed(self, value: &Value) -> String {
        match self {
            Self::OpenAi => format!("data: {value}\n\n"),
            Self::Gemini => format!("data: {value}\r\n\r\n"),
            Self::Ollama => format!("{value}\n"),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Gemini => "text/event-stream",
            Self::Ollama => "application/x-ndjson",
        }
    }

    pub fn settings(self, base: &str) -> Vec<(&'static str, String)> {
        let base = base.to_owned();
        match self {
            Self::OpenAi => vec![("CHAT_PROVIDER", "openai".into()), ("OPENAI_BASE_URL", base)],
            Self::Gemini => vec![
                ("CHAT_PROVIDER", "gemini".into()),
                ("GEMINI_BASE_URL", base),
                ("GEMINI_API_KEY", "a key".into()),
            ],
            Self::Ollama => vec![("CHAT_PROVIDER", "ollama".into()), ("OLLAMA_URL", base)],
        }
    }
}

async fn answer(State((dialect, script)): State<(Dialect, Script)>, Json(question): Json<Value>) -> Response {
    script.asked.lock().unwrap().push(question);
    let next = {
        let mut answers = script.answers.lock().unwrap();
        // The last answer is given for ever.
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    };
    match next {
        Status(code) => StatusCode::from_u16(code).unwrap().into_response(),
        Never => std::future::pending().await,
        Stream(parts, end) => streamed(dialect, &parts, end, script.gate),
        answer => Json(dialect.spell(&answer)).into_response(),
    }
}

fn openai_delta(delta: Value, reason: Option<&str>) -> Value {
    json!({ "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] })
}

fn streamed(dialect: Dialect, parts: &[Part], end: End, gate: Arc<Semaphore>) -> Response {
    let mut pieces: Vec<String> = parts.iter().flat_map(|part| dialect.pieces(part)).collect();
    if end == End::Proper {
        pieces.push(dialect.last());
    }
    let body = stream::unfold(0, move |at| {
        let (pieces, gate) = (pieces.clone(), gate.clone());
        async move {
            if at > 0 {
                gate.acquire().await.unwrap().forget();
            }
            let piece = match (pieces.get(at), end) {
                (Some(piece), _) => Ok(piece.clone()),
                (None, End::Endless) => Ok(pieces.last().unwrap().clone()),
                (None, End::Broken) => Err(std::io::Error::other("the cable was cut")),
                (None, End::Silent) => std::future::pending().await,
                (None, End::Proper | End::Closed) => return None,
            };
            Some((piece, at + 1))
        }
    });
    ([(header::CONTENT_TYPE, dialect.content_type())], Body::from_stream(body)).into_response()
}
