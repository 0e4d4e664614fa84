//! Two people, every door, every key but the right one: nobody sees or changes what is somebody else's.
//!
//! The doors are those of the OpenAPI document (which has every route, see `docs`) and of `tools/list`. A new one is
//! tried without a word here, and fails until it is known what to send to it.

use axum::http::Method;
use serde_json::{Map, Value, json};
use service::token::Audience;
use store::{Message, PoolSize, Query, Store, Task};

use crate::mcp;
use crate::world::{Person, SECRET, World, on_both, token};

on_both!(no_token_but_ones_own_opens_any_route_or_tool,);

const RETIRED: &str = "a secret that was replaced long ago, 40 chars";
const FORGED: &str = "another secret that is also long enough";
/// `{"alg":"none","typ":"JWT"}`.
const ALG_NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
/// What anybody may ask without a token, and nothing else.
const PUBLIC: [&str; 10] = [
    "GET /api/docs",
    "GET /api/docs.css",
    "GET /api/health",
    "GET /api/openapi.json",
    "GET /health",
    "GET /metrics",
    "GET /ready",
    "POST /api/auth/login",
    "POST /api/auth/register",
    "POST /api/auth/signup",
];
const HERS: &str = "Ada's secret plan";

/// Ada with data worth having, Eve with none, and all of Ada's that must stay as it is.
struct Scene {
    world: World,
    store: Store,
    ada: Person,
    eve: Person,
    conversation: Value,
    /// A token of Ada's whose key is gone.
    retired: String,
    before: Data,
}

#[derive(Debug, PartialEq)]
struct Data {
    /// Moves with every write.
    last_change: i64,
    tasks: Vec<Task>,
    messages: Vec<Message>,
}

/// A way in: a route with the path as documented, or a tool.
#[derive(Debug)]
struct Door {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Scene {
    async fn on(mut world: World) -> Self {
        world.restart_backend(&[("BETTER_AUTH_SECRET", RETIRED)]).await;
        let mut ada = world.person().await;
        let retired = ada.token.clone();
        world.restart_backend(&[]).await;
        ada.token = world.log_in(&ada).await;
        let eve = world.person().await;
        world.own(&ada, Method::POST, "/tasks", json!({ "title": HERS })).await;
        let conversation = world.say(&ada, None, "show my tasks").await["conversation_id"].take();
        let size = PoolSize { min: 0, max: 2 };
        let store = Store::connect(&world.database_url, None, size).expect("the address of the backend's");
        let before = data(&store, &ada).await;
        assert_eq!((before.tasks.len(), before.messages.len()), (1, 2));
        Self { world, store, ada, eve, conversation, retired, before }
    }

    /// Ada's tokens that must open nothing, under names for people. `right` and `wrong` are audiences.
    async fn bad_tokens(&self, right: Audience, wrong: Audience) -> Vec<(&'static str, Option<String>)> {
        let ada = &self.ada.id;
        let honest = token(ada, right, SECRET, 600);
        let [_, claims, signature] = token_parts(&honest);
        let of_eve = token(&self.eve.id, right, SECRET, 600);
        let [head, _, eves_signature] = token_parts(&of_eve);
        let logged_out = self.world.log_in(&self.ada).await;
        let left = self.world.call(Method::POST, "/api/auth/logout", Some(&logged_out), None).await;
        assert_eq!(left.status, 204);
        let some = |name, token: String| (name, Some(token));
        vec![
            ("none", None),
            some("garbage", "garbage".to_owned()),
            some("two parts", format!("{head}.{claims}")),
            some("forged signature", token(ada, right, FORGED, 600)),
            some("no algorithm", format!("{ALG_NONE}.{claims}.")),
            some("no algorithm, honest signature", format!("{ALG_NONE}.{claims}.{signature}")),
            some("claims swapped under a signature", format!("{head}.{claims}.{eves_signature}")),
            some("expired", token(ada, right, SECRET, 5)),
            some("for another service", token(ada, wrong, SECRET, 600)),
            some("signed with a retired key", token(ada, right, RETIRED, 600)),
            some("issued before the key was replaced", self.retired.clone()),
            some("logged out", logged_out),
        ]
    }

