//! Accounts and tokens.

use std::process::Command;

use axum::http::Method;
use serde_json::{Value, json};

use crate::world::{On, PASSWORD, Person, SECRET, World, on_both};

on_both!(accounts_and_tokens_keep_their_contract,);

async fn accounts_and_tokens_keep_their_contract(world: World) {
    let post = |path: &'static str, body: Value| world.call(Method::POST, path, None, Some(body));

    let answer = post("/api/auth/signup", json!({ "email": "nobody", "password": "short" })).await;
    assert_eq!(answer.status, 422);
    let body: Value = answer.json().unwrap();
    let fields: Vec<&str> =
        body["fields"].as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap()).collect();
    assert_eq!((body["code"].as_str(), fields), (Some("VALIDATION"), vec!["email", "password"]));

    let person = world.person().await;
    let again = json!({ "email": person.email.to_uppercase(), "password": PASSWORD });
    assert_eq!(post("/api/auth/register", again).await.status, 409);

    let wrong = post("/api/auth/login", json!({ "email": person.email, "password": "wrong horse" })).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.headers.contains_key("www-authenticate"));
    let login = post("/api/auth/login", json!({ "email": person.email, "password": PASSWORD })).await;
    assert_eq!(login.status, 200);
    let body: Value = login.json().unwrap();
    let second = body["access_token"].as_str().unwrap();

    let me = world.call(Method::GET, "/api/auth/me", Some(second), None).await;
    assert_eq!(me.json::<Value>().unwrap()["email"], person.email);
    assert!(!String::from_utf8_lossy(&me.body).contains("argon2"), "no hash leaves the backend");

    assert_eq!(world.call(Method::POST, "/api/auth/logout", Some(second), None).await.status, 204);
    assert_eq!(world.call(Method::GET, "/api/auth/me", Some(second), None).await.status, 401);
    assert_eq!(world.call(Method::GET, "/api/auth/me", Some(&person.token), None).await.status, 200);
}

#[tokio::test]
async fn a_key_is_rotated_without_logging_anybody_out() {
    const NEXT: &str = "the next secret that replaces the first one";
    let Some(mut world) = World::on(On::Sqlite).await else { return };
    let works = async |world: &World, person: &Person| {
        world.call(Method::GET, "/api/auth/me", Some(&person.token), None).await.status == 200
    };
    let ada = world.person().await;
    // First every replica accepts the next key, then it signs, then the first one is forgotten.
    let (_old, old_base) = world.replica(&[("BETTER_AUTH_SECRET_NEXT", NEXT)]);
    world.restart_backend(&[("BETTER_AUTH_SECRET", NEXT), ("BETTER_AUTH_SECRET_PREVIOUS", SECRET)]).await;
    let eve = world.person().await;
    assert!(works(&world, &ada).await && works(&world, &eve).await);
    let new_base = std::mem::replace(&mut world.base, old_base);
    assert!(
        works(&world, &ada).await && works(&world, &eve).await,
        "a replica not yet replaced accepts both"
    );
    world.base = new_base;
    world.restart_backend(&[("BETTER_AUTH_SECRET", NEXT)]).await;
    assert!(works(&world, &eve).await);
    assert!(!works(&world, &ada).await, "a key that is gone opens nothing");
}

#[test]
fn production_names_its_database_and_its_key() {
    for (name, value) in [("DATABASE_URL", "sqlite::memory:"), ("BETTER_AUTH_SECRET", SECRET)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backend"));
        let output = command.env_clear().env("ENVIRONMENT", "production").env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(log.contains("is not set"), "{log}");
    }
}

#[test]
fn a_short_secret_is_refused_at_start_and_never_shown() {
    let output = Command::new(env!("CARGO_BIN_EXE_backend"))
        .env_clear()
        .env("DATABASE_URL", "postgres://todo@127.0.0.1:1/todo")
        .env("BETTER_AUTH_SECRET", "hunter2")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(log.contains("`BETTER_AUTH_SECRET` has 7 characters, it needs at least 32"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}
