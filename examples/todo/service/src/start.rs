//! How every binary starts: answer a health question from the command line, or log and run.
//!
//! An image `FROM scratch` has no `curl` for its health check, so `/backend health` asks the running server.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Runs `service`, or only asks its `/health` on `PORT` when the first argument is `health`.
pub async fn start<E: std::error::Error>(
    name: &'static str,
    default_port: u16,
    service: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("health") {
        return code(is_healthy(default_port).unwrap_or(false));
    }
    crate::log::init();
    let outcome = service.await;
    if let Err(error) = &outcome {
        tracing::error!(service = name, error = crate::log::chain(error), "cannot go on");
    }
    code(outcome.is_ok())
}

fn code(ok: bool) -> ExitCode {
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_healthy(default_port: u16) -> std::io::Result<bool> {
    let port = crate::config::parsed("PORT", "a port number", default_port).unwrap_or(default_port);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut first = [0u8; 12];
    stream.read_exact(&mut first)?;
    Ok(&first == b"HTTP/1.1 200")
}