    async fn expect_untouched(&self, what: &str) {
        assert_eq!(data(&self.store, &self.ada).await, self.before, "{what}");
    }

    fn path(&self, door: &Door, user: &Person) -> String {
        door.path.replace("{user_id}", &user.id).replace("{id}", "1")
    }

    /// Every route that needs a token. What it is sent would do harm if it were let in.
    async fn routes(&self) -> Vec<Door> {
        let document = self.world.call(Method::GET, "/api/openapi.json", None, None).await;
        let document: Value = document.json().expect("JSON");
        let (mut doors, mut public) = (Vec::new(), Vec::new());
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
                if method == "PARAMETERS" {
                    continue;
                }
                if operation["security"] == json!([]) {
                    public.push(format!("{method} {path}"));
                    continue;
                }
                let schema = operation.pointer("/requestBody/content/application~1json/schema");
                let body = schema.map(|schema| self.harmful(&document, schema));
                doors.push(Door { method, path: path.clone(), body });
            }
        }
        public.sort();
        assert_eq!(public, PUBLIC, "what needs no token is known");
        doors
    }

    /// Every tool, with the arguments that would do harm; the path is its name.
    async fn tools(&self) -> Vec<Door> {
        let key = token(&self.eve.id, Audience::ToolCall, SECRET, 600);
        let listed = mcp::result(&self.world, &key, &mcp::request("tools/list", json!({}))).await;
        let tools = listed["tools"].as_array().expect("tools").iter().map(|tool| Door {
            method: Method::POST,
            path: tool["name"].as_str().expect("a name").to_owned(),
            body: Some(self.harmful(&Value::Null, &tool["inputSchema"])),
        });
        tools.collect()
    }

    /// Every property of a schema with a value that is Ada's, or evil.
    fn harmful(&self, document: &Value, schema: &Value) -> Value {
        let referred =
            schema["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#')));
        let properties = referred.unwrap_or(schema)["properties"].as_object().expect("an object");
        let value = |name: &str| match name {
            "user_id" => json!(self.ada.id),
            "task_id" => json!(1),
            "conversation_id" => self.conversation.clone(),
            "title" | "description" => json!("evil"),
            "due_date" => json!("2026-12-24"),
            "completed" => json!(true),
            "status" => json!("all"),
            "message" => json!("add a task to be evil"),
            other => panic!("say here what to send as `{other}`"),
        };
        properties.keys().map(|name| (name.clone(), value(name))).collect::<Map<_, _>>().into()
    }
}

fn token_parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("three parts")
}

async fn data(store: &Store, person: &Person) -> Data {
    let user = person.id.as_str();
    let conversation = store.latest_conversation(user).await.unwrap().expect("a conversation");
    Data {
        last_change: store.last_change(user).await.unwrap(),
        tasks: store.list_tasks(user, &Query::default()).await.unwrap().tasks,
        messages: store.history(user, conversation, 50).await.unwrap(),
    }
}

async fn no_token_but_ones_own_opens_any_route_or_tool(world: World) {
    let scene = Scene::on(world).await;
    a_bad_token_opens_no_route(&scene).await;
    somebody_elses_token_opens_no_route(&scene).await;
    a_bad_token_opens_no_tool(&scene).await;
    somebody_elses_token_opens_no_tool(&scene).await;
    assert_eq!(scene.world.titles(&scene.ada).await, [HERS], "her own token still opens everything");
}

