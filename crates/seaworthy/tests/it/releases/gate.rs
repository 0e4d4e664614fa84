//! A gate before the API: it lets the first writes of a program through and shuts at one of them.
//!
//! What is shut answers nobody any more, so that a program that is killed meanwhile has done exactly what it had done
//! at that write. Renewals of leases are not counted: when they come is a matter of time.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Client;
use tokio::net::TcpListener;

/// More than any release of these tests.
const MAX_BODY: usize = 8 << 20;

/// Where a program is to be cut off: at its write number `write`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub write: usize,
    pub moment: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The write never arrives.
    Before,
    /// The write is done, and its program is never told.
    After,
}

#[derive(Clone)]
pub struct Gate {
    pub address: String,
    client: Client,
    watched: Arc<Mutex<Watched>>,
}

#[derive(Default)]
struct Watched {
    cut: Option<Cut>,
    writes: usize,
    shut: bool,
}

impl Gate {
    /// Open; everything goes on to the API of `client`.
    pub async fn start(client: Client) -> Gate {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let gate = Gate { address, client, watched: Arc::default() };
        let app = axum::Router::new().fallback(pass).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        gate
    }

    /// Opens the gate until the next program comes to `cut`.
    pub fn arm(&self, cut: Cut) {
        *self.watched() = Watched { cut: Some(cut), ..Watched::default() };
    }

    pub fn is_shut(&self) -> bool {
        self.watched().shut
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be done with a request.
    fn meet(&self, is_write: bool) -> Fate {
        let mut watched = self.watched();
        watched.writes += usize::from(is_write && !watched.shut);
        let is_cut = is_write && watched.cut.is_some_and(|cut| cut.write == watched.writes);
        match watched.cut.map(|cut| cut.moment) {
            _ if watched.shut => Fate::Held,
            Some(Moment::After) if is_cut => Fate::DoneAndHeld,
            Some(Moment::Before) if is_cut => {
                watched.shut = true;
                Fate::Held
            }
            _ => Fate::Passed,
        }
    }
}

enum Fate {
    Passed,
    DoneAndHeld,
    Held,
}

async fn pass(State(gate): State<Gate>, request: Request) -> Response {
    match gate.meet(is_write(&request)) {
        Fate::Passed => forward(&gate, request).await,
        Fate::DoneAndHeld => {
            forward(&gate, request).await;
            gate.watched().shut = true;
            std::future::pending().await
        }
        Fate::Held => std::future::pending().await,
    }
}

/// Whether it changes something that stays.
fn is_write(request: &Request) -> bool {
    let changes = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(request.method());
    let is_renewal = request.method() == Method::PATCH && request.uri().path().contains("/leases/");
    let is_tried = request.uri().query().unwrap_or_default().contains("dryRun=All");
    let is_asked = request.uri().path().starts_with("/apis/authorization.k8s.io/");
    changes && !is_renewal && !is_tried && !is_asked
}

async fn forward(gate: &Gate, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove("host");
    let body = to_bytes(body, MAX_BODY).await.unwrap().to_vec();
    match gate.client.send(axum::http::Request::from_parts(parts, body.into())).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
