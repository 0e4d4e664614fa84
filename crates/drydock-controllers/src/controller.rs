//! How a controller runs: a queue of keys, a few workers, one pass at a time per key.
//!
//! A pass that panics counts as failed and is tried again; nothing a pass does can end its worker.
//! Start at [`Controller::run`].

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::cx::Cx;
use crate::key::Key;
use crate::queue::{Ended, Queue};
use crate::supervise::panic_text;
use crate::watches::{Synced, Watches};

/// The cause an API server names when it refuses new content.
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What a pass asks for when it went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A change will wake the key.
    WaitForChange,
    /// Time alone will matter: look again after this long.
    After(Duration),
}

impl Next {
    pub fn after(delay: Option<Duration>) -> Next {
        delay.map_or(Next::WaitForChange, Next::After)
    }
}

pub type Failure = Box<dyn Error + Send + Sync>;
pub type Pass = BoxFuture<'static, Result<Next, Failure>>;
pub struct Controller {
    pub name: &'static str,
    pub workers: usize,
    /// What wakes it.
    pub watches: fn(&mut Watches<'_>),
    pub reconcile: fn(Arc<Cx>, Key) -> Pass,
}

/// A controller connected to its caches, ready to run.
pub struct Connected {
    controller: Controller,
    queue: Arc<Queue>,
    needs: Vec<Synced>,
}

impl Controller {
    /// Must come before the watches start, or the first listing is missed.
    pub fn connect(self, cx: &Arc<Cx>) -> Connected {
        let queue = Arc::new(Queue::default());
        let mut watches = Watches::new(cx, &queue);
        (self.watches)(&mut watches);
        Connected { needs: watches.needs(), controller: self, queue }
    }
}

impl Connected {
    pub async fn run(mut self, cx: Arc<Cx>, shutdown: CancellationToken) {
        for need in &mut self.needs {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = need.wait_for(|synced| *synced) => {}
            }
        }
        let workers = (0..self.controller.workers).map(|_| self.work(&cx, &shutdown));
        futures::future::join_all(workers).await;
    }

    async fn work(&self, cx: &Arc<Cx>, shutdown: &CancellationToken) {
        loop {
            let key = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                key = self.queue.next() => key,
            };
            let span = tracing::debug_span!("reconcile", controller = self.controller.name, %key);
            let ended = self.pass(cx, key.clone()).instrument(span).await;
            self.queue.ended(key, ended);
        }
    }

    async fn pass(&self, cx: &Arc<Cx>, key: Key) -> Ended {
        let controller = self.controller.name;
        let pass = AssertUnwindSafe((self.controller.reconcile)(cx.clone(), key.clone()));
        match pass.catch_unwind().await {
            Ok(Ok(Next::WaitForChange)) => Ended::Done,
            Ok(Ok(Next::After(delay))) => Ended::Again(delay),
            Ok(Err(failure)) => {
                if is_stale(&*failure) {
                    tracing::debug!(controller, %key, error = &*failure as &dyn Error, "overtaken, trying again");
                } else {
                    tracing::warn!(controller, %key, error = &*failure as &dyn Error, "pass failed, trying again");
                }
                Ended::Failed
            }
            Err(panic) => {
                tracing::error!(controller, %key, panic = panic_text(&*panic), "pass crashed, trying again");
                Ended::Failed
            }
        }
    }
}

/// Losing a race is everyday business, and so is a namespace that goes away under us.
fn is_stale(failure: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(failure);
    while let Some(error) = cause {
        if let Some(kube::Error::Api(status)) = error.downcast_ref() {
            let terminating = |causes: &[kube::core::response::StatusCause]| {
                causes.iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
            };
            return status.is_conflict()
                || status.is_not_found()
                || status.details.as_ref().is_some_and(|details| terminating(&details.causes));
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::WriteError;

    #[derive(Debug, thiserror::Error)]
    enum Wrapping {
        #[error(transparent)]
        Write(#[from] WriteError),
    }

    #[track_caller]
    fn check(reason: &str, stale: bool) {
        let status = kube::core::Status::failure("no", reason);
        let source = kube::Error::Api(Box::new(status));
        let error = Wrapping::from(WriteError::new("update", "Pod `a`".into(), source));
        assert_eq!(is_stale(&error), stale);
    }

    #[test]
    fn a_lost_race_is_known_through_a_wrapping_error() {
        check("Conflict", true);
        check("NotFound", true);
    }

    #[test]
    fn a_refusal_is_worth_a_warning() {
        check("Invalid", false);
    }
}
