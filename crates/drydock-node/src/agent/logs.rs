//! Reads containers' logs: files of the CRI format, one per run.
//!
//! A line is `<time> <stream> <F|P> <text>`; `P` is a part of a longer line. Following polls the file, and
//! ends when the run has ended and all of it was read.
//!
//! Start at [`stream`].

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;

use super::cx::Live;

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks read ahead of a slow reader.
const QUEUE: usize = 8;
/// A line longer than this is passed on in pieces.
const LINE_MAX_BYTES: usize = 1024 * 1024;
const POLL_FIRST: Duration = Duration::from_millis(20);
const POLL_MAX: Duration = Duration::from_millis(250);

/// What of the log is wanted; the names are those of the API's query.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    pub container: Option<String>,
    pub follow: bool,
    pub previous: bool,
    pub tail_lines: Option<u64>,
    pub since: Option<Timestamp>,
    pub timestamps: bool,
    pub limit_bytes: Option<u64>,
    /// Only what was written to this one.
    pub output: Option<Output>,
}

/// One of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

impl Output {
    fn name(self) -> &'static [u8] {
        match self {
            Output::Stdout => b"stdout",
            Output::Stderr => b"stderr",
        }
    }
}

/// Sends the log in `path` piece by piece until its end, or with `follow` until the run's end.
pub fn stream(path: PathBuf, options: LogOptions, live: Live) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        if let Err(error) = read(&path, &options, &live, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    receiver
}

type Sink = mpsc::Sender<std::io::Result<Bytes>>;

async fn read(path: &Path, options: &LogOptions, live: &Live, sink: &Sink) -> std::io::Result<()> {
    let start = start_of(path.to_owned(), options.tail_lines).await?;
    let mut file = tokio::fs::File::open(path).await?;
    tokio::io::AsyncSeekExt::seek(&mut file, SeekFrom::Start(start)).await?;
    let mut printer = Printer::new(options);
    let mut pending = BytesMut::new();
    let mut poll = POLL_FIRST;
    let mut next = None;
    loop {
        // Asked before reading: what is written before the end is then read after it.
        let running = live.contains(path);
        let before = pending.len();
        pending.reserve(CHUNK_BYTES);
        let read = file.read_buf(&mut pending).await?;
        let out = printer.take(&mut pending, before);
        if !out.is_empty() && sink.send(Ok(out)).await.is_err() || printer.is_full() {
            return Ok(());
        }
        if read > 0 {
            poll = POLL_FIRST;
            continue;
        }
        if !options.follow {
            return Ok(());
        }
        if let Some(newer) = next.take() {
            file = newer;
            continue;
        }
        next = successor(path, &file).await;
        if next.is_some() {
            // Lines that came between the last look and the move are still to be read.
            continue;
        }
        if !running {
            return Ok(());
        }
        tokio::select! {
            () = sink.closed() => return Ok(()),
            () = tokio::time::sleep(poll) => poll = (poll * 2).min(POLL_MAX),
        }
    }
}

/// The file that took the place of one that was full and moved aside.
async fn successor(path: &Path, file: &tokio::fs::File) -> Option<tokio::fs::File> {
    use std::os::unix::fs::MetadataExt as _;
    let known = file.metadata().await.ok()?;
    let newer = tokio::fs::File::open(path).await.ok()?;
    let found = newer.metadata().await.ok()?;
    ((known.dev(), known.ino()) != (found.dev(), found.ino())).then_some(newer)
}

/// Turns CRI lines into what a person asked for.
struct Printer {
    since: Option<Timestamp>,
    timestamps: bool,
    left: Option<u64>,
    output: Option<Output>,
    /// The next text continues a line.
    inside: bool,
}

impl Printer {
    fn new(options: &LogOptions) -> Self {
        Printer {
            since: options.since,
            timestamps: options.timestamps,
            left: options.limit_bytes,
            output: options.output,
            inside: false,
        }
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Consumes whole lines; `searched` bytes are known to hold no line's end.
    fn take(&mut self, pending: &mut BytesMut, searched: usize) -> Bytes {
        let mut out = BytesMut::new();
        let mut from = searched;
        while let Some(at) = pending.get(from..).and_then(|rest| rest.iter().position(|b| *b == b'\n')) {
            let line = pending.split_to(from + at + 1);
            self.line(&line[..line.len() - 1], &mut out);
            from = 0;
        }
        if pending.len() > LINE_MAX_BYTES {
            pending.clear();
        }
        if let Some(left) = &mut self.left {
            out.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= out.len() as u64;
        }
        out.freeze()
    }

    fn line(&mut self, line: &[u8], out: &mut BytesMut) {
        let Some((time, output, part, text)) = parse(line) else { return };
        if self.output.is_some_and(|wanted| wanted.name() != output) {
            return;
        }
        let too_old = self.since.is_some_and(|since| time.parse::<Timestamp>().is_ok_and(|at| at < since));
        if too_old {
            return;
        }
        if self.timestamps && !self.inside {
            out.extend_from_slice(time.as_bytes());
            out.extend_from_slice(b" ");
        }
        out.extend_from_slice(text);
        self.inside = part;
        if !part {
            out.extend_from_slice(b"\n");
        }
    }
}

/// Time, which output, whether more of the line follows, and the text.
fn parse(line: &[u8]) -> Option<(&str, &[u8], bool, &[u8])> {
    let mut fields = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?;
    let output = fields.next()?;
    let tag = fields.next()?;
    Some((time, output, tag.starts_with(b"P"), fields.next().unwrap_or_default()))
}

/// Where the last `tail` lines begin.
async fn start_of(path: PathBuf, tail: Option<u64>) -> std::io::Result<u64> {
    let Some(tail) = tail else { return Ok(0) };
    let found = tokio::task::spawn_blocking(move || tail_start(&path, tail)).await;
    found.map_err(std::io::Error::other)?
}

fn tail_start(path: &Path, tail: u64) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let mut end = file.seek(SeekFrom::End(0))?;
    if tail == 0 {
        return Ok(end);
    }
    let mut seen = 0;
    let mut block = vec![0; CHUNK_BYTES];
    while end > 0 {
        let length = end.min(CHUNK_BYTES as u64);
        let from = end - length;
        file.seek(SeekFrom::Start(from))?;
        let block = &mut block[..usize::try_from(length).unwrap_or(CHUNK_BYTES)];
        file.read_exact(block)?;
        for (at, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' {
                // The first one seen ends the last line.
                if seen == tail {
                    return Ok(from + at as u64 + 1);
                }
                seen += 1;
            }
        }
        end = from;
    }
    Ok(0)
}

