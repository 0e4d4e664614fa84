//! Clients that dawdle, crowd or never leave, and a server that stops.

use std::time::Duration;

use service::web::Limits;

use crate::server::{PATIENCE, Server, until_closed};

/// Soon enough for a test, late enough for an honest client on a busy machine.
fn impatient() -> Limits {
    Limits { head: Duration::from_secs(2), ..Limits::default() }
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let server = Server::with(impatient()).await;
    let address = server.address;
    let heads = [&b""[..], b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\nx-one-more: "];
    for talking in heads.map(|head| tokio::spawn(until_closed(address, head))) {
        let answer = talking.await.unwrap();
        assert!(!answer.contains("200 OK"), "{answer}");
    }
    assert_eq!(server.get("/").await.status, 200, "others are served meanwhile and after");
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed_after_its_answer() {
    let server = Server::with(impatient()).await;
    let answer = until_closed(server.address, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_head_without_bound_is_refused() {
    const HEAD: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nx-filler: ";
    let server = Server::with(Limits::default()).await;
    let endless = format!("{HEAD}{}", "x".repeat(256 << 10)).leak().as_bytes();
    // The answer may be lost in the reset that follows it; what counts is the end.
    let answer = until_closed(server.address, endless).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn beyond_the_bound_of_connections_others_wait_for_a_place() {
    let server = Server::with(Limits { connections: 1, ..impatient() }).await;
    let first = server.enter().await;
    let second = tokio::spawn(until_closed(server.address, b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    // Time for it to get where it must not get; a slow machine only makes this easier to hold.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.entered.available_permits(), 0);
    server.leave.add_permits(2);
    assert_eq!(first.await.unwrap().status, 200);
    assert!(second.await.unwrap().ends_with("done"), "its turn comes when the first place is given up");
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_began_and_takes_nobody_new() {
    let mut server = Server::with(Limits::default()).await;
    let (address, leave) = (server.address, server.leave.clone());
    let waiting = server.enter().await;
    server.begin_to_stop();
    // Connections queued before the stop are dropped; from then on there is nobody to connect to.
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody new is taken");
    assert!(!waiting.is_finished());
    leave.add_permits(1);
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b"done"[..]));
    server.ended().await;
}

#[tokio::test]
async fn a_request_without_end_does_not_keep_a_server_from_stopping() {
    let mut server = Server::with(Limits { drain: Duration::from_millis(100), ..Limits::default() }).await;
    let waiting = server.enter().await;
    server.begin_to_stop();
    server.ended().await;
    assert!(waiting.await.is_err(), "it was cut off, not answered");
}
