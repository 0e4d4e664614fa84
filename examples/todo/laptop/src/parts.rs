//! The parts of the application, started together and stopped from the front to the back, so that a page in progress
//! still finds the backend, and a turn of the assistant its tools.

use std::time::Duration;

use http::Method;
use service::client::Client;
use service::config::Settings;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};

use crate::sockets::{Addresses, Sockets};

const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the pages")]
    Pages(#[from] frontend::Error),
    #[error("the backend")]
    Backend(#[from] backend::Error),
    #[error("the MCP server")]
    Tools(#[from] mcp_server::Error),
    #[error("this is a defect")]
    Defect(#[from] JoinError),
}

/// The running parts and what stops each of them. A part is known by its place, counted from the front.
pub struct Parts {
    running: JoinSet<(usize, Result<(), Error>)>,
    has_ended: [bool; 3],
    stops: [oneshot::Sender<()>; 3],
}

impl Parts {
    pub fn start(settings: &Settings, sockets: Sockets, addresses: &Addresses) -> Self {
        let settings = settings.clone().with("MCP_SERVER_URL", &addresses.tools);
        let settings = settings.with("BACKEND_URL", &addresses.api);
        let (for_api, for_tools) = (settings.clone(), settings.clone());
        let ((stop_pages, pages), (stop_api, api), (stop_tools, tools)) = (stop(), stop(), stop());
        let mut running = JoinSet::new();
        running.spawn(async move {
            (2, mcp_server::serve(&for_tools, sockets.tools, tools).await.map_err(Into::into))
        });
        running
            .spawn(async move { (1, backend::serve(&for_api, sockets.api, api).await.map_err(Into::into)) });
        running.spawn(async move {
            (0, frontend::serve(&settings, sockets.pages, pages).await.map_err(Into::into))
        });
        Self { running, has_ended: [false; 3], stops: [stop_pages, stop_api, stop_tools] }
    }

    /// Runs until `stop` resolves, or a part cannot go on; then stops them all. `ready` is called when the pages and
    /// everything behind them answer.
    pub async fn run(
        mut self,
        addresses: &Addresses,
        ready: impl FnOnce(),
        stop: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let welcome = async {
            until_ready(&addresses.api).await;
            ready();
            std::future::pending::<()>().await;
        };
        let mut outcome = tokio::select! {
            () = stop => Ok(()),
            () = welcome => Ok(()),
            ended = next(&mut self.running, &mut self.has_ended) => ended,
        };
        for (place, stop) in self.stops.into_iter().enumerate() {
            // Nobody listens where the part has ended.
            let _ = stop.send(());
            while !self.has_ended[place] {
                outcome = outcome.and(next(&mut self.running, &mut self.has_ended).await);
            }
        }
        outcome
    }
}

/// Waits for the end of any part and notes it. One that panicked cannot be told from the others: none is waited for
/// any more.
async fn next(
    running: &mut JoinSet<(usize, Result<(), Error>)>,
    has_ended: &mut [bool; 3],
) -> Result<(), Error> {
    match running.join_next().await {
        Some(Ok((place, outcome))) => {
            has_ended[place] = true;
            outcome
        }
        ended => {
            *has_ended = [true; 3];
            ended.map_or(Ok(()), |defect| defect.map(drop)).map_err(Error::Defect)
        }
    }
}

fn stop() -> (oneshot::Sender<()>, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = oneshot::channel();
    (sender, async { receiver.await.unwrap_or_default() })
}

/// However long that takes: a part that gives up ends the wait. The backend is asked, because it knows when the
/// database is prepared; the others have no such beginning.
async fn until_ready(api: &str) {
    let client = Client::new(ASK_TIMEOUT);
    let url = format!("{api}/ready");
    while !client.send(Method::GET, &url, None, None).await.is_ok_and(|answer| answer.status.is_success()) {
        tokio::time::sleep(ASK_PAUSE).await;
    }
}
