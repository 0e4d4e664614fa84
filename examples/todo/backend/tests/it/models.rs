//! Language models as assistants, of three dialects, well-behaved and not.

use axum::http::Method;
use serde_json::{Value, json};

use crate::sse::Events;
use crate::stand_in::Answer::{self, *};
use crate::stand_in::Part::*;
use crate::stand_in::{DIALECTS, Dialect, End, Script};
use crate::world::{On, Person, World};

struct Talk {
    world: World,
    ada: Person,
    script: Script,
}

impl Talk {
    async fn with(dialect: Dialect, answers: Vec<Answer>) -> Self {
        Self::with_settings(dialect, answers, &[]).await
    }

    /// With a model that is not waited for long: for those that do not answer.
    async fn impatient(dialect: Dialect, answers: Vec<Answer>) -> Self {
        let settings = [("MODEL_TIMEOUT_SECONDS", "8"), ("CHAT_LIMIT_PER_MINUTE", "1000")];
        Self::with_settings(dialect, answers, &settings).await
    }

    async fn with_settings(dialect: Dialect, answers: Vec<Answer>, further: &[(&str, &str)]) -> Self {
        let script = Script::new(answers);
        let base = script.serve(dialect).await;
        let settings = dialect.settings(&base);
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<(&str, &str)> = settings.chain(further.iter().copied()).collect();
        let world = World::with(On::Sqlite, &settings).await.expect("SQLite needs nothing");
        let ada = world.person().await;
        Self { world, ada, script }
    }

    async fn say(&self, conversation: &Value, message: &str) -> (u16, Value) {
        let body = json!({ "conversation_id": conversation, "message": message });
        let (status, reply) = self.world.own(&self.ada, Method::POST, "/chat", body).await;
        (status.as_u16(), reply)
    }

    async fn follow(&self, message: &str) -> Events {
        let url = format!("{}/api/{}/chat", self.world.base, self.ada.id);
        let body = json!({ "message": message });
        let mut events = Events::open(&self.world.client, Method::POST, &url, &self.ada, Some(&body)).await;
        assert_eq!(events.next().await.expect("a start").name, "start");
        events
    }

    fn plan(&self, answers: Vec<Answer>) {
        *self.script.answers.lock().unwrap() = answers;
    }
}

