//! Our programs as processes: on a port of their own, watched until they answer, ended when dropped.

use std::fs::File;
use std::io::{Read, Seek};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::browser::until;
use crate::headers::get;

/// Below the ports that the kernel gives to outgoing connections, so that none of those takes one between our look
/// and the program's own.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
const ATTEMPTS: usize = 3;

pub struct Program {
    child: Child,
    pub port: u16,
    output: File,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// Starts the program `name` and waits until it answers; on another port when somebody else had the first.
    pub fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let attempt = |_| Self::start_on(free_port(), name, settings);
        let mut outcomes = (0..ATTEMPTS).map(attempt);
        let first = outcomes.next().unwrap();
        outcomes.fold(first, Result::or).unwrap_or_else(|ended| panic!("{ended}"))
    }

    /// As [`Program::start`] on a given port; what the program said when it ended instead of answering.
    pub fn start_on(port: u16, name: &str, settings: &[(&str, &str)]) -> Result<Self, String> {
        let output = tempfile::tempfile().unwrap();
        let mut command = Command::new(path(name));
        command.env_clear().env("HOST", "127.0.0.1").env("PORT", port.to_string()).env("LOG_LEVEL", "error");
        command.envs(settings.iter().copied()).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
        let mut program = Self { child: command.spawn().unwrap(), port, output };
        until(&format!("{name} answers"), || match program.child.try_wait().unwrap() {
            Some(status) => Ok(Err(format!("{name} ended with {status}: {}", program.said()))),
            None => get(&program.host(), "/health", &[]).map(|_| Ok(())),
        })?;
        Ok(program)
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    fn said(&mut self) -> String {
        let mut text = String::new();
        self.output.rewind().unwrap();
        self.output.read_to_string(&mut text).unwrap();
        text
    }
}

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let span = PORTS.end - PORTS.start;
    // Two runs at once begin at different places.
    let begin = u16::try_from(std::process::id() * 37 % u32::from(span)).unwrap();
    let mut ports = (0..span).map(|_| PORTS.start + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % span);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// One of our programs beside the one under test, built if need be.
fn path(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if name == "frontend" {
        return env!("CARGO_BIN_EXE_frontend").into();
    }
    let folder = BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--bins", "-p", "backend", "-p", "mcp-server"]);
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(built.success(), "the services do not build");
        Path::new(env!("CARGO_BIN_EXE_frontend")).parent().unwrap().to_owned()
    });
    folder.join(name)
}
