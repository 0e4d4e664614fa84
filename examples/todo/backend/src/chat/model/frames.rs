//! Cuts a streamed answer into its pieces, however the network cut it. Pure.
//!
//! Events (`data: {...}`, as OpenAI and Gemini send them), lines of JSON (as Ollama does), or one JSON value: the content
//! type tells. Nothing is kept beyond [`ANSWER_MAX`].

use serde_json::Value;

use super::super::provider::Error;

/// Of one answer, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// What some services send last.
const DONE: &[u8] = b"[DONE]";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Events,
    Lines,
    Whole,
}

#[derive(Debug, PartialEq)]
pub enum Frame {
    Piece(Value),
    Done,
}

pub struct Frames {
    shape: Shape,
    length: usize,
    /// The line, or the whole, that has not ended yet.
    rest: Vec<u8>,
    /// The lines of the event that has not ended yet.
    data: Vec<u8>,
}

impl Frames {
    pub fn of(content_type: &str) -> Self {
        let shape = match content_type.split(';').next().unwrap_or_default().trim() {
            "text/event-stream" => Shape::Events,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Shape::Lines,
            _ => Shape::Whole,
        };
        Self { shape, length: 0, rest: Vec::new(), data: Vec::new() }
    }

    /// Whether the end of the bytes is the end of the answer: a stream says by itself where it ends.
    pub fn ends_with_the_bytes(&self) -> bool {
        self.shape == Shape::Whole
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, Error> {
        self.length += bytes.len();
        if self.length > ANSWER_MAX {
            return Err(Error::Nonsense("too long"));
        }
        self.rest.extend_from_slice(bytes);
        let mut frames = Vec::new();
        if self.shape == Shape::Whole {
            return Ok(frames);
        }
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = line.trim_ascii_end();
            match self.shape {
                Shape::Events => frames.extend(self.event_line(line)?),
                _ => frames.extend(frame(line)?),
            }
        }
        Ok(frames)
    }

    /// What was not ended by a line break.
    pub fn end(mut self) -> Result<Vec<Frame>, Error> {
        let rest = std::mem::take(&mut self.rest);
        match self.shape {
            Shape::Whole => {
                let values = serde_json::Deserializer::from_slice(&rest).into_iter::<Value>();
                values.map(|value| value.map(Frame::Piece).map_err(|_| Error::Nonsense("not JSON"))).collect()
            }
            Shape::Lines => Ok(frame(&rest)?.into_iter().collect()),
            Shape::Events => {
                self.event_line(rest.trim_ascii_end())?;
                Ok(self.event_line(b"")?.into_iter().collect())
            }
        }
    }

    /// An empty line ends an event; lines that are no data do not matter here.
    fn event_line(&mut self, line: &[u8]) -> Result<Option<Frame>, Error> {
        if line.is_empty() {
            return frame(&std::mem::take(&mut self.data));
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            self.data.extend_from_slice(data);
            self.data.push(b'\n');
        }
        Ok(None)
    }
}

fn frame(text: &[u8]) -> Result<Option<Frame>, Error> {
    match text.trim_ascii() {
        b"" => Ok(None),
        DONE => Ok(Some(Frame::Done)),
        json => serde_json::from_slice(json)
            .map(|value| Some(Frame::Piece(value)))
            .map_err(|_| Error::Nonsense("not JSON")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The frames of `text`, cut into pieces of every size.
    #[track_caller]
    fn check(content_type: &str, text: &str, expect: &[Frame]) {
        for size in 1..=text.len().max(1) {
            let mut frames = Frames::of(content_type);
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                found.extend(frames.push(piece).unwrap());
            }
            found.extend(frames.end().unwrap());
            assert_eq!(found, expect, "in pieces of {size}");
        }
    }

    #[test]
    fn events_are_found_wherever_the_network_cut_them() {
        let text = ": hello\r\n\r\nevent: x\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\ndata:{\"b\":2}\n\ndata: [DONE]\n\n";
        let expect = [Frame::Piece(json!({ "a": "ü" })), Frame::Piece(json!({ "b": 2 })), Frame::Done];
        check("text/event-stream; charset=utf-8", text, &expect);
        check("text/event-stream", "data: {\"a\":1}", &[Frame::Piece(json!({ "a": 1 }))]);
    }

    #[test]
    fn lines_and_wholes_are_found_too() {
        let two = [Frame::Piece(json!({ "a": 1 })), Frame::Piece(json!({ "b": "😀" }))];
        check("application/x-ndjson", "{\"a\":1}\n\n{\"b\":\"😀\"}", &two);
        check("application/json", "{\"a\":1}\n{\"b\":\"😀\"}", &two);
        check("application/json", "", &[]);
    }

    #[test]
    fn nonsense_and_answers_without_end_are_refused() {
        let push = |content_type: &str, text: &[u8]| Frames::of(content_type).push(text).map(|_| ());
        assert!(push("text/event-stream", b"data: {\"a\n\n").is_err());
        assert!(push("application/x-ndjson", b"<html>\n").is_err());
        assert!(push("text/event-stream", &vec![b'x'; ANSWER_MAX + 1]).is_err());
    }
}
