//! The REST table: every row, every code.

use axum::http::Method;
use serde_json::{Value, json};

use crate::world::{Person, World, on_both};

on_both!(
    the_rest_table_keeps_its_codes,
    requests_have_bounds_and_ids,
    tasks_added_at_once_are_numbered_without_gaps_and_each_caller_hears_of_theirs,
);

async fn the_rest_table_keeps_its_codes(world: World) {
    let (ada, eve) = (world.person().await, world.person().await);
    let own = |method, path: &'static str, body| world.own(&ada, method, path, body);

    assert_eq!(own(Method::GET, "/tasks", Value::Null).await, (200.try_into().unwrap(), json!([])));
    for (body, code) in [
        (json!({ "title": "Buy milk", "description": "two bottles", "due_date": "2026-12-24" }), 201),
        (json!({ "title": "Apples" }), 201),
        (json!({ "title": "x".repeat(200), "description": "y".repeat(1000) }), 201),
        (json!({ "title": "" }), 422),
        (json!({}), 422),
        (json!({ "title": 7 }), 422),
        (json!({ "title": "x".repeat(201) }), 422),
        (json!({ "title": "x", "description": "y".repeat(1001) }), 422),
        (json!({ "title": "x", "due_date": "soon" }), 422),
    ] {
        let (status, answer) = own(Method::POST, "/tasks", body.clone()).await;
        assert_eq!(status, code, "{body} -> {answer}");
    }

    let (status, task) = own(Method::GET, "/tasks/1", Value::Null).await;
    assert_eq!(
        (status.as_u16(), &task["title"], &task["completed"]),
        (200, &json!("Buy milk"), &json!(false))
    );
    assert_eq!(own(Method::GET, "/tasks/99", Value::Null).await.0, 404);
    assert_eq!(own(Method::GET, "/tasks/abc", Value::Null).await.0, 404);

    let (status, task) = own(Method::PUT, "/tasks/1", json!({ "title": "Buy oat milk" })).await;
    assert_eq!((status.as_u16(), &task["title"]), (200, &json!("Buy oat milk")));
    assert_eq!((&task["description"], &task["due_date"]), (&json!("two bottles"), &json!("2026-12-24")));
    assert_eq!(own(Method::PUT, "/tasks/1", json!({ "due_date": "" })).await.1["due_date"], Value::Null);
    assert_eq!(own(Method::PUT, "/tasks/1", json!({ "title": " " })).await.0, 422);
    assert_eq!(own(Method::PUT, "/tasks/99", json!({ "title": "x" })).await.0, 404);

    assert_eq!(own(Method::PATCH, "/tasks/1/complete", Value::Null).await.1["completed"], true);
    assert_eq!(world.titles(&ada).await[..2], ["Buy oat milk", "Apples"]);
    for (path, count) in
        [("/tasks?status=completed", 1), ("/tasks?status=pending", 2), ("/tasks?search=APP", 1)]
    {
        assert_eq!(own(Method::GET, path, Value::Null).await.1.as_array().unwrap().len(), count, "{path}");
    }
    let sorted = own(Method::GET, "/tasks?sort=title&limit=1", Value::Null).await.1;
    assert_eq!((sorted.as_array().unwrap().len(), &sorted[0]["title"]), (1, &json!("Apples")));
    assert_eq!(own(Method::GET, "/tasks?status=sometimes", Value::Null).await.0, 422);
    assert_eq!(own(Method::PATCH, "/tasks/1/complete", Value::Null).await.1["completed"], false);
    assert_eq!(own(Method::PATCH, "/tasks/99/complete", Value::Null).await.0, 404);

    for method in [Method::GET, Method::DELETE] {
        assert_eq!(world.own(&eve, method, "/tasks/1", Value::Null).await.0, 404, "another user's task");
    }
    assert_eq!(own(Method::DELETE, "/tasks/1", Value::Null).await.0, 204);
    assert_eq!(own(Method::DELETE, "/tasks/1", Value::Null).await.0, 404);
    assert_eq!(world.titles(&ada).await[0], "Apples");
}

async fn requests_have_bounds_and_ids(world: World) {
    let ada = world.person().await;
    let (status, _) = world.own(&ada, Method::POST, "/tasks", json!({ "title": "x".repeat(100_000) })).await;
    assert_eq!(status, 413);
    let answer = world.call(Method::GET, "/api/nowhere", None, None).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json::<Value>().unwrap()["code"], "NOT_FOUND");
    assert!(answer.headers.contains_key("x-request-id"));
    let metrics = world.call(Method::GET, "/metrics", None, None).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("http_requests_total{"), "{text}");
    assert!(!text.contains(&ada.id), "user ids are not labels");
    let health = world.call(Method::GET, "/api/health", None, None).await;
    assert_eq!(health.json::<Value>().unwrap()["status"], "healthy");
}

/// More than go together in one statement.
const AT_ONCE: usize = 120;

async fn tasks_added_at_once_are_numbered_without_gaps_and_each_caller_hears_of_theirs(world: World) {
    let (_replica, other_base) = world.replica(&[]);
    let (ada, eve) = (world.person().await, world.person().await);
    let add = async |person: &Person, at: usize| {
        let base = if at.is_multiple_of(4) { &other_base } else { &world.base };
        let (url, title) = (format!("{base}/api/{}/tasks", person.id), format!("Task {at}"));
        let body = json!({ "title": title });
        let answer = world.client.send(Method::POST, &url, Some(&person.token), Some(&body)).await.unwrap();
        let task: Value = answer.json().unwrap();
        assert_eq!((answer.status.as_u16(), &task["title"]), (201, &body["title"]), "{task}");
        task["id"].as_u64().unwrap()
    };
    let everybody = (0..AT_ONCE).flat_map(|at| [(&ada, at), (&eve, at)]);
    let answers = everybody.map(async |(person, at)| (&person.id, add(person, at).await));
    let answers = futures::future::join_all(answers).await;
    for person in [&ada, &eve] {
        let mut ids: Vec<u64> =
            answers.iter().filter(|(user, _)| **user == person.id).map(|(_, id)| *id).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(1..=AT_ONCE as u64), "{ids:?}");
        assert_eq!(world.titles(person).await.len(), AT_ONCE);
    }
}
