//! How much anybody may ask at once: requests in flight, watches, and requests per second.
//!
//! Reading and writing have places of their own, so that a flood of one does not stop the other; watches and streams
//! have theirs. Administrators (`system:masters`) are bounded by places only, everybody else by a rate too, and by far
//! more than a person or a controller needs. Our own clients are bounded by what they are, not here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::User;
use crate::server::ApiConfig;
use crate::status::ApiError;

/// Users whose rate is remembered at most; those who have been quiet are forgotten first.
const USERS: usize = 1024;

/// What a request takes while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Read,
    Write,
    /// Lasts as long as its client wants.
    Watch,
}

impl Sort {
    pub fn of(verb: &str, long_running: bool) -> Self {
        match verb {
            _ if long_running => Self::Watch,
            "get" | "list" | "head" => Self::Read,
            _ => Self::Write,
        }
    }
}

/// The places and rates of one API.
#[derive(Debug)]
pub struct Bounds {
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    rate: f64,
    burst: f64,
    users: Mutex<HashMap<String, Bucket>>,
}

/// Held as long as a request, watch or stream lasts.
#[derive(Debug, Default)]
pub struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

/// What a user may still ask at once, and since when that is so.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bounds {
    pub fn new(config: &ApiConfig) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count));
        Self {
            reads: places(config.max_reads),
            writes: places(config.max_writes),
            watches: places(config.max_watches),
            rate: f64::from(config.user_rate),
            burst: f64::from(config.user_burst),
            users: Mutex::default(),
        }
    }

    /// A place for a request of `user`, or 429.
    pub fn admit(&self, user: &User, sort: Sort, now: Instant) -> Result<Permit, ApiError> {
        if user.internal {
            return Ok(Permit::default());
        }
        if !user.is_master() && !self.in_rate(&user.name, now) {
            return Err(too_many("too many requests per second, please try again later"));
        }
        let (places, why) = match sort {
            Sort::Read => (&self.reads, "too many requests, please try again later"),
            Sort::Write => (&self.writes, "too many changes at once, please try again later"),
            Sort::Watch => (&self.watches, "too many watches at once, please try again later"),
        };
        let held = places.clone().try_acquire_owned().map_err(|_| too_many(why))?;
        Ok(Permit { _held: Some(held) })
    }

    fn in_rate(&self, name: &str, now: Instant) -> bool {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= USERS && !users.contains_key(name) {
            let filled = |bucket: &Bucket| self.refilled(*bucket, now).left >= self.burst;
            users.retain(|_, bucket| !filled(bucket));
            if users.len() >= USERS {
                users.clear();
            }
        }
        let bucket = users.entry(name.to_owned()).or_insert(Bucket { left: self.burst, at: now });
        *bucket = self.refilled(*bucket, now);
        let allowed = bucket.left >= 1.0;
        if allowed {
            bucket.left -= 1.0;
        }
        allowed
    }

    fn refilled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let passed_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        Bucket { left: (bucket.left + passed_s * self.rate).min(self.burst), at: now }
    }
}

fn too_many(why: &str) -> ApiError {
    ApiError::too_many_requests(why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::MASTERS;

    fn bounds(config: ApiConfig) -> Bounds {
        Bounds::new(&config)
    }

    #[test]
    fn a_flood_of_reads_leaves_room_for_writes_and_watches() {
        let bounds =
            bounds(ApiConfig { max_reads: 1, max_writes: 1, max_watches: 1, ..ApiConfig::default() });
        let (user, now) = (User::new("jane", [""; 0]), Instant::now());
        let read = bounds.admit(&user, Sort::Read, now).unwrap();
        let refused = bounds.admit(&user, Sort::Read, now).unwrap_err();
        assert_eq!((refused.code.as_u16(), refused.retry_after_seconds()), (429, Some(1)));
        assert!(bounds.admit(&user, Sort::Write, now).is_ok());
        assert!(bounds.admit(&user, Sort::Watch, now).is_ok());
        drop(read);
        assert!(bounds.admit(&user, Sort::Read, now).is_ok());
    }

    #[test]
    fn whoever_asks_too_fast_waits_and_nobody_else_does() {
        let bounds = bounds(ApiConfig { user_rate: 2, user_burst: 3, ..ApiConfig::default() });
        let (jane, start) = (User::new("jane", [""; 0]), Instant::now());
        let asked =
            |user: &User, ms: u64| bounds.admit(user, Sort::Read, start + Duration::from_millis(ms)).is_ok();
        assert_eq!([0, 0, 0, 0].map(|ms| asked(&jane, ms)), [true, true, true, false]);
        assert_eq!([500, 500, 1000].map(|ms| asked(&jane, ms)), [true, false, true]);
        assert!(asked(&User::new("joe", [""; 0]), 1000));
        let admin = User::new("admin", [MASTERS]);
        assert!((0..100).all(|_| asked(&admin, 1000)));
    }

    #[test]
    fn however_many_users_ask_the_memory_of_them_is_bounded() {
        let bounds = bounds(ApiConfig { user_rate: 1, user_burst: 2, ..ApiConfig::default() });
        let now = Instant::now();
        for number in 0..5 * USERS {
            bounds.admit(&User::new(format!("u{number}"), [""; 0]), Sort::Read, now).unwrap();
        }
        assert!(bounds.users.lock().unwrap().len() <= USERS);
    }

    #[test]
    fn deleting_a_collection_is_a_change_and_a_watch_a_watch() {
        let sorts =
            [("list", false), ("deletecollection", false), ("watch", true), ("get", true), ("post", false)];
        let sorts = sorts.map(|(verb, long)| Sort::of(verb, long));
        assert_eq!(sorts, [Sort::Read, Sort::Write, Sort::Watch, Sort::Watch, Sort::Write]);
    }
}
