//! A WebSocket of channels, split into readers and writers. The driver must be polled beside whatever uses them.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_util::sync::{CancellationToken, PollSender};

use crate::alive::Activity;
use crate::channel::{Packet, Protocol};
use crate::spdy::Limits;

/// The longest message a client may send; kubectl's have 32 KiB.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
const MAX_PIECE_BYTES: usize = 32 << 10;
const BUFFER_BYTES: usize = 64 << 10;

/// A connection whose handshake is done already.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> WebSocketStream<S> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(BUFFER_BYTES * 4)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

/// Without a code clients report "close 1005" as an error.
pub(crate) fn goodbye() -> Message {
    Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() }))
}

/// Channels to read from and a way to write to any. When it and all writers are dropped, the connection ends cleanly.
pub(crate) struct Channels {
    protocol: Protocol,
    readers: HashMap<u8, DuplexStream>,
    messages: mpsc::Sender<Message>,
    gone: CancellationToken,
}

impl Channels {
    /// `read` are the channels whose data is wanted; that of others is thrown away.
    pub async fn new<S>(
        io: S,
        protocol: Protocol,
        read: &[u8],
        limits: Limits,
    ) -> (Self, impl Future<Output = ()> + Send + use<S>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sink, stream) = accept(io).await.split();
        let (messages, outgoing) = mpsc::channel(limits.queued_frames);
        let pipes = read.iter().map(|channel| (*channel, tokio::io::duplex(limits.buffer_bytes)));
        let (mut readers, mut writers) = (HashMap::new(), HashMap::new());
        for (channel, (reader, writer)) in pipes {
            readers.insert(channel, reader);
            writers.insert(channel, writer);
        }
        let gone = CancellationToken::new();
        let demux = Demux { protocol, writers, activity: Activity::default() };
        let driver = drive(demux, stream, sink, outgoing, limits, gone.clone());
        (Self { protocol, readers, messages, gone }, driver)
    }

    /// Each channel once.
    pub fn reader(&mut self, channel: u8) -> Option<DuplexStream> {
        self.readers.remove(&channel)
    }

    pub fn writer(&self, channel: u8) -> ChannelWriter {
        ChannelWriter { protocol: self.protocol, channel, messages: PollSender::new(self.messages.clone()) }
    }

    /// One message as it is, also an empty one.
    pub async fn send(&self, channel: u8, bytes: &[u8]) {
        // The connection's end is seen by whoever reads.
        let _ = self.messages.send(message(self.protocol, channel, bytes)).await;
    }

    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }
}

fn message(protocol: Protocol, channel: u8, bytes: &[u8]) -> Message {
    let encoded = protocol.encode(channel, bytes);
    match (protocol.base64, Utf8Bytes::try_from(encoded.clone())) {
        (true, Ok(text)) => Message::Text(text),
        _ => Message::Binary(encoded),
    }
}

/// Writes one channel's messages.
pub(crate) struct ChannelWriter {
    protocol: Protocol,
    channel: u8,
    messages: PollSender<Message>,
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let lost = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(this.messages.poll_reserve(cx)).map_err(lost)?;
        let piece = &bytes[..bytes.len().min(MAX_PIECE_BYTES)];
        this.messages.send_item(message(this.protocol, this.channel, piece)).map_err(lost)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The channels of a server are closed by the end of the connection only.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The reading side.
struct Demux {
    protocol: Protocol,
    writers: HashMap<u8, DuplexStream>,
    activity: Activity,
}

impl Demux {
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(mut self, mut stream: SplitStream<WebSocketStream<S>>) {
        while let Some(message) = stream.next().await {
            self.activity.touch();
            let bytes = match message {
                Ok(Message::Binary(bytes)) => bytes,
                Ok(Message::Text(text)) => Bytes::from(text),
                Ok(Message::Close(_)) => return,
                Ok(_) => continue,
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => return tracing::debug!(%error, "a WebSocket ended early"),
            };
            self.take(bytes).await;
        }
    }

    async fn take(&mut self, message: Bytes) {
        match self.protocol.decode(message) {
            Packet::Data(channel, bytes) => {
                let Some(writer) = self.writers.get_mut(&channel) else { return };
                // Nobody reads it any more: the rest of this channel is thrown away.
                if writer.write_all(&bytes).await.is_err() {
                    self.writers.remove(&channel);
                }
            }
            Packet::Close(channel) => drop(self.writers.remove(&channel)),
            Packet::Nothing => {}
        }
    }
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    demux: Demux,
    stream: SplitStream<WebSocketStream<S>>,
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut outgoing: mpsc::Receiver<Message>,
    limits: Limits,
    gone: CancellationToken,
) {
    let _gone = gone.drop_guard();
    let activity = demux.activity.clone();
    let reading = std::pin::pin!(demux.run(stream));
    let mut reading = reading;
    let writing = async {
        let mut heartbeat = tokio::time::interval(limits.heartbeat);
        while activity.idle() < limits.idle {
            let message = tokio::select! {
                message = outgoing.recv() => message,
                // Unasked pongs: a client that is held back because nobody reads its data hears that we are alive.
                _ = heartbeat.tick() => Some(Message::Pong(Bytes::new())),
            };
            let Some(message) = message else { break };
            if matches!(message, Message::Binary(_) | Message::Text(_)) {
                activity.touch();
            }
            sink.feed(message).await?;
            while let Ok(message) = outgoing.try_recv() {
                sink.feed(message).await?;
            }
            sink.flush().await?;
        }
        sink.send(goodbye()).await
    };
    tokio::select! {
        () = &mut reading => {}
        ended = writing => match ended {
            Ok(()) => drop(tokio::time::timeout(limits.linger, reading).await),
            Err(error) => tracing::debug!(%error, "a WebSocket could not be written"),
        },
    }
}
