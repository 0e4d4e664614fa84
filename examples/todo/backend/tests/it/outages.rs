//! Dependencies that go away and come back; a process that is asked to stop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use service::client::Client;

use crate::databases;
use crate::world::{Person, World};

#[tokio::test]
async fn without_redis_everything_still_works_and_readiness_says_degraded() {
    let Some(mut world) = World::start().await else { return };
    let ada = world.person().await;
    world.own(&ada, Method::POST, "/tasks", json!({ "title": "Before" })).await;
    assert_eq!(world.titles(&ada).await, ["Before"]);

    let port = world.redis.as_ref().unwrap().port;
    drop(world.redis.take());
    assert_eq!(world.own(&ada, Method::POST, "/tasks", json!({ "title": "During" })).await.0, 201);
    assert_eq!(world.titles(&ada).await, ["Before", "During"]);
    world.say(&ada, None, "add a task to wait").await;
    let ready = world.call(Method::GET, "/ready", None, None).await;
    assert_eq!(ready.status, 200);
    assert_eq!(ready.json::<Value>().unwrap()["checks"]["redis"], "degraded");

    world.redis = Some(databases::redis(&world.redis_bin, port));
    assert_eq!(world.titles(&ada).await, ["Before", "During", "Wait"]);
}

#[tokio::test]
async fn without_the_database_the_process_is_healthy_but_not_ready_and_recovers() {
    let Some(mut world) = World::start().await else { return };
    let ada = world.person().await;
    let postgres = world.postgres.take().unwrap();
    let port = postgres.port;
    postgres.stop_with("INT");

    assert_eq!(world.call(Method::GET, "/health", None, None).await.status, 200);
    let ready = world.call(Method::GET, "/ready", None, None).await;
    assert_eq!(ready.status, 503);
    let body: Value = ready.json().unwrap();
    assert_eq!((&body["status"], &body["checks"]["database"]), (&json!("not_ready"), &json!("unavailable")));
    let (status, problem) = world.own(&ada, Method::POST, "/tasks", json!({ "title": "Lost?" })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &json!("UNAVAILABLE")));

    world.postgres = Some(databases::start_postgres(&world.postgres_bin, world.dir.path(), port));
    world.wait_until_ready().await;
    assert_eq!(world.own(&ada, Method::POST, "/tasks", json!({ "title": "Back" })).await.0, 201);
    assert_eq!(world.titles(&ada).await, ["Back"]);
}

#[tokio::test]
async fn a_stopped_backend_ends_with_code_0() {
    let Some(mut world) = World::start().await else { return };
    assert_eq!(world.backend.take().unwrap().stop_with("TERM"), Some(0));
}

/// Somebody who adds tasks at one replica and looks at the list at another, and keeps the answers to their word.
struct Diligent {
    client: Client,
    person: Person,
    bases: [String; 2],
    attempts: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Diligent {
    /// Gives the titles that were acknowledged, and all that were tried.
    async fn work(self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut acknowledged, mut tried) = (BTreeSet::new(), BTreeSet::new());
        while !self.is_over.load(Ordering::Relaxed) {
            let title = format!("Task {}", tried.len());
            tried.insert(title.clone());
            let body = json!({ "title": title });
            match self.call(&self.bases[0], Method::POST, Some(&body)).await {
                Some((201, task)) => {
                    assert_eq!(task["title"], title);
                    acknowledged.insert(title);
                }
                Some((503 | 504, _)) | None => {}
                Some((status, answer)) => panic!("adding was answered {status} {answer}"),
            }
            for base in &self.bases {
                match self.call(base, Method::GET, None).await {
                    Some((200, list)) => {
                        let titles = titles(&list);
                        assert!(titles.is_superset(&acknowledged), "an acknowledged task is not on the list");
                        assert!(titles.is_subset(&tried), "a task that nobody added is on the list");
                    }
                    Some((503 | 504, _)) | None => {}
                    Some((status, answer)) => panic!("listing was answered {status} {answer}"),
                }
            }
            self.attempts.fetch_add(1, Ordering::Relaxed);
        }
        (acknowledged, tried)
    }

    async fn call(&self, base: &str, method: Method, body: Option<&Value>) -> Option<(u16, Value)> {
        let url = format!("{base}/api/{}/tasks", self.person.id);
        let answer = self.client.send(method, &url, Some(&self.person.token), body).await.ok()?;
        Some((answer.status.as_u16(), answer.json().unwrap_or(Value::Null)))
    }
}

fn titles(list: &Value) -> BTreeSet<String> {
    let tasks = list.as_array().expect("an array");
    tasks.iter().map(|task| task["title"].as_str().expect("a title").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_with_databases_killed_no_answer_is_wrong_and_no_acknowledged_write_is_lost() {
    let Some(mut world) = World::start().await else { return };
    let (_replica, other_base) = world.replica(&[]);
    let attempts = Arc::new(AtomicUsize::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut people = Vec::new();
    for at in 0..4 {
        let mut bases = [world.base.clone(), other_base.clone()];
        bases.rotate_left(at % 2);
        let person = world.person().await;
        let (attempts, is_over) = (attempts.clone(), is_over.clone());
        let diligent =
            Diligent { client: world.client.clone(), person: person.clone(), bases, attempts, is_over };
        people.push((person, tokio::spawn(diligent.work())));
    }
    let some_load = async |rounds: usize| {
        let until = attempts.load(Ordering::Relaxed) + rounds;
        while attempts.load(Ordering::Relaxed) < until && !people.iter().any(|(_, work)| work.is_finished()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    for _ in 0..2 {
        some_load(24).await;
        let port = world.redis.as_ref().unwrap().port;
        world.redis.take().unwrap().stop_with("KILL");
        some_load(24).await;
        world.redis = Some(databases::redis(&world.redis_bin, port));
        some_load(24).await;
        // Without a checkpoint: the next start has to recover, as after a crash.
        let postgres = world.postgres.take().unwrap();
        let port = postgres.port;
        postgres.stop_with("QUIT");
        // Fewer: each waits for a connection until it gives up.
        some_load(8).await;
        world.postgres = Some(databases::start_postgres(&world.postgres_bin, world.dir.path(), port));
        world.wait_until_ready().await;
        some_load(24).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for (person, work) in people {
        let (acknowledged, tried) = work.await.expect("every answer was right");
        let list = world.own(&person, Method::GET, "/tasks", Value::Null).await.1;
        let found = titles(&list);
        assert!(found.is_superset(&acknowledged) && found.is_subset(&tried));
        assert!(!acknowledged.is_empty());
        refused += tried.len() - acknowledged.len();
    }
    assert!(refused > 0, "the outages were felt");
}
