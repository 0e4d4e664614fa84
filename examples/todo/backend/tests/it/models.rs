//! Language models as assistants: fake servers of three dialects, well-behaved and not.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::world::{On, Person, World};

/// What a model does at each question, and what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
enum Answer {
    Say(&'static str),
    Call(&'static str, Value),
    Raw(Value),
    Status(u16),
    Never,
}
use Answer::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Dialect {
    OpenAi,
    Gemini,
    Ollama,
}

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
            (_, Status(_) | Never) => Value::Null,
        }
    }

    fn settings(self, base: &str) -> Vec<(&'static str, String)> {
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

async fn serve(State((dialect, script)): State<(Dialect, Script)>, Json(question): Json<Value>) -> Response {
    script.asked.lock().unwrap().push(question);
    let next = {
        let mut answers = script.answers.lock().unwrap();
        // The last answer is given for ever.
        if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() }
    };
    match next {
        Status(code) => StatusCode::from_u16(code).unwrap().into_response(),
        Never => std::future::pending().await,
        answer => Json(dialect.spell(&answer)).into_response(),
    }
}

struct Talk {
    world: World,
    ada: Person,
    script: Script,
}

impl Talk {
    async fn with(dialect: Dialect, answers: Vec<Answer>) -> Self {
        let script = Script { answers: Arc::new(Mutex::new(answers)), ..Script::default() };
        let router = Router::new().fallback(serve).with_state((dialect, script.clone()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = dialect.settings(&base);
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let world = World::with(On::Sqlite, &settings).await.expect("SQLite needs nothing");
        let ada = world.person().await;
        Self { world, ada, script }
    }

    async fn say(&self, conversation: &Value, message: &str) -> (u16, Value) {
        let body = json!({ "conversation_id": conversation, "message": message });
        let (status, reply) = self.world.own(&self.ada, Method::POST, "/chat", body).await;
        (status.as_u16(), reply)
    }

    fn plan(&self, answers: Vec<Answer>) {
        *self.script.answers.lock().unwrap() = answers;
    }
}

#[tokio::test]
async fn a_model_of_each_dialect_adds_lists_and_answers() {
    for dialect in [Dialect::OpenAi, Dialect::Gemini, Dialect::Ollama] {
        let add = Call("add_task", json!({ "title": "Buy milk", "user_id": "somebody else" }));
        let talk = Talk::with(dialect, vec![add, Say("I added it.")]).await;
        let (status, reply) = talk.say(&Value::Null, "milk is out, note that down").await;
        assert_eq!((status, &reply["response"]), (200, &json!("I added it.")), "{dialect:?}: {reply}");
        assert_eq!(reply["tool_calls"][0]["arguments"], json!({ "title": "Buy milk" }), "{dialect:?}");
        assert_eq!(talk.world.titles(&talk.ada).await, ["Buy milk"]);
        let asked = talk.script.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 2);
        let first = asked[0].to_string();
        assert!(first.contains("milk is out") && first.contains("delete_task"), "{dialect:?}: {first}");
        assert!(!first.contains("user_id") && !first.contains(&talk.ada.id), "{dialect:?}: {first}");
        assert!(asked[1].to_string().contains("created"), "the model sees what its tool answered");
    }
}

#[tokio::test]
async fn a_model_cannot_delete_before_the_user_says_yes() {
    let talk = Talk::with(Dialect::OpenAi, vec![Call("delete_task", json!({ "task_id": "1" }))]).await;
    for title in ["Keep me", "Another"] {
        talk.world.own(&talk.ada, Method::POST, "/tasks", json!({ "title": title })).await;
    }
    let (_, reply) = talk.say(&Value::Null, "tidy up").await;
    assert!(reply["response"].as_str().unwrap().contains("Keep me"), "{reply}");
    assert_eq!(reply["waiting"], json!({ "kind": "confirm_delete", "id": 1, "title": "Keep me" }));
    assert_eq!(talk.world.titles(&talk.ada).await.len(), 2);
    // A model that is told something else than yes and still wishes to delete only makes us ask again.
    talk.say(&reply["conversation_id"], "hmm, what would that mean?").await;
    assert_eq!(talk.world.titles(&talk.ada).await.len(), 2);
    let asked = talk.script.asked.lock().unwrap().len();
    let (_, done) = talk.say(&reply["conversation_id"], "yes").await;
    assert_eq!(done["tool_calls"][0]["tool"], "delete_task", "{done}");
    assert_eq!(talk.world.titles(&talk.ada).await, ["Another"]);
    assert_eq!(talk.script.asked.lock().unwrap().len(), asked, "a yes is not for the model to interpret");
    talk.plan(vec![Call("delete_task", json!({ "task_id": 1 })), Say("It is gone already.")]);
    let (_, gone) = talk.say(&reply["conversation_id"], "delete number 1 again").await;
    assert_eq!(gone["tool_calls"][1]["result"]["code"], "TASK_NOT_FOUND", "{gone}");
}

#[tokio::test]
async fn a_model_that_fails_ends_in_words_and_changes_nothing() {
    let talk = Talk::with(Dialect::OpenAi, vec![Status(500)]).await;
    let nonsense = [
        Status(500),
        Status(401),
        Status(429),
        Raw(json!("garbage")),
        Raw(json!({ "choices": [] })),
        Say("   "),
        Raw(
            json!({ "choices": [{ "message": { "tool_calls": [{ "function": { "name": "add_task", "arguments": "{" } }] } }] }),
        ),
        Raw(json!({ "choices": [{ "message": { "tool_calls": [{ "function": { "arguments": {} } }] } }] })),
    ];
    for answer in nonsense {
        talk.plan(vec![answer]);
        let (status, reply) = talk.say(&Value::Null, "add a task to buy milk").await;
        assert_eq!((status, &reply["code"]), (503, &json!("ASSISTANT_UNAVAILABLE")), "{reply}");
        assert!(reply["message"].as_str().unwrap().contains("assistant"), "{reply}");
    }
    assert!(talk.world.titles(&talk.ada).await.is_empty());
}

#[tokio::test]
async fn a_model_that_never_answers_or_never_ends_is_stopped() {
    let talk = Talk::with(Dialect::Ollama, vec![Never]).await;
    assert_eq!(talk.say(&Value::Null, "hello?").await.0, 503);
    talk.plan(vec![Call("list_tasks", json!({}))]);
    assert_eq!(talk.say(&Value::Null, "hello?").await.0, 503);
    talk.plan(vec![Call("format_disk", json!({})), Say("I cannot do that.")]);
    let (status, reply) = talk.say(&Value::Null, "format the disk").await;
    assert_eq!((status, &reply["tool_calls"][0]["failed"]), (200, &json!(true)), "{reply}");
}

#[tokio::test]
async fn a_model_that_fails_half_way_tells_what_was_done() {
    let talk =
        Talk::with(Dialect::Gemini, vec![Call("add_task", json!({ "title": "Buy milk" })), Status(503)])
            .await;
    let (status, reply) = talk.say(&Value::Null, "milk and eggs").await;
    assert_eq!(status, 200);
    assert!(reply["response"].as_str().unwrap().contains("\u{201c}Buy milk\u{201d} was created"), "{reply}");
    assert_eq!(talk.world.titles(&talk.ada).await, ["Buy milk"]);
}
