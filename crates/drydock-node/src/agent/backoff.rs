//! How long a container waits before it is started again, and an image before it is pulled again.
//!
//! The first restart is immediate; then 10 s, doubled up to 5 min. Ten minutes of running forgive all.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(300);
/// A container that ran this long starts again with a clean record.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A record with `failures` behind it, for a container adopted after a restart of the daemon.
    pub fn after(failures: u32) -> Self {
        Backoff { failures }
    }

    /// Notes one more end after `ran` and says how long to wait from now.
    pub fn next(&mut self, ran: Duration) -> Duration {
        if ran >= FORGIVEN_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => FIRST.saturating_mul(1 << (n - 2).min(10)).min(LIMIT),
        }
    }

    /// The same without a free first try, for image pulls.
    pub fn next_pull(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        FIRST.saturating_mul(1 << (self.failures - 1).min(10)).min(LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ran_s: &[u64], expect_s: &[u64]) {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = ran_s.iter().map(|s| backoff.next(Duration::from_secs(*s)).as_secs()).collect();
        assert_eq!(waits, expect_s);
    }

    #[test]
    fn the_first_restart_is_immediate_and_then_the_wait_doubles_to_five_minutes() {
        check(&[0; 9], &[0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }
    #[test]
    fn ten_minutes_of_running_are_forgiven() {
        check(&[0, 0, 0, 601, 0], &[0, 10, 20, 0, 10]);
    }
    #[test]
    fn pulls_never_hammer_the_registry() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..3).map(|_| backoff.next_pull().as_secs()).collect();
        assert_eq!(waits, [10, 20, 40]);
    }
}
