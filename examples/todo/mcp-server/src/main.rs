//! The MCP server's process; what it does is in the library, so that the backend's tests can run it too.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    service::start::start(mcp_server::SERVICE, mcp_server::PORT, mcp_server::run).await
}
