//! Frames: bytes in, frames out, and back. No I/O.
//!
//! Data is handed on in the pieces it arrives in, so that no frame is too long to be received; control frames are
//! bounded by [`MAX_CONTROL_BYTES`]. Start at [`Decoder`] and [`Encoder`]; [`decode`] is the door for fuzzers.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::headers::{Deflater, Headers, Inflater};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;
const CONTROL: u32 = 1 << 31;
const FIN: u8 = 1;
const UNIDIRECTIONAL: u8 = 2;
/// A control frame longer than this ends the connection.
pub const MAX_CONTROL_BYTES: usize = 64 << 10;
/// The longest payload the length field can name.
pub const MAX_DATA_BYTES: usize = (1 << 24) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("a control frame of {0} bytes is longer than the {MAX_CONTROL_BYTES} allowed")]
    TooLong(usize),
    #[error("a control frame is shorter than its kind needs")]
    TooShort,
    #[error("a frame of version {0} came, where version {VERSION} is spoken")]
    Version(u16),
    #[error("the headers are not understood: {0}")]
    Headers(&'static str),
    #[error("the compressed headers cannot be unpacked")]
    Compression,
}

/// One message of the protocol. A stream's number is never above 2^31-1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    SynStream {
        stream: u32,
        fin: bool,
        unidirectional: bool,
        headers: Headers,
    },
    SynReply {
        stream: u32,
        fin: bool,
        headers: Headers,
    },
    Reset {
        stream: u32,
        status: u32,
    },
    /// Identifiers and values.
    Settings(Vec<(u32, u32)>),
    Ping(u32),
    GoAway {
        last_good: u32,
        status: u32,
    },
    Headers {
        stream: u32,
        fin: bool,
        headers: Headers,
    },
    WindowUpdate {
        stream: u32,
        delta: u32,
    },
    Data {
        stream: u32,
        fin: bool,
        bytes: Bytes,
    },
}

/// Makes frames of bytes that come in any pieces. After an error nothing more can be decoded.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
    data: Option<Payload>,
    headers: Inflater,
}

/// What is still to come of a data frame.
struct Payload {
    stream: u32,
    fin: bool,
    left: usize,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where to read into. Bounded by whoever reads: [`Decoder::next_frame`] empties it down to less than one control frame.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole frame or piece of data; `None` when more bytes are needed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if self.data.is_some() {
                return Ok(self.next_data());
            }
            let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
            let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
            let flags = head[4];
            if first & CONTROL == 0 {
                self.buffer.advance(HEAD_BYTES);
                self.data = Some(Payload { stream: first, fin: flags & FIN != 0, left: length });
                continue;
            }
            if length > MAX_CONTROL_BYTES {
                return Err(Error::TooLong(length));
            }
            if self.buffer.len() < HEAD_BYTES + length {
                return Ok(None);
            }
            let (version, kind) = ((first >> 16) as u16 & 0x7fff, first as u16);
            if version != VERSION {
                return Err(Error::Version(version));
            }
            self.buffer.advance(HEAD_BYTES);
            let body = self.buffer.split_to(length).freeze();
            if let Some(frame) = self.control(kind, flags, body)? {
                return Ok(Some(frame));
            }
        }
    }

    fn next_data(&mut self) -> Option<Frame> {
        let payload = self.data.as_mut()?;
        if payload.left > 0 && self.buffer.is_empty() {
            return None;
        }
        let bytes = self.buffer.split_to(payload.left.min(self.buffer.len())).freeze();
        payload.left -= bytes.len();
        let (stream, last) = (payload.stream, payload.left == 0);
        let fin = payload.fin && last;
        if last {
            self.data = None;
        }
        Some(Frame::Data { stream, fin, bytes })
    }

    /// `None` for kinds nobody has to understand.
    fn control(&mut self, kind: u16, flags: u8, mut body: Bytes) -> Result<Option<Frame>, Error> {
        let fin = flags & FIN != 0;
        let frame = match kind {
            1 => {
                let stream = take(&mut body)? & !CONTROL;
                // The associated stream, a priority and a slot.
                body.try_get_u32().and_then(|_| body.try_get_u16()).map_err(|_| Error::TooShort)?;
                let headers = self.headers.take(&body)?;
                Frame::SynStream { stream, fin, unidirectional: flags & UNIDIRECTIONAL != 0, headers }
            }
            2 => {
                let stream = take(&mut body)? & !CONTROL;
                Frame::SynReply { stream, fin, headers: self.headers.take(&body)? }
            }
            3 => Frame::Reset { stream: take(&mut body)? & !CONTROL, status: take(&mut body)? },
            4 => Frame::Settings(settings(body)?),
            6 => Frame::Ping(take(&mut body)?),
            7 => Frame::GoAway { last_good: take(&mut body)? & !CONTROL, status: take(&mut body)? },
            8 => {
                let stream = take(&mut body)? & !CONTROL;
                Frame::Headers { stream, fin, headers: self.headers.take(&body)? }
            }
            9 => Frame::WindowUpdate {
                stream: take(&mut body)? & !CONTROL,
                delta: take(&mut body)? & !CONTROL,
            },
            _ => return Ok(None),
        };
        Ok(Some(frame))
    }
}