async fn a_bad_token_opens_no_route(scene: &Scene) {
    let routes = scene.routes().await;
    assert!(routes.len() >= 13, "{routes:?}");
    let mut tokens = scene.bad_tokens(Audience::Session, Audience::ToolCall).await;
    // Signed by us, for somebody who is not (any more).
    tokens.push(("of a user who is gone", Some(token("nobody", Audience::Session, SECRET, 600))));
    for door in &routes {
        for (name, token) in &tokens {
            let path = scene.path(door, &scene.ada);
            let answer =
                scene.world.call(door.method.clone(), &path, token.as_deref(), door.body.clone()).await;
            let what = format!("{} {} with a token that is: {name}", door.method, door.path);
            assert_eq!(answer.status, 401, "{what}");
            assert!(answer.headers.contains_key("www-authenticate"), "{what}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(HERS), "{what}");
            scene.expect_untouched(&what).await;
        }
    }
}

async fn somebody_elses_token_opens_no_route(scene: &Scene) {
    for door in scene.routes().await {
        // Some doors end her session or give her a task: each is tried by somebody who has nothing.
        let eve = scene.world.person().await;
        let owners = [&scene.ada, &eve];
        for owner in if door.path.contains("{user_id}") { &owners[..] } else { &owners[1..] } {
            let path = scene.path(&door, owner);
            let what = format!("{} {path} by another user", door.method);
            let url = format!("{}{path}", scene.world.base);
            let asking = scene.world.client.stream(
                door.method.clone(),
                &url,
                Some(&eve.token),
                "*/*",
                door.body.as_ref(),
            );
            let answer = asking.await.expect("the backend answers");
            let is_hers = owner.id == scene.ada.id;
            let names_hers = door.path.contains("{id}")
                || door.body.as_ref().is_some_and(|body| body.get("conversation_id").is_some());
            match answer.status.as_u16() {
                403 if is_hers => {}
                404 if !is_hers && names_hers => {}
                200..=299 if !is_hers && !names_hers => {}
                status => panic!("{what} was answered {status}"),
            }
            // An endless stream begins with a greeting; everything else is read whole.
            if answer.headers.get("content-type").is_none_or(|kind| kind != "text/event-stream") {
                let body = answer.whole().await.expect("an answer").body;
                let text = String::from_utf8_lossy(&body).into_owned();
                assert!(!text.contains(HERS) && !text.contains(&scene.ada.email), "{what}: {text}");
            }
            scene.expect_untouched(&what).await;
        }
    }
}

async fn a_bad_token_opens_no_tool(scene: &Scene) {
    let tokens = scene.bad_tokens(Audience::ToolCall, Audience::Session).await;
    let mut messages: Vec<Value> = ["initialize", "server/discover", "tools/list", "ping"]
        .map(|method| mcp::request(method, json!({})))
        .to_vec();
    let tools = scene.tools().await;
    assert!(tools.len() >= 5, "{tools:?}");
    messages.extend(tools.iter().map(|door| mcp::tool_call(&door.path, door.body.as_ref().unwrap())));
    for message in &messages {
        for (name, token) in &tokens {
            for method in [Method::POST, Method::GET, Method::DELETE] {
                let answer = mcp::send(&scene.world, method.clone(), token.as_deref(), message).await;
                let what = format!("{method} {message} with a token that is: {name}");
                assert_eq!(answer.status, 401, "{what}");
                assert!(answer.headers.contains_key("www-authenticate"), "{what}");
                assert!(!String::from_utf8_lossy(&answer.body).contains(HERS), "{what}");
            }
            scene.expect_untouched(&format!("{message} with a token that is: {name}")).await;
        }
    }
}

async fn somebody_elses_token_opens_no_tool(scene: &Scene) {
    let key = token(&scene.eve.id, Audience::ToolCall, SECRET, 600);
    for door in scene.tools().await {
        let claimed = door.body.expect("every tool has arguments");
        assert!(claimed.get("user_id").is_some(), "`{}` may be told the user", door.path);
        let answer = mcp::result(&scene.world, &key, &mcp::tool_call(&door.path, &claimed)).await;
        assert_eq!(answer["structuredContent"]["code"], "FORBIDDEN", "{}: {answer}", door.path);
        let mut unclaimed = claimed;
        unclaimed.as_object_mut().expect("arguments").remove("user_id");
        let answer = mcp::result(&scene.world, &key, &mcp::tool_call(&door.path, &unclaimed)).await;
        assert!(!answer.to_string().contains(HERS), "{}: {answer}", door.path);
        scene.expect_untouched(&door.path).await;
    }
}
