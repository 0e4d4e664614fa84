//! A client of SPDY that does what the test says, frame by frame, and one of WebSocket channels.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use drydock_streams::spdy::{Decoder, Encoder, Frame, Headers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

pub struct Peer {
    io: DuplexStream,
    encoder: Encoder,
    decoder: Decoder,
    /// What came for each stream, whether it has ended, and whether it was reset.
    pub data: HashMap<u32, Vec<u8>>,
    pub ended: Vec<u32>,
    pub reset: Vec<u32>,
    pub replied: Vec<u32>,
    pub others: Vec<Frame>,
    pub over: bool,
}

impl Peer {
    pub fn new(io: DuplexStream) -> Self {
        Self {
            io,
            encoder: Encoder::default(),
            decoder: Decoder::default(),
            data: HashMap::new(),
            ended: Vec::new(),
            reset: Vec::new(),
            replied: Vec::new(),
            others: Vec::new(),
            over: false,
        }
    }

    pub async fn send(&mut self, frame: Frame) {
        let mut out = BytesMut::new();
        self.encoder.encode(&frame, &mut out).unwrap();
        self.io.write_all(&out).await.unwrap();
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Opens a stream and waits for the answer.
    pub async fn open(&mut self, stream: u32, headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        let frame = Frame::SynStream { stream, fin: false, unidirectional: false, headers: Headers(headers) };
        self.send(frame).await;
        self.until(|peer| peer.replied.contains(&stream) || peer.reset.contains(&stream)).await;
    }

    pub async fn data(&mut self, stream: u32, bytes: &'static [u8], fin: bool) {
        self.send(Frame::Data { stream, fin, bytes: Bytes::from_static(bytes) }).await;
    }

    pub fn text(&self, stream: u32) -> String {
        String::from_utf8_lossy(self.data.get(&stream).map_or(&[], Vec::as_slice)).into_owned()
    }

    /// Reads until it is as wanted or the connection is over.
    pub async fn until(&mut self, wanted: impl Fn(&Self) -> bool) {
        while !wanted(self) && !self.over {
            self.over = self.io.read_buf(self.decoder.buffer()).await.unwrap() == 0;
            while let Some(frame) = self.decoder.next_frame().unwrap() {
                self.take(frame);
            }
        }
    }

    pub async fn until_over(&mut self) {
        self.until(|_| false).await;
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Data { stream, fin, bytes } => {
                self.data.entry(stream).or_default().extend_from_slice(&bytes);
                if fin {
                    self.ended.push(stream);
                }
            }
            Frame::SynReply { stream, .. } => self.replied.push(stream),
            Frame::Reset { stream, .. } => self.reset.push(stream),
            other => self.others.push(other),
        }
    }
}
