//! Port-forward: connections into a pod, each with a stream for data and one for the sentence that says why it failed.
//!
//! Over SPDY the client opens a pair of streams per connection, tied by the header `requestID`; over WebSocket channels
//! there are two channels per port of the query, and one connection each. Start at [`serve`].

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::channel::Protocol;
use crate::spdy::{Limits, Mux, Stream, reset};
use crate::tunnel::Tunnel;
use crate::websocket::Channels;
use crate::{Duplex, Transport};

/// How long the second stream of a pair may take.
const CREATION: Duration = Duration::from_secs(30);
/// How long a client may still send to a pod that has closed its own half.
const HALF_OPEN: Duration = Duration::from_secs(1);
const PIECE_BYTES: usize = 32 << 10;
/// More ports in one query are a mistake; each takes two of the 256 channels.
pub const MAX_PORTS: usize = 100;

/// Connects to a port of the pod.
pub type Connect = Arc<dyn Fn(u16) -> BoxFuture<'static, Result<Box<dyn Duplex>, String>> + Send + Sync>;

/// The pod as error messages name it.
#[derive(Debug, Clone)]
pub struct About {
    pub pod: String,
    pub uid: String,
}

impl About {
    fn failed(&self, port: u16, why: &str) -> String {
        format!("error forwarding port {port} to pod {}, uid {}: {why}", self.pod, self.uid)
    }
}

/// Serves one upgraded connection to its end. `ports` counts for WebSocket channels only.
pub async fn serve<S>(
    io: S,
    transport: Transport,
    ports: Vec<u16>,
    about: About,
    limits: Limits,
    connect: Connect,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match transport {
        Transport::Channels(protocol) => channels(io, protocol, ports, about, limits, connect).await,
        Transport::Spdy(_) => streams(io, about, limits, connect).await,
        Transport::Tunnel(_) => streams(Tunnel::new(io).await, about, limits, connect).await,
    }
}

/// Half of a pair.
struct Waiting {
    data: Option<Stream>,
    error: Option<Stream>,
    since: Instant,
}

async fn streams<S>(io: S, about: About, limits: Limits, connect: Connect)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut mux, driver) = Mux::new(io, limits);
    let gone = mux.gone();
    let work = async move {
        let mut connections = JoinSet::new();
        let mut waiting: HashMap<String, Waiting> = HashMap::new();
        loop {
            let stream = tokio::select! {
                stream = mux.next() => stream,
                Some(_) = connections.join_next() => continue,
                () = tokio::time::sleep(CREATION), if !waiting.is_empty() => {
                    give_up(&mut waiting).await;
                    continue;
                }
            };
            let Some(stream) = stream else { break };
            if let Some((data, error, port)) = pair(stream, &mut waiting).await {
                connections.spawn(connection(data, error, port, about.clone(), connect.clone()));
            }
        }
        connections.shutdown().await;
    };
    let work = async {
        tokio::select! { () = work => {}, () = gone.cancelled() => {} }
    };
    tokio::join!(driver, work);
}

async fn give_up(waiting: &mut HashMap<String, Waiting>) {
    let late: Vec<String> = waiting
        .iter()
        .filter(|(_, one)| one.since.elapsed() >= CREATION)
        .map(|(request, _)| request.clone())
        .collect();
    for request in late {
        let Some(Waiting { data, error, .. }) = waiting.remove(&request) else { continue };
        if let Some(mut error) = error {
            let _ = error.writer.write_all(b"timed out waiting for streams").await;
            let _ = error.writer.shutdown().await;
        }
        if let Some(data) = data {
            data.reset(reset::CANCEL).await;
        }
    }
}

/// Puts a new stream to its other half; both and the port once they are together.
async fn pair(stream: Stream, waiting: &mut HashMap<String, Waiting>) -> Option<(Stream, Stream, u16)> {
    let port = stream.headers.get("port").and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0);
    let kind = stream.headers.get("streamtype").map(str::to_owned);
    let (Some(port), Some("data" | "error")) = (port, kind.as_deref()) else {
        stream.reset(reset::REFUSED_STREAM).await;
        return None;
    };
    let is_data = kind.as_deref() == Some("data");
    // Very old clients number nothing; their streams come in pairs, the one for errors first.
    let implied = if is_data { stream.id.saturating_sub(2) } else { stream.id };
    let request = stream.headers.get("requestid").map_or_else(|| format!("#{implied}"), str::to_owned);
    let known = waiting.entry(request.clone()).or_insert_with(|| Waiting {
        data: None,
        error: None,
        since: Instant::now(),
    });
    let place = if is_data { &mut known.data } else { &mut known.error };
    if place.is_some() {
        stream.reset(reset::REFUSED_STREAM).await;
        return None;
    }
    stream.accept().await;
    *place = Some(stream);
    let known = match waiting.remove(&request)? {
        Waiting { data: Some(data), error: Some(error), .. } => return Some((data, error, port)),
        half => half,
    };
    waiting.insert(request, known);
    None
}

