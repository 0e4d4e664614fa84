//! The proxy over real sockets, with plain TCP instead of the node's.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::routes::{Backend, PathType};
use super::*;

struct Direct;

impl Dial for Direct {
    fn dial(&self, addr: SocketAddrV4) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(addr))
    }
}

/// A pod that answers every connection with `answer` once it has read a request's head.
async fn pod(answer: &'static str) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_all(stream, answer));
        }
    });
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

/// Answers each request on a kept connection; after an upgrade it echoes what it hears.
async fn answer_all(mut stream: TcpStream, answer: &'static str) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let _ = stream.write_all(answer.as_bytes()).await;
        if answer.contains(" 101 ") {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            return;
        }
    }
}

/// An address that refuses connections.
async fn nobody() -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().unwrap().port())
}

async fn ingress(endpoints: Vec<SocketAddrV4>, problem: &str) -> (SocketAddr, CancellationToken) {
    let mut table = Table::default();
    let backend = Backend { service: "shop/web:80".into(), endpoints, problem: problem.into() };
    table.add(Some("shop.localhost"), "/", PathType::Prefix, Arc::new(backend));
    let proxy = Proxy {
        table: Arc::new(RwLock::new(Arc::new(table))),
        pool: Pool::new(Arc::new(Direct)),
        turn: AtomicUsize::new(0),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(accept(listener, Arc::new(proxy), stop.clone()));
    (addr, stop)
}

async fn ask(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-pod: one\r\n\r\nhello";
const GET: &str = "GET / HTTP/1.1\r\nhost: shop.localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_reaches_the_pod_and_its_answer_comes_back() {
    let (addr, _stop) = ingress(vec![pod(OK).await], "").await;
    let answer = ask(addr, GET).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn an_endpoint_that_refuses_costs_no_request() {
    let (addr, _stop) = ingress(vec![nobody().await, pod(OK).await], "").await;
    for _ in 0..4 {
        assert!(ask(addr, GET).await.starts_with("HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn when_all_endpoints_refuse_the_answer_names_the_service() {
    let (addr, _stop) = ingress(vec![nobody().await], "").await;
    let answer = ask(addr, GET).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("`shop/web:80`"), "{answer}");
}

#[tokio::test]
async fn a_service_without_ready_endpoints_is_named() {
    let (addr, _stop) = ingress(vec![], "service `shop/web` has no ready endpoint").await;
    let answer = ask(addr, GET).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("no ready endpoint"), "{answer}");
}

#[tokio::test]
async fn after_an_upgrade_bytes_flow_both_ways() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let (addr, _stop) = ingress(vec![pod(switch).await], "").await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        "GET /ws HTTP/1.1\r\nhost: shop.localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}
