//! Redis: copies of task lists, and the chat limit that all replicas share.
//!
//! Invariant: no caller ever sees a Redis error. A read that fails is a miss, a limit that cannot be asked
//! is kept in this process instead, and `degraded` says so to metrics and readiness.
//!
//! A list is stored under the user's current *stamp*. Whoever writes replaces the stamp, so a list that was
//! read before the write and stored after it lands under a stamp nobody asks for any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, RedisResult, cmd, pipe};

use crate::Error;

/// Also bounds how long a list can be stale when Redis goes away between a write and its invalidation.
const LIST_TTL_S: u64 = 30;
const STAMP_TTL_S: u64 = 3_600;
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
/// After a failure Redis is left alone for this long: an outage must not cost every request a timeout.
const BACK_OFF: Duration = Duration::from_secs(1);
const LIMIT_WINDOW_S: u64 = 60;
/// Users remembered by the in-process limit before old windows are swept out.
const LOCAL_LIMIT_MAX: usize = 10_000;

/// Counted for `/metrics`.
#[derive(Default)]
pub struct CacheStats {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub errors: AtomicU64,
}

/// Whether a call is within its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    RetryAfter { seconds: u64 },
}

#[derive(Clone)]
pub struct Cache {
    redis: Option<ConnectionManager>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stats: CacheStats,
    failed_at: Mutex<Option<Instant>>,
    local_limits: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Cache {
    pub(crate) fn connect(url: Option<&str>) -> Result<Self, Error> {
        let bad = |error: redis::RedisError| Error::Address { name: "REDIS_URL", source: Box::new(error) };
        let redis = match url {
            None => None,
            Some(url) => {
                let config = ConnectionManagerConfig::new()
                    .set_number_of_retries(1)
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    .set_connection_timeout(Some(RESPONSE_TIMEOUT));
                let client = redis::Client::open(url).map_err(bad)?;
                Some(ConnectionManager::new_lazy_with_config(client, config).map_err(bad)?)
            }
        };
        Ok(Self { redis, shared: Arc::default() })
    }

    pub fn stats(&self) -> &CacheStats {
        &self.shared.stats
    }

    /// Asks Redis now, whatever happened before.
    pub async fn check(&self) -> Result<(), redis::RedisError> {
        match self.redis.clone() {
            None => Ok(()),
            Some(mut redis) => cmd("PING").query_async(&mut redis).await,
        }
    }

    /// The stamp to read and store lists under; none means: go to the database and store nothing.
    pub(crate) async fn stamp(&self, user: &str) -> Option<String> {
        let key = format!("tasks:{user}:stamp");
        let fresh = fresh_stamp();
        let mut set = cmd("SET");
        set.arg(&key).arg(&fresh).arg("NX").arg("GET").arg("EX").arg(STAMP_TTL_S);
        let current: Option<String> = self.ask(&set).await?;
        Some(current.unwrap_or(fresh))
    }

    pub(crate) async fn list(&self, user: &str, stamp: &str, query: &str) -> Option<String> {
        let found: Option<Option<String>> = self.ask(cmd("GET").arg(list_key(user, stamp, query))).await;
        let counter =
            if matches!(found, Some(Some(_))) { &self.shared.stats.hits } else { &self.shared.stats.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found.flatten()
    }

    pub(crate) async fn store_list(&self, user: &str, stamp: &str, query: &str, json: &str) {
        let mut set = cmd("SET");
        set.arg(list_key(user, stamp, query)).arg(json).arg("EX").arg(LIST_TTL_S);
        let _: Option<()> = self.ask(&set).await;
    }

    /// Makes every stored list of `user` unreachable. Call after the write is committed, before answering.
    pub(crate) async fn invalidate(&self, user: &str) {
        let mut set = cmd("SET");
        set.arg(format!("tasks:{user}:stamp")).arg(fresh_stamp()).arg("EX").arg(STAMP_TTL_S);
        let _: Option<()> = self.ask(&set).await;
    }

    /// Counts one chat message of `user`; at most `per_minute` are allowed, over all replicas.
    pub async fn admit_chat(&self, user: &str, per_minute: u64) -> Verdict {
        let key = format!("chat:{user}:window");
        match self.count_in_window(&key).await {
            Some((count, left_s)) => verdict(count, per_minute, left_s),
            None => self.admit_locally(user, per_minute),
        }
    }

    async fn count_in_window(&self, key: &str) -> Option<(u64, u64)> {
        let mut redis = self.usable()?;
        let mut count = pipe();
        count.atomic().cmd("SET").arg(key).arg(0).arg("EX").arg(LIMIT_WINDOW_S).arg("NX").ignore();
        count.cmd("INCR").arg(key).cmd("TTL").arg(key);
        let outcome: RedisResult<(u64, i64)> = count.query_async(&mut redis).await;
        let (count, ttl) = self.note(outcome)?;
        Some((count, u64::try_from(ttl).unwrap_or(LIMIT_WINDOW_S)))
    }

    fn admit_locally(&self, user: &str, per_minute: u64) -> Verdict {
        let window = Duration::from_secs(LIMIT_WINDOW_S);
        let mut windows = self.shared.local_limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if windows.len() >= LOCAL_LIMIT_MAX {
            windows.retain(|_, (began, _)| began.elapsed() < window);
        }
        let entry = windows.entry(user.to_owned()).or_insert_with(|| (Instant::now(), 0));
        if entry.0.elapsed() >= window {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
        verdict(entry.1, per_minute, window.saturating_sub(entry.0.elapsed()).as_secs())
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut redis = self.usable()?;
        let outcome = command.query_async(&mut redis).await;
        self.note(outcome)
    }

    fn usable(&self) -> Option<ConnectionManager> {
        let failed_at = *self.shared.failed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match failed_at {
            Some(at) if at.elapsed() < BACK_OFF => None,
            _ => self.redis.clone(),
        }
    }

    fn note<T>(&self, outcome: RedisResult<T>) -> Option<T> {
        let mut failed_at = self.shared.failed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match outcome {
            Ok(value) => {
                if failed_at.take().is_some() {
                    tracing::info!("the cache answers again");
                }
                Some(value)
            }
            Err(error) => {
                self.shared.stats.errors.fetch_add(1, Ordering::Relaxed);
                if failed_at.replace(Instant::now()).is_none() {
                    tracing::warn!(error = %error.category(), "the cache does not answer, going on without it");
                }
                None
            }
        }
    }
}

fn verdict(count: u64, limit: u64, left_s: u64) -> Verdict {
    if count <= limit { Verdict::Allowed } else { Verdict::RetryAfter { seconds: left_s.max(1) } }
}

fn list_key(user: &str, stamp: &str, query: &str) -> String {
    format!("tasks:{user}:{stamp}:{query}")
}

/// Random, not counted up: a Redis that lost its data can never repeat an old stamp.
fn fresh_stamp() -> String {
    let mut bytes = [0u8; 8];
    getrandom::fill(&mut bytes).expect("the kernel provides randomness");
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_redis_the_limit_is_kept_in_the_process() {
        let cache = Cache::connect(None).unwrap();
        for _ in 0..10 {
            assert_eq!(cache.admit_chat("u1", 10).await, Verdict::Allowed);
        }
        assert!(matches!(cache.admit_chat("u1", 10).await, Verdict::RetryAfter { seconds: 1..=60 }));
        assert_eq!(cache.admit_chat("u2", 10).await, Verdict::Allowed);
    }

    #[tokio::test]
    async fn an_unreachable_redis_is_a_miss_and_never_an_error() {
        let cache = Cache::connect(Some("redis://127.0.0.1:1/0")).unwrap();
        assert_eq!(cache.stamp("u1").await, None);
        assert_eq!(cache.list("u1", "s", "q").await, None);
        cache.invalidate("u1").await;
        assert_eq!(cache.admit_chat("u1", 1).await, Verdict::Allowed);
    }
}