fn take(body: &mut Bytes) -> Result<u32, Error> {
    body.try_get_u32().map_err(|_| Error::TooShort)
}

fn settings(mut body: Bytes) -> Result<Vec<(u32, u32)>, Error> {
    let count = take(&mut body)? as usize;
    if body.len() != count.saturating_mul(8) {
        return Err(Error::TooShort);
    }
    // The upper byte of an identifier holds flags.
    let entry = |entry: &[u8]| {
        let word = |at: usize| u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        (word(0) & 0x00ff_ffff, word(4))
    };
    Ok(body.chunks_exact(8).map(entry).collect())
}

/// Makes bytes of frames. Frames with headers must be sent in the order in which they were encoded.
#[derive(Default)]
pub struct Encoder {
    headers: Deflater,
}

impl Encoder {
    pub fn encode(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), Error> {
        let fin = |fin: &bool| if *fin { FIN } else { 0 };
        match frame {
            Frame::Data { stream, fin: last, bytes } => {
                out.put_u32(stream & !CONTROL);
                out.put_u32(u32::from(fin(last)) << 24 | (bytes.len().min(MAX_DATA_BYTES)) as u32);
                out.put_slice(&bytes[..bytes.len().min(MAX_DATA_BYTES)]);
            }
            Frame::SynStream { stream, fin: last, unidirectional, headers } => {
                let block = self.headers.write(headers)?;
                let flags = fin(last) | if *unidirectional { UNIDIRECTIONAL } else { 0 };
                control(out, 1, flags, &[*stream, 0], &[&[0, 0], block.as_slice()].concat())?;
            }
            Frame::SynReply { stream, fin: last, headers } => {
                control(out, 2, fin(last), &[*stream], &self.headers.write(headers)?)?;
            }
            Frame::Reset { stream, status } => control(out, 3, 0, &[*stream, *status], &[])?,
            Frame::Settings(entries) => {
                let words: Vec<u32> = std::iter::once(entries.len() as u32)
                    .chain(entries.iter().flat_map(|(id, value)| [id & 0x00ff_ffff, *value]))
                    .collect();
                control(out, 4, 0, &words, &[])?;
            }
            Frame::Ping(id) => control(out, 6, 0, &[*id], &[])?,
            Frame::GoAway { last_good, status } => control(out, 7, 0, &[*last_good, *status], &[])?,
            Frame::Headers { stream, fin: last, headers } => {
                control(out, 8, fin(last), &[*stream], &self.headers.write(headers)?)?;
            }
            Frame::WindowUpdate { stream, delta } => control(out, 9, 0, &[*stream, *delta], &[])?,
        }
        Ok(())
    }
}

fn control(out: &mut BytesMut, kind: u16, flags: u8, words: &[u32], rest: &[u8]) -> Result<(), Error> {
    let length = words.len() * 4 + rest.len();
    if length > MAX_CONTROL_BYTES {
        return Err(Error::TooLong(length));
    }
    out.put_u16(VERSION | 0x8000);
    out.put_u16(kind);
    out.put_u32(u32::from(flags) << 24 | length as u32);
    words.iter().for_each(|word| out.put_u32(*word));
    out.put_slice(rest);
    Ok(())
}

/// Decodes a whole recording; what a fuzzer calls.
pub fn decode(bytes: &[u8]) -> Result<Vec<Frame>, Error> {
    let mut decoder = Decoder::default();
    decoder.push(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

#[cfg(test)]
mod tests;