async fn connection(mut data: Stream, mut error: Stream, port: u16, about: About, connect: Connect) {
    match connect(port).await {
        Ok(mut pod) => {
            // That a connection broke is no news to those who use it, and kubectl would end all others with it.
            if let Err(error) = exchange(&mut data.reader, &mut data.writer, &mut pod).await {
                tracing::debug!(%error, port, "a forwarded connection broke");
                data.reset(reset::CANCEL).await;
            }
        }
        Err(why) => {
            data.reset(reset::CANCEL).await;
            let _ = error.writer.write_all(about.failed(port, &why).as_bytes()).await;
        }
    }
    let _ = error.writer.shutdown().await;
}

/// Both directions until the pod has hung up; the end of one is passed on at once. kubectl keeps its side open until it
/// is told that the pod's is closed, so that is not waited for longer than [`HALF_OPEN`].
async fn exchange(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    connection: &mut Box<dyn Duplex>,
) -> io::Result<()> {
    let (mut from_pod, mut to_pod) = tokio::io::split(connection);
    let out = async {
        copy(reader, &mut to_pod).await?;
        // A server that has hung up already needs no end of input.
        let _ = to_pod.shutdown().await;
        Ok::<_, io::Error>(())
    };
    let back = async {
        copy(&mut from_pod, writer).await?;
        let _ = writer.shutdown().await;
        Ok::<_, io::Error>(())
    };
    let (mut out, mut back) = (std::pin::pin!(out), std::pin::pin!(back));
    tokio::select! {
        ended = &mut back => {
            ended?;
            tokio::time::timeout(HALF_OPEN, out).await.unwrap_or(Ok(()))
        }
        ended = &mut out => {
            ended?;
            back.await
        }
    }
}

async fn copy(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        match to.write_all(&piece[..length]).await {
            // The other side wants no more, which its own half of the exchange tells.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}

async fn channels<S>(
    io: S,
    protocol: Protocol,
    ports: Vec<u16>,
    about: About,
    limits: Limits,
    connect: Connect,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let numbers: Vec<u8> = (0..ports.len().min(MAX_PORTS)).map(|index| index as u8 * 2).collect();
    let (mut all, driver) = Channels::new(io, protocol, &numbers, limits).await;
    let gone = all.gone();
    let work = async move {
        let mut connections = JoinSet::new();
        for (number, port) in numbers.into_iter().zip(ports) {
            // Each channel begins with its port, so that the client can tell them apart.
            all.send(number, &port.to_le_bytes()).await;
            all.send(number + 1, &port.to_le_bytes()).await;
            let Some(mut reader) = all.reader(number) else { continue };
            let (mut data, mut error) = (all.writer(number), all.writer(number + 1));
            let (about, connect) = (about.clone(), connect.clone());
            connections.spawn(async move {
                let result = match connect(port).await {
                    Ok(mut pod) => {
                        // A channel has no end of its own: the pod's hanging up ends it.
                        let (mut from_pod, mut to_pod) = tokio::io::split(&mut pod);
                        tokio::select! {
                            ended = copy(&mut from_pod, &mut data) => ended.map_err(|error| error.to_string()),
                            ended = async {
                                copy(&mut reader, &mut to_pod).await?;
                                std::future::pending::<io::Result<()>>().await
                            } => ended.map_err(|error| error.to_string()),
                        }
                    }
                    Err(why) => Err(why),
                };
                if let Err(why) = result {
                    let _ = error.write_all(about.failed(port, &why).as_bytes()).await;
                }
            });
        }
        while connections.join_next().await.is_some() {}
    };
    let work = async {
        tokio::select! { () = work => {}, () = gone.cancelled() => {} }
    };
    tokio::join!(driver, work);
}
