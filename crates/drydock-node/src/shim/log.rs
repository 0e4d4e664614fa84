//! A container's output as a CRI log: `<time> <stream> <F|P> <text>`, one line per line.
//!
//! Lines longer than [`MAX_LINE_BYTES`] are cut and marked `P` (partial). At [`MAX_FILE_BYTES`] the file
//! becomes `<path>.1`, replacing an older one. A disk that takes no more loses output, never blocks the
//! program.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::attached::Attached;

const MAX_LINE_BYTES: usize = 16 << 10;
const MAX_FILE_BYTES: u64 = 10 << 20;
const READ_BYTES: usize = 32 << 10;
/// How much a finished program's pipe can still hold, and more.
const MAX_FINAL_READS: usize = 64;

/// Where lines go.
pub(super) struct Log {
    file: Option<(PathBuf, File)>,
    size_bytes: u64,
    max_bytes: u64,
}

impl Log {
    pub fn open(path: Option<&Path>) -> Self {
        let mut log = Self { file: None, size_bytes: 0, max_bytes: MAX_FILE_BYTES };
        if let Some(path) = path {
            log.reopen(path);
        }
        log
    }

    fn reopen(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        let file = File::options().append(true).create(true).open(path).ok();
        self.size_bytes = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |about| about.len());
        self.file = file.map(|file| (path.to_owned(), file));
    }

    fn write(&mut self, lines: &[u8]) {
        if self.size_bytes > 0 && self.size_bytes + lines.len() as u64 > self.max_bytes {
            self.rotate();
        }
        if let Some((_, file)) = &mut self.file
            && file.write_all(lines).is_ok()
        {
            self.size_bytes += lines.len() as u64;
        }
    }

    fn rotate(&mut self) {
        let Some((path, _)) = self.file.take() else { return };
        let mut older = path.clone().into_os_string();
        older.push(".1");
        // When the old file cannot move, going on in it is better than losing lines.
        let _ = std::fs::rename(&path, older);
        self.reopen(&path);
    }
}

/// Where a program's output goes: its log, and whoever watches.
pub(super) struct Sink {
    pub log: Log,
    pub attached: Attached,
}

/// One of the program's two streams, with the line it has not finished.
pub(super) struct Stream {
    name: &'static str,
    number: usize,
    line: Vec<u8>,
}

impl Stream {
    pub fn stdout() -> Self {
        Self { name: "stdout", number: 0, line: Vec::new() }
    }

    pub fn stderr() -> Self {
        Self { name: "stderr", number: 1, line: Vec::new() }
    }

    /// Reads once and logs the lines that are complete; false at the end of the pipe.
    pub fn pump(&mut self, pipe: &OwnedFd, sink: &mut Sink) -> bool {
        let mut chunk = [0; READ_BYTES];
        match nix::unistd::read(pipe.as_fd(), &mut chunk) {
            Ok(length) if length > 0 => {
                self.pass_on(&chunk[..length], sink);
                true
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => true,
            // A terminal that nobody holds any more ends with an error.
            _ => {
                sink.attached.close(self.number);
                false
            }
        }
    }

    fn pass_on(&mut self, output: &[u8], sink: &mut Sink) {
        sink.attached.feed(self.number, output);
        sink.log.write(&self.take(output, &now()));
    }

    /// Logs what is left after the program's end, including a last line without its newline.
    pub fn finish(&mut self, pipe: &OwnedFd, sink: &mut Sink) {
        let Ok(pipe) = pipe.try_clone() else { return };
        let mut pipe = File::from(pipe);
        let mut chunk = [0; READ_BYTES];
        for _ in 0..MAX_FINAL_READS {
            match pipe.read(&mut chunk) {
                Ok(length) if length > 0 => self.pass_on(&chunk[..length], sink),
                _ => break,
            }
        }
        if !self.line.is_empty() {
            let mut last = Vec::new();
            self.emit(&mut last, &now(), 'F');
            sink.log.write(&last);
        }
    }

    /// Adds output and gives back the log lines that became complete.
    fn take(&mut self, output: &[u8], time: &str) -> Vec<u8> {
        let mut lines = Vec::with_capacity(output.len() + 64);
        for part in output.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            for piece in pieces(text) {
                if self.line.len() + piece.len() > MAX_LINE_BYTES {
                    self.emit(&mut lines, time, 'P');
                }
                self.line.extend_from_slice(piece);
            }
            if ends {
                self.emit(&mut lines, time, 'F');
            }
        }
        lines
    }

    fn emit(&mut self, lines: &mut Vec<u8>, time: &str, tag: char) {
        lines.extend_from_slice(format!("{time} {} {tag} ", self.name).as_bytes());
        lines.append(&mut self.line);
        lines.push(b'\n');
    }
}

fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunks(MAX_LINE_BYTES)
}

/// RFC 3339 with nine digits, always as long.
fn now() -> String {
    format!("{:.9}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&str], expect: &str) {
        let mut stream = Stream::stdout();
        let lines: Vec<u8> = chunks.iter().flat_map(|chunk| stream.take(chunk.as_bytes(), "T")).collect();
        assert_eq!(String::from_utf8(lines).unwrap(), expect);
    }

    #[test]
    fn a_line_is_logged_when_it_ends() {
        check(&["he", "llo\nwor"], "T stdout F hello\n");
    }

    #[test]
    fn an_empty_line_is_a_line() {
        check(&["\n\n"], "T stdout F \nT stdout F \n");
    }

    #[test]
    fn a_line_too_long_is_cut_and_its_end_is_full() {
        let long = "x".repeat(MAX_LINE_BYTES);
        check(&[&format!("{long}y\n")], &format!("T stdout P {long}\nT stdout F y\n"));
    }

    #[test]
    fn a_time_has_nine_digits_and_says_utc() {
        let time = now();
        assert_eq!((time.len(), time.ends_with('Z')), (30, true), "{time}");
    }

    #[test]
    fn a_full_log_moves_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = Log::open(Some(&path));
        log.max_bytes = 10;
        for line in ["first\n", "second\n", "third\n"] {
            log.write(line.as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("0.log"), read("0.log.1")), ("third\n".to_owned(), "second\n".to_owned()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
