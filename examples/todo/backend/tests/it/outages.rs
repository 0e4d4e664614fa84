//! Dependencies that go away and come back; a process that is asked to stop.

use axum::http::Method;
use serde_json::{Value, json};

use crate::databases;
use crate::world::World;

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
