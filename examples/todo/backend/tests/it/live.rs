//! Live updates: what one window does, the others see, whichever replica they are connected to.

use axum::http::Method;
use serde_json::{Value, json};

use crate::sse::Events;
use crate::world::{World, on_both};

on_both!(
    changes_reach_every_window_by_whatever_door,
    a_window_that_was_away_hears_what_it_missed_once,
    streams_are_about_their_own_user_and_end_with_the_session,
    a_deleted_task_comes_back_as_it_was,
);

async fn changes_reach_every_window_by_whatever_door(world: World) {
    let ada = world.person().await;
    let (_replica, other_base) = world.replica(&[]);
    let mut here = Events::live(&world, &world.base, &ada, None).await;
    let mut there = Events::live(&world, &other_base, &ada, None).await;
    world.own(&ada, Method::POST, "/tasks", json!({ "title": "Buy milk" })).await;
    world.own(&ada, Method::PATCH, "/tasks/1/complete", Value::Null).await;
    for window in [&mut here, &mut there] {
        // Two changes that come close together may be told as one.
        while window.next().await.unwrap().data["task"]["completed"] != true {}
    }
    world.say(&ada, None, "add a task to call mom").await;
    world.own(&ada, Method::DELETE, "/tasks/1", Value::Null).await;
    for window in [&mut here, &mut there] {
        assert_eq!(window.line().await, "user says \"add a task to call mom\"");
        assert_eq!(window.line().await, "saved 2 Call mom");
        assert!(window.line().await.starts_with("assistant says "));
        assert_eq!(window.line().await, "deleted 1 Buy milk");
    }
}

async fn a_window_that_was_away_hears_what_it_missed_once(world: World) {
    let ada = world.person().await;
    let mut window = Events::live(&world, &world.base, &ada, None).await;
    world.own(&ada, Method::POST, "/tasks", json!({ "title": "Seen" })).await;
    let seen = window.next().await.unwrap().id;
    drop(window);
    for title in ["One", "Two"] {
        world.own(&ada, Method::POST, "/tasks", json!({ "title": title })).await;
    }
    let path = format!("/tasks/{}", 2);
    world.own(&ada, Method::PUT, path.leak(), json!({ "title": "One more" })).await;
    let mut window = Events::live(&world, &world.base, &ada, Some(&seen)).await;
    assert_eq!(window.line().await, "saved 3 Two");
    assert_eq!(window.line().await, "saved 2 One more");
    world.own(&ada, Method::POST, "/tasks", json!({ "title": "Last" })).await;
    assert_eq!(window.line().await, "saved 4 Last");
}

async fn streams_are_about_their_own_user_and_end_with_the_session(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    let path = format!("/api/{}/events", ada.id);
    assert_eq!(world.call(Method::GET, &path, None, None).await.status, 401);
    assert_eq!(world.call(Method::GET, &path, Some(&eve.token), None).await.status, 403);
    let mut window = Events::live(&world, &world.base, &ada, None).await;
    world.own(&eve, Method::POST, "/tasks", json!({ "title": "Not Ada's" })).await;
    world.own(&ada, Method::POST, "/tasks", json!({ "title": "Ada's" })).await;
    assert_eq!(window.line().await, "saved 1 Ada's");
    world.call(Method::POST, "/api/auth/logout", Some(&ada.token), None).await;
    assert_eq!(window.line().await, "bye {\"reason\":\"logged_out\"}");
    assert_eq!(window.line().await, "end");
}

async fn a_deleted_task_comes_back_as_it_was(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    let body = json!({ "title": "Buy milk", "description": "two bottles", "due_date": "2026-12-24" });
    let task = world.own(&ada, Method::POST, "/tasks", body).await.1;
    assert_eq!(world.own(&ada, Method::DELETE, "/tasks/1", Value::Null).await.0, 204);
    assert_eq!(world.own(&ada, Method::GET, "/tasks/1", Value::Null).await.0, 404);
    assert_eq!(world.own(&ada, Method::PUT, "/tasks/1", json!({ "title": "Ghost" })).await.0, 404);
    assert_eq!(world.own(&ada, Method::PATCH, "/tasks/1/complete", Value::Null).await.0, 404);
    assert_eq!(world.own(&eve, Method::POST, "/tasks/1/restore", Value::Null).await.0, 404);
    let (status, restored) = world.own(&ada, Method::POST, "/tasks/1/restore", Value::Null).await;
    assert_eq!((status.as_u16(), restored), (200, task));
    assert_eq!(world.titles(&ada).await, ["Buy milk"]);
    assert_eq!(world.own(&ada, Method::POST, "/tasks/1/restore", Value::Null).await.0, 200);
    assert_eq!(world.own(&ada, Method::POST, "/tasks/9/restore", Value::Null).await.0, 404);
    let added = world.own(&ada, Method::POST, "/tasks", json!({ "title": "Next" })).await.1;
    assert_eq!(added["id"], 2, "numbers are not reused");
}

#[tokio::test]
async fn a_stopping_backend_says_goodbye_and_does_not_wait_for_windows() {
    let Some(mut world) = World::on(crate::world::On::Sqlite).await else { return };
    let ada = world.person().await;
    let mut window = Events::live(&world, &world.base, &ada, None).await;
    let backend = world.backend.take().unwrap();
    backend.signal("TERM");
    assert_eq!(window.line().await, "bye {\"reason\":\"stopping\"}");
    assert_eq!(window.line().await, "end");
    assert_eq!(backend.stop_with("TERM"), Some(0));
}

#[tokio::test]
async fn an_eleventh_window_is_refused() {
    let Some(world) = World::on(crate::world::On::Sqlite).await else { return };
    let ada = world.person().await;
    let mut windows = Vec::new();
    for _ in 0..10 {
        windows.push(Events::live(&world, &world.base, &ada, None).await);
    }
    let path = format!("/api/{}/events", ada.id);
    let refused = world.call(Method::GET, &path, Some(&ada.token), None).await;
    assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].to_str().unwrap()), (429, "10"));
}
