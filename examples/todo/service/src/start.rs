//! How every binary starts: answer a health question from the command line, or log and run.
//!
//! An image `FROM scratch` has no `curl` for its health check, so `/backend health` asks the running server.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::Settings;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs `service` with the settings of the environment, or only asks its `/health` on `PORT` when the first argument
/// is `health`.
pub async fn start<E, F>(
    name: &'static str,
    default_port: u16,
    service: impl FnOnce(Settings) -> F,
) -> ExitCode
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    let settings = Settings::from_env();
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "health") {
        return code(is_healthy(&settings, default_port).unwrap_or(false));
    }
    crate::log::init(&settings);
    let outcome = service(settings).await;
    if let Err(error) = &outcome {
        tracing::error!(service = name, error = crate::log::chain(error), "cannot go on");
    }
    code(outcome.is_ok())
}

fn code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_healthy(settings: &Settings, default_port: u16) -> std::io::Result<bool> {
    let port = settings.parsed("PORT", "a port number", default_port).unwrap_or(default_port);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut first = [0u8; 12];
    stream.read_exact(&mut first)?;
    Ok(&first == b"HTTP/1.1 200")
}
