//! A server with limits of the test's choosing, and handlers that wait for the test.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use service::client::{Answer, Client};
use service::metrics::Metrics;
use service::web::{Limits, guard, serve_on};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// For what must happen; far more than it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Server {
    pub address: SocketAddr,
    pub client: Client,
    /// One permit for every request that entered `/wait`.
    pub entered: Arc<Semaphore>,
    /// One permit for every request that may leave it.
    pub leave: Arc<Semaphore>,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

impl Server {
    pub async fn with(limits: Limits) -> Self {
        let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let waiting = (entered.clone(), leave.clone());
        let wait = move || {
            let (entered, leave) = waiting.clone();
            async move {
                entered.add_permits(1);
                leave.acquire().await.unwrap().forget();
                "done"
            }
        };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/health", get(|| async { "healthy" }))
            .route("/echo", post(|body: String| async { body }))
            .route("/wait", get(wait));
        let router = guard(router, &Metrics::new(|_| {}), limits);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(serve_on(listener, router, limits, async { drop(stopped.await) }));
        Self { address, client: Client::new(PATIENCE), entered, leave, stop: Some(stop), running }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    pub async fn send(&self, method: Method, path: &str, body: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let body = body.to_owned().into();
        self.client.send_raw(method, &url, Default::default(), body).await.expect("an answer")
    }

    /// Asks for `/wait` and returns when the request has got there.
    pub async fn enter(&self) -> JoinHandle<Answer> {
        let (client, url) = (self.client.clone(), format!("http://{}/wait", self.address));
        let asking = async move {
            let asking = client.send_raw(Method::GET, &url, Default::default(), Default::default());
            asking.await.expect("an answer")
        };
        let asking = tokio::spawn(asking);
        let entered = tokio::time::timeout(PATIENCE, self.entered.acquire()).await;
        entered.expect("the request gets there").unwrap().forget();
        asking
    }

    pub fn begin_to_stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).expect("the server runs");
    }

    pub async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.running).await.expect("the server ends").unwrap();
    }
}

/// What the server sends on a connection on which we send `bytes` and nothing more, until it closes.
pub async fn until_closed(address: SocketAddr, bytes: &'static [u8]) -> String {
    let talk = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // A server that has read enough closes while we still write; what it answered is read below.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        // A reset is an end too; silence for longer than our patience is a failure.
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
                panic!("not closed: {error}")
            }
            _ => String::from_utf8_lossy(&answer).into_owned(),
        }
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}
