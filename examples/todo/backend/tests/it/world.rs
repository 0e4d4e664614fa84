//! A running application: databases, MCP server and backend; and a person who uses it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use service::client::{Answer, Client};
use service::token::{Audience, Claims, Keys};
use store::{PoolSize, Store};

use crate::contract;
use crate::databases::{self, Server};

pub const SECRET: &str = "a secret that only the tests know, 40 chars";
pub const PASSWORD: &str = "correct horse";

pub struct World {
    pub client: Client,
    pub backend: Option<Server>,
    pub redis: Option<Server>,
    pub postgres: Option<Server>,
    pub mcp_url: String,
    pub database_url: String,
    pub redis_url: Option<String>,
    pub dir: tempfile::TempDir,
    pub postgres_bin: PathBuf,
    pub redis_bin: PathBuf,
    pub base: String,
    pub mcp: Option<tokio::task::JoinHandle<()>>,
}

/// A registered user with a token.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub token: String,
    pub email: String,
}

/// Which database a world is made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Postgres,
    Sqlite,
}

/// Each of the checks as a test on PostgreSQL with Redis, and as one on SQLite with nothing.
macro_rules! on_both {
    ($($check:ident),+ $(,)?) => {
        mod on_postgres { $(#[tokio::test] async fn $check() {
            if let Some(world) = crate::world::World::start().await { super::$check(world).await }
        })+ }
        mod on_sqlite { $(#[tokio::test] async fn $check() {
            if let Some(world) = crate::world::World::on(crate::world::On::Sqlite).await { super::$check(world).await }
        })+ }
    };
}
pub(crate) use on_both;

impl World {
    /// Everything, on PostgreSQL and Redis; none when the machine has no databases to start, which is said.
    pub async fn start() -> Option<Self> {
        Self::on(On::Postgres).await
    }

    pub async fn on(database: On) -> Option<Self> {
        Self::with(database, &[]).await
    }

    /// `settings` are further environment variables of the backend.
    pub async fn with(database: On, settings: &[(&str, &str)]) -> Option<Self> {
        let dir =
            tempfile::Builder::new().prefix("todo-test-").tempdir().expect("a directory for the databases");
        let mut world = Self {
            client: Client::new(Duration::from_secs(20)),
            backend: None,
            redis: None,
            postgres: None,
            mcp_url: String::new(),
            database_url: format!("sqlite:{}", dir.path().join("todo.db").display()),
            redis_url: None,
            dir,
            postgres_bin: PathBuf::new(),
            redis_bin: PathBuf::new(),
            base: String::new(),
            mcp: None,
        };
        if database == On::Postgres {
            world.start_databases()?;
        }
        let (mcp_url, mcp) = mcp_server(&world.database_url, world.redis_url.as_deref()).await;
        world.mcp_url = mcp_url;
        world.mcp = Some(mcp);
        world.restart_backend(settings).await;
        Some(world)
    }

    fn start_databases(&mut self) -> Option<()> {
        let (postgres_bin, redis_bin) = match databases::programs() {
            Ok(found) => found,
            Err(missing) if std::env::var_os("TODO_REQUIRE_DATABASES").is_some() => panic!("{missing}"),
            Err(missing) => {
                eprintln!("skipped: {missing}");
                return None;
            }
        };
        let postgres = databases::postgres(&postgres_bin, self.dir.path());
        let redis = databases::redis(&redis_bin, databases::free_port());
        self.database_url = format!("postgres://todo@127.0.0.1:{}/postgres", postgres.port);
        self.redis_url = Some(format!("redis://127.0.0.1:{}/0", redis.port));
        (self.postgres, self.redis) = (Some(postgres), Some(redis));
        (self.postgres_bin, self.redis_bin) = (postgres_bin, redis_bin);
        Some(())
    }

    /// Another replica of the backend, and its address.
    pub fn replica(&self, settings: &[(&str, &str)]) -> (Server, String) {
        let server = backend(&self.database_url, self.redis_url.as_deref(), &self.mcp_url, settings);
        let base = format!("http://127.0.0.1:{}", server.port);
        (server, base)
    }

