//! What runs beside a pod's worker: probes, hooks, and the slow end of a container.
//!
//! Each task belongs to one run of one container and reports to its worker; none of them changes anything
//! in the API.

use std::time::{Duration, Instant};

use super::cx::{News, NewsSender};
use super::handler::{Handler, Place, perform};
use super::probe::{Gauge, Kind, Timing};

/// A hook without a limit of its own.
const POST_START_WITHIN: Duration = Duration::from_secs(300);
/// After its preStop hook used up the grace period, a container still gets this long, as in Kubernetes.
const LEAST_GRACE: Duration = Duration::from_secs(2);

/// One probe of one run.
pub struct Prober {
    pub container: String,
    pub kind: Kind,
    pub timing: Timing,
    /// `Err`: the probe can never work, which counts as failing.
    pub handler: Result<Handler, String>,
    pub place: Place,
    /// When the container started.
    pub since: Instant,
    pub news: NewsSender,
}

impl Prober {
    /// Probes until aborted.
    pub async fn run(self) {
        let mut gauge = Gauge::new(self.kind, self.timing);
        loop {
            tokio::time::sleep(gauge.wait(self.since.elapsed())).await;
            let age = self.since.elapsed();
            let result = match &self.handler {
                Ok(handler) => perform(handler, &self.place, self.timing.timeout).await,
                Err(why) => Err(why.clone()),
            };
            let before = gauge.verdict();
            let counted = gauge.take(result.is_ok(), age);
            let failure = result.err().filter(|_| counted);
            if gauge.verdict() != before || failure.is_some() {
                let news = News::Probe {
                    container: self.container.clone(),
                    id: self.place.container_id.clone(),
                    kind: self.kind,
                    verdict: gauge.verdict(),
                    failure,
                };
                if self.news.send(news).is_err() {
                    return;
                }
            }
        }
    }
}

pub async fn post_start(handler: Result<Handler, String>, container: String, place: Place, news: NewsSender) {
    let result = match handler {
        Ok(handler) => perform(&handler, &place, POST_START_WITHIN).await,
        Err(why) => Err(why),
    };
    let _ = news.send(News::PostStart { container, id: place.container_id, result });
}

/// The graceful end: hook, signal, grace, kill. The worker learns of the end from the node.
pub struct Stopper {
    pub container: String,
    pub hook: Option<Result<Handler, String>>,
    pub place: Place,
    pub signal: i32,
    pub grace: Duration,
    pub news: NewsSender,
}

impl Stopper {
    pub async fn run(self) {
        let deadline = Instant::now() + self.grace;
        if let Some(hook) = self.hook.as_ref().filter(|_| !self.grace.is_zero()) {
            let result = match hook {
                Ok(handler) => perform(handler, &self.place, self.grace).await,
                Err(why) => Err(why.clone()),
            };
            if let Err(failure) = result {
                let _ = self.news.send(News::PreStop { container: self.container.clone(), failure });
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let id = &self.place.container_id;
        if !self.grace.is_zero() {
            self.signal(id, self.signal).await;
            tokio::time::sleep(left.max(LEAST_GRACE.min(self.grace))).await;
        }
        // Until the node says that it is gone; the kernel may need a moment for a process in a system call.
        loop {
            self.signal(id, libc::SIGKILL).await;
            tokio::time::sleep(LEAST_GRACE).await;
        }
    }

    async fn signal(&self, id: &str, signal: i32) {
        if let Err(error) = self.place.node.signal_container(id, signal).await {
            tracing::debug!(container = id, signal, %error, "the container could not be signalled");
        }
    }
}

/// `SIGTERM`, `TERM` or `15`; anything else is SIGTERM.
pub fn signal_number(name: Option<&str>) -> i32 {
    let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else { return libc::SIGTERM };
    if let Ok(number) = name.parse::<i32>() {
        return if (1..=64).contains(&number) { number } else { libc::SIGTERM };
    }
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse::<nix::sys::signal::Signal>().map_or(libc::SIGTERM, |signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: Option<&str>, expect: i32) {
        assert_eq!(signal_number(name), expect, "{name:?}");
    }

    #[test]
    fn images_name_their_stop_signal_in_many_ways() {
        check(None, libc::SIGTERM);
        check(Some("SIGQUIT"), libc::SIGQUIT);
        check(Some("int"), libc::SIGINT);
        check(Some("3"), libc::SIGQUIT);
        check(Some("nonsense"), libc::SIGTERM);
        check(Some("999"), libc::SIGTERM);
    }
}
