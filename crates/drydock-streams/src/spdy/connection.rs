//! Drives one connection: reads frames into streams, writes what streams send, and watches whether anybody is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, PollSender};

use super::frame::{Decoder, Encoder, Frame};
use super::headers::Headers;
use super::mux::Limits;
use super::reset;
use super::stream::{Stream, StreamReader, StreamWriter};
use super::window::{Flow, Window};
use crate::alive::Activity;

const READ_BYTES: usize = 32 << 10;
const QUEUED_CONTROL: usize = 64;
const INITIAL_WINDOW_SIZE: u32 = 7;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The reading side's view of a stream.
struct Entry {
    /// Absent once the peer has ended its half.
    data: Option<DuplexStream>,
    window: Arc<Window>,
    reset: CancellationToken,
}

pub(super) struct Connection {
    limits: Limits,
    streams: HashMap<u32, Entry>,
    last_stream: u32,
    flow: Arc<Flow>,
    found: mpsc::Sender<Stream>,
    frames: mpsc::WeakSender<Frame>,
    gone: CancellationToken,
    activity: Activity,
}

impl Connection {
    pub fn new(
        limits: Limits,
        found: mpsc::Sender<Stream>,
        frames: mpsc::WeakSender<Frame>,
        gone: CancellationToken,
    ) -> Self {
        Self {
            limits,
            streams: HashMap::new(),
            last_stream: 0,
            flow: Arc::default(),
            found,
            frames,
            gone,
            activity: Activity::default(),
        }
    }

    pub async fn drive<I>(self, io: I, outgoing: mpsc::Receiver<Frame>)
    where
        I: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, write) = tokio::io::split(io);
        let (control, answers) = mpsc::channel(QUEUED_CONTROL);
        let (activity, limits, gone) = (self.activity.clone(), self.limits.clone(), self.gone.clone());
        let _gone = gone.drop_guard();
        let heartbeat = heartbeat(control.clone(), activity.clone(), limits.heartbeat, limits.idle);
        let reading = std::pin::pin!(self.read(read, control));
        let writing = std::pin::pin!(write_frames(write, outgoing, answers, activity));
        let heartbeat = std::pin::pin!(heartbeat);
        let mut reading = reading;
        tokio::select! {
            ended = &mut reading => note(ended),
            ended = writing => {
                note(ended);
                // All is said; the peer hangs up when it has read it.
                let _ = tokio::time::timeout(limits.linger, reading).await;
            }
            () = heartbeat => {}
        }
    }

    /// Ends with the connection, or with an error when the peer breaks the protocol.
    async fn read(
        mut self,
        mut from: impl AsyncRead + Unpin,
        control: mpsc::Sender<Frame>,
    ) -> Result<(), Fault> {
        let mut decoder = Decoder::default();
        loop {
            while let Some(frame) = decoder.next_frame()? {
                self.take(frame, &control).await;
            }
            decoder.buffer().reserve(READ_BYTES);
            if from.read_buf(decoder.buffer()).await? == 0 {
                return Ok(());
            }
            self.activity.touch();
        }
    }

    async fn take(&mut self, frame: Frame, control: &mpsc::Sender<Frame>) {
        // Never waits for the writing side: a peer that does not read would block itself.
        let say = |frame| drop(control.try_send(frame));
        match frame {
            Frame::SynStream { stream, fin, headers, .. } => {
                if let Err(status) = self.open(stream, fin, headers).await {
                    say(Frame::Reset { stream, status });
                }
            }
            Frame::Data { stream, fin, bytes } => {
                if !self.streams.contains_key(&stream) && stream > self.last_stream {
                    say(Frame::Reset { stream, status: reset::INVALID_STREAM });
                }
                self.data(stream, fin, &bytes).await;
            }
            Frame::Reset { stream, .. } => {
                if let Some(entry) = self.streams.remove(&stream) {
                    entry.reset.cancel();
                    // Whoever waits for room waits no more.
                    entry.window.add(0);
                }
            }
            // The peer's own pings have odd numbers; the others answer ours.
            Frame::Ping(id) if id % 2 == 1 => say(Frame::Ping(id)),
            Frame::Settings(entries) => self.settings(&entries),
            Frame::WindowUpdate { stream, delta } => {
                self.flow.bind();
                let overflows =
                    self.streams.get(&stream).is_some_and(|entry| !entry.window.add(delta.into()));
                if overflows {
                    say(Frame::Reset { stream, status: reset::FLOW_CONTROL_ERROR });
                }
            }
            Frame::Ping(_) | Frame::GoAway { .. } | Frame::SynReply { .. } | Frame::Headers { .. } => {}
        }
    }

    /// A new stream, or why there is none.
    async fn open(&mut self, stream: u32, fin: bool, headers: Headers) -> Result<(), u32> {
        if stream.is_multiple_of(2) || stream <= self.last_stream {
            return Err(reset::PROTOCOL_ERROR);
        }
        self.last_stream = stream;
        self.streams.retain(|_, entry| !entry.is_over());
        if self.streams.len() >= self.limits.max_streams {
            return Err(reset::REFUSED_STREAM);
        }
        let frames = self.frames.upgrade().ok_or(reset::REFUSED_STREAM)?;
        let (inner, data) = tokio::io::duplex(self.limits.buffer_bytes);
        let window = Arc::new(Window::new(self.flow.clone()));
        let reset = CancellationToken::new();
        let entry = Entry { data: Some(data).filter(|_| !fin), window: window.clone(), reset: reset.clone() };
        self.streams.insert(stream, entry);
        let made = Stream {
            id: stream,
            headers,
            reader: StreamReader { id: stream, inner, consumed: 0, frames: frames.clone() },
            writer: StreamWriter {
                id: stream,
                frames: PollSender::new(frames.clone()),
                window,
                reset,
                finished: false,
            },
            frames,
        };
        self.found.send(made).await.map_err(|_| reset::REFUSED_STREAM)
    }

    async fn data(&mut self, stream: u32, fin: bool, bytes: &[u8]) {
        let Some(entry) = self.streams.get_mut(&stream) else { return };
        let Some(data) = &mut entry.data else { return };
        // A reader that was dropped wants no more; the rest of the stream is thrown away.
        if data.write_all(bytes).await.is_err() || fin {
            let _ = data.shutdown().await;
            entry.data = None;
        }
    }

    fn settings(&mut self, entries: &[(u32, u32)]) {
        for (_, value) in entries.iter().filter(|(id, _)| *id == INITIAL_WINDOW_SIZE) {
            self.flow.bind();
            let difference = self.flow.set_initial(i64::from(*value).min(super::window::MAX_BYTES));
            for entry in self.streams.values() {
                // A window that overflows by this is found out by the next update.
                let _ = entry.window.add(difference);
            }
        }
    }
}