    /// Stops the backend, if it runs, and starts it with other settings.
    pub async fn restart_backend(&mut self, settings: &[(&str, &str)]) {
        drop(self.backend.take());
        let (server, base) = self.replica(settings);
        (self.backend, self.base) = (Some(server), base);
        self.wait_until_ready().await;
    }

    pub async fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.call(Method::GET, "/ready", None, None).await;
            if answer.status == StatusCode::OK {
                return;
            }
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(Instant::now() < deadline, "never ready: {body}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn call(&self, method: Method, path: &str, token: Option<&str>, body: Option<Value>) -> Answer {
        let url = format!("{}{path}", self.base);
        let answer = self.client.send(method.clone(), &url, token, body.as_ref()).await;
        let answer = answer.expect("the backend answers");
        contract::expect_promised(&method, path, &answer);
        answer
    }

    /// Registers somebody new.
    pub async fn person(&self) -> Person {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let email = format!("person{}@example.org", COUNT.fetch_add(1, Ordering::Relaxed));
        let body = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
        let answer = self.call(Method::POST, "/api/auth/signup", None, Some(body)).await;
        assert_eq!(answer.status, StatusCode::CREATED);
        let body: Value = answer.json().expect("JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        Person { id: text(&body["user"]["id"]), token: text(&body["access_token"]), email }
    }

    /// A further session of `person`: its token.
    pub async fn log_in(&self, person: &Person) -> String {
        let body = json!({ "email": person.email, "password": PASSWORD });
        let answer = self.call(Method::POST, "/api/auth/login", None, Some(body)).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.json::<Value>().expect("JSON")["access_token"].as_str().expect("a token").to_owned()
    }

    /// Calls below `/api/{user_id}` of `person`.
    pub async fn own(&self, person: &Person, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = (!body.is_null()).then_some(body);
        let path = format!("/api/{}{path}", person.id);
        let answer = self.call(method, &path, Some(&person.token), body).await;
        (answer.status, answer.json().unwrap_or(Value::Null))
    }

    /// Says something in the conversation (a new one when none) and gives the whole reply.
    pub async fn say(&self, person: &Person, conversation: Option<i64>, message: &str) -> Value {
        let body = json!({ "conversation_id": conversation, "message": message });
        let (status, reply) = self.own(person, Method::POST, "/chat", body).await;
        assert_eq!(status, StatusCode::OK, "{message}: {reply}");
        reply
    }

    pub async fn titles(&self, person: &Person) -> Vec<String> {
        let (status, tasks) = self.own(person, Method::GET, "/tasks", Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{tasks}");
        let tasks = tasks.as_array().expect("an array").clone();
        tasks.iter().map(|task| task["title"].as_str().expect("a title").to_owned()).collect()
    }
}

async fn mcp_server(database_url: &str, redis_url: Option<&str>) -> (String, tokio::task::JoinHandle<()>) {
    let store = Store::connect(database_url, redis_url, PoolSize { min: 0, max: 4 }).expect("good addresses");
    let limits = service::web::Limits::default();
    let listening = store.clone();
    let health = service::health::Health::new(mcp_server::SERVICE, &Default::default()).expect("no settings");
    let keys = Keys::new(SECRET, []);
    let router = mcp_server::router(store, keys, vec!["127.0.0.1".to_owned()], health, limits);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("a bound socket has an address"));
    let running = tokio::spawn(async move {
        tokio::select! {
            () = listening.listen() => {}
            _ = service::web::serve_on(listener, router, limits, std::future::pending()) => {}
        }
    });
    (url, running)
}

fn backend(database_url: &str, redis_url: Option<&str>, mcp_url: &str, settings: &[(&str, &str)]) -> Server {
    let port = databases::free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_backend"));
    command
        .env_clear()
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env("DATABASE_URL", database_url)
        .env("REDIS_URL", redis_url.unwrap_or_default())
        .env("MCP_SERVER_URL", mcp_url)
        .env("BETTER_AUTH_SECRET", SECRET)
        .env("LOG_LEVEL", "warn")
        .envs(settings.iter().copied());
    Server::new(command, port)
}

/// A token of our own making.
pub fn token(user: &str, audience: Audience, secret: &str, lifetime_s: u64) -> String {
    let now_s = service::clock::unix_s() - 10;
    Keys::new(secret, []).sign(&Claims::new(user, audience, now_s, lifetime_s))
}
