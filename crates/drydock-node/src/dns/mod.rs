//! The cluster's DNS: answers pods' questions on `10.96.0.10:53`.
//!
//! The sockets live in the node's network, the answers come from the daemon's memory. Names of the cluster
//! never wait for anything; only names outside it are forwarded to the host's resolvers.
//!
//! Start at [`serve`]; what is answered is [`zone::Zone::answer`], which is pure.

pub mod forward;
pub mod wire;
pub mod zone;

use std::net::SocketAddrV4;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{self, NodeClient};
use crate::mirror::Mirror;
use forward::Upstream;
use wire::{Query, Rcode, Response};
use zone::{Outcome, Zone};

/// Connections at once, and how long one may be silent.
const TCP_MAX: usize = 128;
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Pause after a failed read or accept, so that a persistent failure does not spin.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for DNS on `{addr}`")]
    Bind {
        addr: SocketAddrV4,
        #[source]
        source: client::Error,
    },
}

/// The zone at this moment, replaced as a whole.
type Current = Arc<RwLock<Arc<Zone>>>;

struct Server {
    zone: Current,
    upstream: Upstream,
}

/// Binds the sockets, then answers on `tasks` until `stop`.
pub async fn serve(
    node: &NodeClient,
    addr: SocketAddrV4,
    domain: String,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let failed = |source| Error::Bind { addr, source };
    let udp = node.bind_udp(addr).await.map_err(failed)?;
    let tcp = node.bind_tcp(addr).await.map_err(failed)?;
    serve_on(udp, tcp, Upstream::of_host(), domain, services, slices, tasks, stop);
    Ok(())
}

#[allow(clippy::too_many_arguments)] // wiring, called once
fn serve_on(
    udp: UdpSocket,
    tcp: TcpListener,
    upstream: Upstream,
    domain: String,
    services: Mirror<Service>,
    slices: Mirror<EndpointSlice>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let empty = Zone::build(&domain, 0, [], []);
    let zone: Current = Arc::new(RwLock::new(Arc::new(empty)));
    let server = Arc::new(Server { zone: zone.clone(), upstream });

    let token = stop.clone();
    tasks.spawn(async move { token.run_until_cancelled(follow(zone, domain, services, slices)).await });
    let (token, shared) = (stop.clone(), server.clone());
    tasks.spawn(async move { token.run_until_cancelled(answer_udp(shared, udp)).await });
    let token = stop.clone();
    tasks.spawn(async move { token.run_until_cancelled(answer_tcp(server, tcp)).await });
}

/// Rebuilds the zone after each change.
async fn follow(
    zone: Current,
    domain: String,
    mut services: Mirror<Service>,
    mut slices: Mirror<EndpointSlice>,
) {
    let mut serial = 0;
    loop {
        serial += 1;
        let (all_services, all_slices) = (services.all(), slices.all());
        let built =
            Zone::build(&domain, serial, all_services.iter().map(|s| &**s), all_slices.iter().map(|s| &**s));
        *zone.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(built);
        let alive = tokio::select! {
            alive = services.changed() => alive,
            alive = slices.changed() => alive,
        };
        if !alive {
            return;
        }
    }
}

async fn answer_udp(server: Arc<Server>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match server.answer_now(&buffer[..length], false) {
            Reply::Nothing => {}
            Reply::Now(bytes) => drop(socket.send_to(&bytes, client).await),
            Reply::Later(question) => {
                // Bounded by the upstream's own slots: beyond them each task ends at once with SERVFAIL.
                let (server, socket) = (server.clone(), socket.clone());
                tokio::spawn(async move {
                    let bytes = server.answer_later(*question, false).await;
                    drop(socket.send_to(&bytes, client).await);
                });
            }
        }
    }
}

async fn answer_tcp(server: Arc<Server>, listener: TcpListener) {
    let slots = Arc::new(Semaphore::new(TCP_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let server = server.clone();
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = answer_connection(&server, stream).await {
                tracing::trace!(%error, "a DNS connection ended");
            }
        });
    }
}