#[tokio::test]
async fn a_model_of_each_dialect_adds_lists_and_answers() {
    for dialect in DIALECTS {
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
    let talk = Talk::impatient(Dialect::Ollama, vec![Never]).await;
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

/// What follows in a stream: tools by name, words as they come, and how it ends.
async fn rest(events: &mut Events) -> (Vec<String>, String, String, Value) {
    let (mut tools, mut words) = (Vec::new(), String::new());
    loop {
        let event = events.next().await.expect("an end that is told");
        match event.name.as_str() {
            "tool" => tools.push(event.data["tool"].as_str().unwrap().to_owned()),
            "delta" => words.push_str(event.data["text"].as_str().unwrap()),
            _ => return (tools, words, event.name, event.data),
        }
    }
}

#[tokio::test]
async fn words_of_a_model_arrive_while_it_is_still_speaking() {
    for dialect in DIALECTS {
        let answer = Stream(vec![Words("Here"), Words(" is"), Words(" your list. ")], End::Proper);
        let talk = Talk::with(dialect, vec![answer]).await;
        talk.script.gate.forget_permits(1_000_000);
        let mut events = talk.follow("what is up?").await;
        // The model waits at the gate, so these words cannot have waited for its end.
        let first = events.next().await.unwrap();
        assert_eq!((first.name.as_str(), &first.data["text"]), ("delta", &json!("Here")), "{dialect:?}");
        talk.script.gate.add_permits(1);
        assert_eq!(events.next().await.unwrap().data["text"], " is", "{dialect:?}");
        talk.script.gate.add_permits(100);
        let (tools, words, end, done) = rest(&mut events).await;
        assert_eq!(
            (tools.len(), words.as_str(), end.as_str()),
            (0, " your list.", "done"),
            "{dialect:?}: {done}"
        );
        assert_eq!(done["response"], "Here is your list.");
        assert_eq!(talk.script.asked.lock().unwrap()[0]["stream"] == true, dialect != Dialect::Gemini);
    }
}

#[tokio::test]
async fn a_call_that_comes_in_fragments_is_made_when_the_answer_is_complete() {
    for dialect in DIALECTS {
        let add = Calling("add_task", json!({ "title": "Buy \u{1f95b}, 2 l" }));
        let answers = vec![
            Stream(vec![Words("One moment.\n"), add], End::Proper),
            Stream(vec![Words("I added"), Words(" it.")], End::Proper),
        ];
        let talk = Talk::with(dialect, answers).await;
        let mut events = talk.follow("milk, please").await;
        let (tools, words, end, done) = rest(&mut events).await;
        assert_eq!((tools, end.as_str()), (vec!["add_task".to_owned()], "done"), "{dialect:?}: {done}");
        assert_eq!(words, "One moment.\n\nI added it.", "{dialect:?}: the words make up the reply");
        assert_eq!(done["response"], words.as_str());
        assert_eq!(talk.world.titles(&talk.ada).await, ["Buy \u{1f95b}, 2 l"]);
        // Followed or not, it is the same.
        talk.plan(vec![Stream(vec![Words("Good"), Words("bye.")], End::Proper)]);
        assert_eq!(talk.say(&done["conversation_id"], "bye").await.1["response"], "Goodbye.");
        let history = talk.world.own(&talk.ada, Method::GET, "/chat/history", Value::Null).await.1;
        assert_eq!(history["messages"][1]["content"], words.as_str());
    }
}

#[tokio::test]
async fn a_stream_that_does_not_come_to_its_end_ends_in_words_and_changes_nothing() {
    let add = || Calling("add_task", json!({ "title": "Half done" }));
    for dialect in DIALECTS {
        let talk = Talk::impatient(dialect, vec![Never]).await;
        let broken = [
            Stream(vec![Words("Wait"), add()], End::Closed),
            Stream(vec![Words("Wait"), add()], End::Broken),
            Stream(vec![Words("Wait"), add(), Failure], End::Proper),
            Stream(vec![add(), Garbage("data: {\"choices\": [\n\n")], End::Proper),
            Stream(vec![add(), Garbage("<html>502 Bad Gateway</html>\n\ndata: <\n\n")], End::Closed),
            Stream(vec![Words("blah ")], End::Endless),
            Stream(vec![], End::Closed),
        ];
        // Waiting takes time, and is the same for all.
        let silent = Stream(vec![Words("Wait"), add()], End::Silent);
        let silent = (dialect == Dialect::OpenAi).then_some(silent);
        for answer in broken.into_iter().chain(silent) {
            talk.plan(vec![answer]);
            let mut events = talk.follow("add something").await;
            let (tools, words, end, told) = rest(&mut events).await;
            assert_eq!((tools.len(), end.as_str()), (0, "error"), "{dialect:?} {words}: {told}");
            assert_eq!(told["code"], "ASSISTANT_UNAVAILABLE");
            assert!(told["message"].as_str().unwrap().contains("assistant"), "{told}");
            assert!(events.next().await.is_none());
        }
        assert!(talk.world.titles(&talk.ada).await.is_empty());
        // One that breaks after a change tells what was done, as part of the reply.
        talk.plan(vec![Stream(vec![add()], End::Proper), Stream(vec![Words("So I")], End::Broken)]);
        let (tools, words, end, done) = rest(&mut talk.follow("add something").await).await;
        assert_eq!((tools.len(), end.as_str()), (1, "done"), "{dialect:?}: {done}");
        assert!(words.contains("\u{201c}Half done\u{201d} was created"), "{words}");
        assert_eq!(done["response"], words.as_str());
    }
}

#[tokio::test]
async fn who_goes_away_while_a_model_speaks_finds_the_reply_in_the_history() {
    let answer = Stream(vec![Words("A long"), Words(" story.")], End::Proper);
    let talk = Talk::with(Dialect::OpenAi, vec![answer]).await;
    talk.script.gate.forget_permits(1_000_000);
    let mut events = talk.follow("tell me").await;
    assert_eq!(events.next().await.unwrap().data["text"], "A long");
    drop(events);
    talk.script.gate.add_permits(100);
    let mut window = Events::live(&talk.world, &talk.world.base, &talk.ada, Some("0")).await;
    while window.line().await != "assistant says \"A long story.\"" {}
}
