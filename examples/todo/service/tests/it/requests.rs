//! What one request may cost, and what is told to one that would cost more.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use service::web::Limits;

use crate::server::Server;

#[tokio::test]
async fn a_body_above_the_bound_is_refused_and_one_below_is_not() {
    let server = Server::with(Limits { body_bytes: 1_000, ..Limits::default() }).await;
    assert_eq!(server.send(Method::POST, "/echo", &"x".repeat(1_000)).await.status, 200);
    assert_eq!(server.send(Method::POST, "/echo", &"x".repeat(1_001)).await.status, 413);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_told_so() {
    let server = Server::with(Limits { time: Duration::from_millis(50), ..Limits::default() }).await;
    let answer = server.get("/wait").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json::<Value>().unwrap()["code"], "TIMEOUT");
    assert_eq!(server.get("/").await.status, 200);
}

#[tokio::test]
async fn beyond_the_bound_of_requests_callers_are_told_to_come_back_and_probes_are_answered() {
    let server = Server::with(Limits { concurrent: 2, ..Limits::default() }).await;
    let inside = [server.enter().await, server.enter().await];
    let answer = server.get("/").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(answer.json::<Value>().unwrap()["code"], "OVERLOADED");
    assert_eq!(server.get("/health").await.status, 200);
    server.leave.add_permits(2);
    for request in inside {
        assert_eq!(request.await.unwrap().status, 200, "who was inside is served");
    }
    assert_eq!(server.get("/").await.status, 200, "the places are free again");
}

#[tokio::test]
async fn every_answer_carries_an_id_and_a_plausible_one_is_kept() {
    let server = Server::with(Limits::default()).await;
    let made = server.get("/nowhere").await;
    assert!(!made.headers["x-request-id"].is_empty());
    let url = format!("http://{}/", server.address);
    for (sent, is_kept) in [("order-66", true), ("a b; drop", false)] {
        let headers = [("x-request-id".parse().unwrap(), sent.parse().unwrap())].into_iter().collect();
        let asking = server.client.send_raw(Method::GET, &url, headers, Default::default());
        let answer = asking.await.unwrap();
        assert_eq!(answer.headers["x-request-id"] == sent, is_kept, "{sent}");
    }
}