/// The first `max` bytes of a small file as text; `None` when it cannot be read.
pub fn head_of(path: &Path, max: usize) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(max as u64).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of the last lines of a log, at most `max_bytes`.
pub fn tail_of(path: &Path, lines: usize, max_bytes: usize) -> Option<String> {
    let start = tail_start(path, lines as u64).ok()?;
    let mut file = std::fs::File::open(path).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut raw = Vec::new();
    file.take(LINE_MAX_BYTES as u64).read_to_end(&mut raw).ok()?;
    let mut printer = Printer::new(&LogOptions::default());
    let out = printer.take(&mut BytesMut::from(raw.as_slice()), 0);
    let tail = &out[out.len().saturating_sub(max_bytes)..];
    Some(String::from_utf8_lossy(tail).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-21T08:00:00.000000001Z stdout F one\n\
                       2026-11-21T08:00:01Z stderr P tw\n\
                       2026-11-21T08:00:01Z stderr F o\n\
                       2026-11-21T08:00:02Z stdout F \n\
                       2026-11-21T08:00:03Z stdout F four\n";

    fn file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("drydock-log-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn collect(mut receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = receiver.recv().await {
            all.extend_from_slice(&bytes.unwrap());
        }
        String::from_utf8(all).unwrap()
    }

    async fn check(name: &str, options: LogOptions, expect: &str) {
        let path = file(name, LOG);
        assert_eq!(collect(stream(path.clone(), options, Live::default())).await, expect);
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn the_text_comes_without_its_frame_and_parts_are_joined() {
        check("all", LogOptions::default(), "one\ntwo\n\nfour\n").await;
    }
    #[tokio::test]
    async fn the_last_lines_are_found_from_the_end() {
        check("tail", LogOptions { tail_lines: Some(2), ..LogOptions::default() }, "\nfour\n").await;
        check("none", LogOptions { tail_lines: Some(0), ..LogOptions::default() }, "").await;
        check("many", LogOptions { tail_lines: Some(99), ..LogOptions::default() }, "one\ntwo\n\nfour\n")
            .await;
    }
    #[tokio::test]
    async fn older_lines_are_left_out() {
        let since = "2026-11-21T08:00:02Z".parse().ok();
        check("since", LogOptions { since, ..LogOptions::default() }, "\nfour\n").await;
    }
    #[tokio::test]
    async fn timestamps_stand_before_whole_lines_only() {
        let options = LogOptions { timestamps: true, tail_lines: Some(4), ..LogOptions::default() };
        let expect = "2026-11-21T08:00:01Z two\n2026-11-21T08:00:02Z \n2026-11-21T08:00:03Z four\n";
        check("times", options, expect).await;
    }
    #[tokio::test]
    async fn a_limit_cuts_in_the_middle() {
        check("limit", LogOptions { limit_bytes: Some(5), ..LogOptions::default() }, "one\nt").await;
    }

    #[tokio::test]
    async fn following_ends_with_the_run_and_misses_nothing() {
        let path = file("follow", "2026-11-21T08:00:00Z stdout F one\n");
        let live = Live::default();
        live.begin(path.clone());
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut receiver = stream(path.clone(), options, live.clone());
        assert_eq!(receiver.recv().await.unwrap().unwrap(), "one\n");
        let mut log = std::fs::File::options().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut log, b"2026-11-21T08:00:01Z stdout F two\n").unwrap();
        live.end(&path);
        assert_eq!(collect(receiver).await, "two\n");
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn following_goes_on_in_the_next_file_when_one_is_full() {
        let path = file("moved", "2026-11-21T08:00:00Z stdout F one\n");
        let live = Live::default();
        live.begin(path.clone());
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut receiver = stream(path.clone(), options, live.clone());
        assert_eq!(receiver.recv().await.unwrap().unwrap(), "one\n");
        let older = path.with_extension("1");
        let mut log = std::fs::File::options().append(true).open(&path).unwrap();
        std::fs::rename(&path, &older).unwrap();
        std::io::Write::write_all(&mut log, b"2026-11-21T08:00:01Z stdout F two\n").unwrap();
        std::fs::write(&path, "2026-11-21T08:00:02Z stdout F three\n").unwrap();
        live.end(&path);
        assert_eq!(collect(receiver).await, "two\nthree\n");
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(older).unwrap();
    }

    #[tokio::test]
    async fn one_of_the_outputs_can_be_had_alone() {
        let options = LogOptions { output: Some(Output::Stderr), ..LogOptions::default() };
        check("stderr", options, "two\n").await;
    }

    #[test]
    fn the_end_of_a_log_can_be_a_termination_message() {
        let path = file("message", LOG);
        assert_eq!(tail_of(&path, 1, 2048).unwrap(), "four\n");
        assert_eq!(tail_of(&path, 80, 3).unwrap(), "ur\n");
        std::fs::remove_file(path).unwrap();
    }
}
