//! The backend's process; what it does is in the library, so that one process can be all services on a laptop.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::start::start(backend::SERVICE, backend::PORT, backend::run).await
}
