//! The program: everything is in the library, so that tests and the laptop's all-in-one can start it too.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::start::start(frontend::SERVICE, frontend::PORT, frontend::run).await
}
