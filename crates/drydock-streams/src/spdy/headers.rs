//! Header blocks: name-value pairs, compressed by one zlib stream per direction that lives as long as the connection.
//!
//! Bounded in size before and after decompression; a block beyond the bounds ends the connection, since the shared
//! compression state is lost with it.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateError, InflateFlush, Status};

use super::dictionary::dictionary;
use super::frame::Error;

const MAX_BLOCK_BYTES: usize = 64 << 10;
const MAX_PAIRS: usize = 100;
const WINDOW_BITS: u8 = 15;
const LEVEL: i32 = 6;

/// Names are lower case. Several values of one name are separated by zero bytes, which nobody here sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(block: &[u8]) -> Result<Self, Error> {
        let mut rest = block;
        let count = take_u32(&mut rest)? as usize;
        if count > MAX_PAIRS {
            return Err(Error::Headers("too many of them"));
        }
        let mut pairs = Vec::with_capacity(count);
        for _ in 0..count {
            let name = take_text(&mut rest)?;
            if name.is_empty() {
                return Err(Error::Headers("a name is empty"));
            }
            pairs.push((name, take_text(&mut rest)?));
        }
        match rest {
            [] => Ok(Self(pairs)),
            _ => Err(Error::Headers("bytes are left behind the last one")),
        }
    }

    fn write(&self) -> Vec<u8> {
        let mut block = (self.0.len() as u32).to_be_bytes().to_vec();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        block
    }
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, Error> {
    let (number, behind) = rest.split_first_chunk::<4>().ok_or(Error::Headers("a length is cut off"))?;
    *rest = behind;
    Ok(u32::from_be_bytes(*number))
}

fn take_text(rest: &mut &[u8]) -> Result<String, Error> {
    let length = take_u32(rest)? as usize;
    let (text, behind) = rest.split_at_checked(length).ok_or(Error::Headers("a text is cut off"))?;
    *rest = behind;
    String::from_utf8(text.to_vec()).map_err(|_| Error::Headers("a text is not UTF-8"))
}

/// The receiving side's state.
pub(super) struct Inflater(Inflate);

impl Default for Inflater {
    fn default() -> Self {
        Self(Inflate::new(true, WINDOW_BITS))
    }
}

impl Inflater {
    pub fn take(&mut self, compressed: &[u8]) -> Result<Headers, Error> {
        let mut block = Vec::new();
        let mut rest = compressed;
        let mut chunk = [0; 4096];
        loop {
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let result = self.0.decompress(rest, &mut chunk, InflateFlush::SyncFlush);
            let (read, made) = (self.0.total_in() - before_in, self.0.total_out() - before_out);
            rest = rest.get(read as usize..).unwrap_or_default();
            block.extend_from_slice(chunk.get(..made as usize).unwrap_or_default());
            if block.len() > MAX_BLOCK_BYTES {
                return Err(Error::Headers("they are too long"));
            }
            match result {
                Err(InflateError::NeedDict { .. }) => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| Error::Compression)?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(Error::Compression),
                // All of it is out when the room it was given was not filled.
                Ok(_) if (made as usize) < chunk.len() && (rest.is_empty() || read == 0) => break,
                Ok(_) => {}
            }
        }
        match rest {
            [] => Headers::parse(&block),
            _ => Err(Error::Compression),
        }
    }
}

/// The sending side's state.
pub(super) struct Deflater(Deflate);

impl Default for Deflater {
    fn default() -> Self {
        let mut deflate = Deflate::new(LEVEL, true, WINDOW_BITS);
        // Refused only after data went through, which it has not.
        let _ = deflate.set_dictionary(&dictionary());
        Self(deflate)
    }
}

impl Deflater {
    pub fn write(&mut self, headers: &Headers) -> Result<Vec<u8>, Error> {
        let block = headers.write();
        let mut out = Vec::new();
        let mut rest = block.as_slice();
        let mut chunk = [0; 4096];
        loop {
            let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
            let result = self.0.compress(rest, &mut chunk, DeflateFlush::SyncFlush);
            let (read, made) = (self.0.total_in() - before_in, self.0.total_out() - before_out);
            rest = rest.get(read as usize..).unwrap_or_default();
            out.extend_from_slice(chunk.get(..made as usize).unwrap_or_default());
            result.map_err(|_| Error::Compression)?;
            if rest.is_empty() && (made as usize) < chunk.len() {
                return Ok(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_one_connection_share_their_compression() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let headers = Headers(vec![("streamtype".into(), "data".into()), ("port".into(), "80".into())]);
        let first = deflater.write(&headers).unwrap();
        let second = deflater.write(&headers).unwrap();
        assert!(second.len() < first.len(), "the second block refers to the first");
        assert_eq!(inflater.take(&first).unwrap(), headers);
        assert_eq!(inflater.take(&second).unwrap(), headers);
        let large = Headers((0..60).map(|n| (format!("n{n}"), format!("{n}").repeat(400))).collect());
        assert_eq!(inflater.take(&deflater.write(&large).unwrap()).unwrap(), large);
        assert_eq!(inflater.take(&deflater.write(&Headers::default()).unwrap()).unwrap(), Headers::default());
    }

    #[test]
    fn a_block_that_unpacks_into_too_much_is_refused() {
        let bomb = Headers(vec![("a".into(), "x".repeat(MAX_BLOCK_BYTES * 4))]);
        let packed = Deflater::default().write(&bomb).unwrap();
        assert!(packed.len() < 4096);
        assert!(matches!(Inflater::default().take(&packed), Err(Error::Headers("they are too long"))));
    }
}
