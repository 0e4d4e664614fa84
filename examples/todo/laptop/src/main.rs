//! The whole application in one process, for a machine with nothing but Rust: `cargo run`.
//!
//! The MCP server, the backend and the pages run as in programs of their own and talk over loopback; tasks are kept
//! in SQLite. Only the pages can be opened to other machines, and only when `HOST` says so.
//!
//! Start at [`main`]; sockets are taken in [`sockets`], the parts are started and stopped in [`parts`].

mod parts;
mod sockets;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use service::config::Settings;

use crate::parts::Parts;
use crate::sockets::Sockets;

const HELP: &str = "\
The todo application, whole: pages, API, assistant and MCP server, on this machine alone.

    cargo run                                     tasks are kept in .todo/
    PORT=3001 BACKEND_PORT=8010 MCP_PORT=8011 cargo run
    DATABASE_URL=postgres://todo@127.0.0.1:5432/todo cargo run
    LOG_LEVEL=INFO cargo run                      a line of JSON for each request

Ctrl-C stops it and finishes what is in progress. All settings are explained in .env.example.";

/// What a person at a terminal should see: what fails, and no line for each request or for a database that is just being
/// prepared.
const LOG_LEVEL: &str = "warn,service::health=error,service::web=error";
/// Wrappers pass a signal on that the terminal has sent to everybody: within this time it is the same one.
const ONE_KEYSTROKE: Duration = Duration::from_millis(500);
/// What interrupted programs end with.
const INTERRUPTED: i32 = 130;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the settings are not usable")]
    Config(#[from] service::config::Error),
    #[error("the application cannot be reached where it should be")]
    Sockets(#[from] sockets::Error),
    #[error("a part of the application failed")]
    Parts(#[from] parts::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("help" | "--help" | "-h") => {
            tell(HELP);
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!(
                "error: `{other}` means nothing here; settings are variables, see `cargo run -- --help`"
            );
            return ExitCode::from(2);
        }
    }
    match run().await {
        Ok(()) => {
            tell("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            explain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let settings = Settings::from_env().with_default("LOG_LEVEL", LOG_LEVEL);
    service::log::init(&settings);
    let stop = stop();
    let sockets = Sockets::bind(&settings).await?;
    let addresses = sockets.addresses()?;
    let database_url = settings.database_url()?;
    let database = kept_in(&database_url);
    let parts = Parts::start(&settings, sockets, &addresses);
    let welcome = format!(
        "The todo application is at {}\n  API and its documentation  {}/api/docs\n  MCP server                 {}\n  \
         tasks are kept in          {database}\nCtrl-C stops it.",
        addresses.pages, addresses.api, addresses.tools
    );
    parts.run(&addresses, || tell(&welcome), stop).await?;
    Ok(())
}

/// Resolves when somebody wants the application to stop, which counts from this call on. Asked a second time, the process
/// ends there and then, whatever it is doing.
fn stop() -> impl Future<Output = ()> {
    let (asked, told) = tokio::sync::oneshot::channel();
    let first = service::shutdown::requested();
    tokio::spawn(async {
        first.await;
        tell("\nstopping, finishing what is in progress; Ctrl-C again stops at once");
        // Nobody listens where a part has failed and everything is stopping already.
        let _ = asked.send(());
        tokio::time::sleep(ONE_KEYSTROKE).await;
        service::shutdown::requested().await;
        std::process::exit(INTERRUPTED);
    });
    async { told.await.unwrap_or_default() }
}

/// The database without its password.
fn kept_in(url: &str) -> &str {
    url.strip_prefix("sqlite:").unwrap_or("the database that DATABASE_URL names")
}

/// A terminal that went away is no reason to stop.
fn tell(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn explain(error: &Error) {
    eprintln!("error: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
    if let Error::Sockets(error) = error
        && let Some(hint) = error.hint()
    {
        eprintln!("  hint: {hint}");
    }
}