impl Entry {
    /// Both halves are done: the peer's is, and nobody of ours holds the window any more.
    fn is_over(&self) -> bool {
        self.data.is_none() && Arc::strong_count(&self.window) == 1
    }
}

fn note(ended: Result<(), Fault>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a SPDY connection ended early");
    }
}

/// Writes until every sender is gone, then takes leave.
async fn write_frames(
    mut to: impl AsyncWrite + Unpin,
    mut frames: mpsc::Receiver<Frame>,
    mut control: mpsc::Receiver<Frame>,
    activity: Activity,
) -> Result<(), Fault> {
    let mut encoder = Encoder::default();
    let mut out = BytesMut::with_capacity(READ_BYTES);
    loop {
        let frame = tokio::select! {
            biased;
            Some(frame) = control.recv() => frame,
            frame = frames.recv() => match frame {
                Some(frame) => {
                    activity.touch();
                    frame
                }
                None => break,
            },
        };
        encoder.encode(&frame, &mut out)?;
        // More that is waiting goes out in the same write.
        while out.len() < READ_BYTES {
            let Ok(frame) = frames.try_recv() else { break };
            encoder.encode(&frame, &mut out)?;
        }
        to.write_all_buf(&mut out).await?;
        to.flush().await?;
    }
    encoder.encode(&Frame::GoAway { last_good: 0, status: 0 }, &mut out)?;
    to.write_all_buf(&mut out).await?;
    Ok(to.shutdown().await?)
}

/// Asks for a sign of life now and then: a peer that vanished is noticed by the write that fails. Ends when the
/// connection has been idle for too long.
async fn heartbeat(control: mpsc::Sender<Frame>, activity: Activity, period: Duration, idle: Duration) {
    let mut id = 0u32;
    while activity.idle() < idle {
        tokio::time::sleep(period).await;
        id = id.wrapping_add(2);
        let _ = control.try_send(Frame::Ping(id));
    }
}