async fn answer_connection(server: &Server, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let message = async {
            let length = stream.read_u16().await?;
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await?;
            std::io::Result::Ok(message)
        };
        let message = tokio::time::timeout(TCP_IDLE, message).await.map_err(std::io::Error::other)??;
        let answer = match server.answer_now(&message, true) {
            Reply::Nothing => return Ok(()),
            Reply::Now(bytes) => bytes,
            Reply::Later(question) => server.answer_later(*question, true).await,
        };
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        tokio::time::timeout(TCP_IDLE, stream.write_all(&framed)).await.map_err(std::io::Error::other)??;
    }
}

enum Reply {
    /// Not a query: silence, or two servers could answer each other for ever.
    Nothing,
    Now(Vec<u8>),
    Later(Box<Question>),
}

/// A question for the upstream, with what is already known of its answer.
struct Question {
    query: Query,
    raw: Vec<u8>,
    follow: Option<(Vec<wire::Record>, wire::Name)>,
}

impl Server {
    fn answer_now(&self, message: &[u8], over_tcp: bool) -> Reply {
        let query = match wire::parse_query(message) {
            Ok(query) => query,
            Err(_) => match wire::header_of(message) {
                Some(header) => return Reply::Now(Response::code(Rcode::FormErr).encode(&header, 512)),
                None => return Reply::Nothing,
            },
        };
        let limit = limit(&query, over_tcp);
        if query.opcode != 0 {
            return Reply::Now(Response::code(Rcode::NotImp).encode(&query, limit));
        }
        let zone = self.zone.read().unwrap_or_else(PoisonError::into_inner).clone();
        let follow = match zone.answer(&query) {
            Outcome::Answer(response) => return Reply::Now(response.encode(&query, limit)),
            Outcome::Forward => None,
            Outcome::Follow { answers, target } => Some((answers, target)),
        };
        Reply::Later(Box::new(Question { query, raw: message.to_vec(), follow }))
    }

    async fn answer_later(&self, question: Question, over_tcp: bool) -> Vec<u8> {
        let Question { query, raw, follow } = question;
        let limit = limit(&query, over_tcp);
        let asked = match &follow {
            None => self.upstream.ask(&raw, over_tcp).await,
            Some((_, target)) => {
                self.upstream.ask(&Query::encode(query.id, target, query.qtype), over_tcp).await
            }
        };
        let answer = match asked {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(name = %query.name, %error, "a name outside the cluster could not be resolved");
                return Response::code(Rcode::ServFail).encode(&query, limit);
            }
        };
        let Some((mut answers, _)) = follow else { return answer };
        answers.extend(wire::parse_answers(&answer).unwrap_or_default());
        Response { answers, ..Response::code(Rcode::NoError) }.encode(&query, limit)
    }
}

fn limit(query: &Query, over_tcp: bool) -> usize {
    if over_tcp { usize::from(u16::MAX) } else { query.udp_limit() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server {
            zone: Arc::new(RwLock::new(Arc::new(Zone::build("cluster.local", 1, [], [])))),
            upstream: Upstream::new(vec![]),
        }
    }

    #[track_caller]
    fn check(message: &[u8], expect: Option<Rcode>) {
        let code = match server().answer_now(message, false) {
            Reply::Now(bytes) => Some(bytes[3] & 0xf),
            Reply::Nothing | Reply::Later(_) => None,
        };
        assert_eq!(code, expect.map(|c| c as u8));
    }

    #[test]
    fn a_broken_question_is_a_format_error() {
        check(&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63], Some(Rcode::FormErr));
    }
    #[test]
    fn an_answer_is_never_answered() {
        check(&[0, 1, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1], None);
    }
    #[test]
    fn an_unknown_operation_is_refused_by_name() {
        check(&[0, 1, 0x28, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1], Some(Rcode::NotImp));
    }

    #[tokio::test]
    async fn without_resolvers_outside_names_fail_at_once() {
        let raw = Query::encode(1, &wire::Name::parse("example.com"), wire::TYPE_A);
        let Reply::Later(question) = server().answer_now(&raw, false) else { panic!("answered from memory") };
        let answer = server().answer_later(*question, false).await;
        assert_eq!(answer[3] & 0xf, Rcode::ServFail as u8);
    }
}
