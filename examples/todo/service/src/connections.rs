//! Connections: accepts them, keeps each within its limits, and ends them politely when the process stops.
//!
//! A client that dawdles over its request's head is cut off, so that a few machines sending a byte a minute cannot
//! hold every place; beyond `limits.connections` others wait in the kernel's queue. Who is in the middle of a request
//! when the stop comes gets its answer.
//! Start at [`serve_on`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::shutdown::Stopping;
use crate::web::Limits;

/// Longer heads are answered with 431.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// When the process has no file descriptor left, asking at once again helps nobody.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves on a socket that is already bound, until `stop` resolves and the requests in progress are done
/// (at most `limits.drain`).
pub async fn serve_on(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let router = router.layer(axum::Extension(Stopping::of(stopped.clone())));
    let mut connections = JoinSet::new();
    {
        let places = Arc::new(Semaphore::new(limits.connections));
        tokio::pin!(stop);
        loop {
            let (stream, place) = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &places) => accepted,
            };
            connections.spawn(connection(
                stream,
                router.clone(),
                limits,
                Stopping::of(stopped.clone()),
                place,
            ));
            while connections.try_join_next().is_some() {}
        }
    }
    // Whoever comes from now on is better served by another replica.
    drop(listener);
    let _ = stopping.send(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, all_done).await.is_err() {
        tracing::warn!("requests were still in progress at the deadline");
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Fails only for a semaphore that was closed, which this one never is.
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    mut stopping: Stopping,
    _place: Option<OwnedSemaphorePermit>,
) {
    // Small answers and pieces of streams leave at once.
    let _ = stream.set_nodelay(true);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = stopping.begun() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error = crate::log::chain(&error), "a connection ended early");
    }
}
