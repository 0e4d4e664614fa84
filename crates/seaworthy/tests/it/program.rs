//! Running programs within a bound of time, and finding those that only some machines have.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any single step takes on a machine that compiles at the same time.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long something may take to come true.
const SOON: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// How a program ended, and what it printed.
pub struct Ran {
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What it printed to stdout; it must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.out
    }

    /// What it printed to stderr; it must have ended with `code`.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self}");
        self.err
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or("a signal".to_owned(), |code| format!("code {code}"));
        write!(f, "`{}` ended with {code}\nstdout:\n{}\nstderr:\n{}", self.line, self.out, self.err)
    }
}

/// A program that runs beside the test. Killed when dropped.
pub struct Running {
    line: String,
    child: Child,
    files: tempfile::TempDir,
}

/// Starts `command`; its output goes to files, so that it never waits for a reader.
pub fn start(mut command: Command) -> Running {
    let files = tempfile::tempdir().unwrap();
    let sink = |name: &str| File::create(files.path().join(name)).unwrap();
    let line = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(sink("out")).stderr(sink("err"));
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
    Running { line, child, files }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn printed(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.files.path().join(name)).unwrap_or_default()).into_owned()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until it has printed `text`, to either stream.
    pub fn until_it_says(&self, text: &str) {
        until(&format!("`{}` says {text:?}", self.line), || {
            let said = self.printed("out") + &self.printed("err");
            said.contains(text).then_some(()).ok_or(said)
        });
    }

    pub fn wait(self) -> Ran {
        self.wait_for(PATIENCE)
    }

    pub fn wait_for(mut self, patience: Duration) -> Ran {
        let deadline = Instant::now() + patience;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(
                Instant::now() < deadline,
                "`{}` does not end; it printed\n{}",
                self.line,
                self.printed("err")
            );
            std::thread::sleep(POLL);
        };
        Ran { line: self.line.clone(), code, out: self.printed("out"), err: self.printed("err") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended in most cases, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn run(command: Command) -> Ran {
    start(command).wait()
}

/// Waits for what comes true soon; says what was seen last when it does not.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        match ask() {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "waited in vain until {what}; last seen:\n{seen}")
            }
        }
        std::thread::sleep(POLL);
    }
}

/// The program's file: on the path, or in one of `folders`.
pub fn find(name: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Says that a test cannot run here; in CI that is a failure.
pub fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must have what this test needs, but {what}");
    eprintln!("SKIPPED: {what}");
}

/// Copies a folder with everything that belongs to it; files may be shared when `link` is set.
pub fn copy(from: &Path, to: &Path, link: bool) {
    let mut command = Command::new("cp");
    command.arg("--archive");
    if link {
        command.arg("--link");
    }
    command.arg(from).arg(to);
    run(command).ok();
}

/// Number and status of each revision in what `history` printed, whose columns are parted by tabs as Helm's are.
pub fn revisions(history: &str) -> Vec<(&str, &str)> {
    let rows = history.lines().skip(1).map(|line| line.split('\t').map(str::trim).collect::<Vec<_>>());
    rows.map(|row| (row[0], row[2])).collect()
}
