//! Redis: copies of task lists, the chat limit that all replicas share, and word of changes between processes.
//!
//! Invariant: no caller ever sees a Redis error. A read that fails is a miss, a limit that cannot be asked
//! is kept in this process instead, and `degraded` says so to metrics and readiness.
//!
//! The lists of a user are one hash, whose `stamp` every write replaces. A list carries the stamp it was read
//! under, so one that was read before a write and stored after it is never believed. A Redis that was away may have
//! missed writes: lists older than the outage are not believed either, and while this process cannot hear of
//! changes it believes none. A write insists on telling Redis, and catches up later when it could not.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Cmd, RedisResult, cmd, pipe};

use crate::Error;
use crate::live::Live;
use crate::tasks::now_ms;

/// Bounds how long a list can be stale should every other precaution fail.
const LIST_TTL_MS: i64 = 30_000;
const HASH_TTL_S: u64 = 3_600;
/// The channel on which the users are named whose data changed.
const CHANNEL: &str = "todo:changed";
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
/// After a failure Redis is left alone for this long: an outage must not cost every request a timeout.
const BACK_OFF: Duration = Duration::from_secs(1);
const INVALIDATE_TRIES: usize = 3;
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
    /// For the connection that only listens.
    client: Option<redis::Client>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stats: CacheStats,
    failed_at: Mutex<Option<Instant>>,
    local_limits: Mutex<HashMap<String, (Instant, u64)>>,
    /// Grows only while Redis is away, by one name for each user who writes meanwhile.
    missed: Mutex<HashSet<String>>,
    /// Lists stored before this moment (milliseconds since 1970) may have missed a write.
    believed_since_ms: AtomicI64,
    is_deaf: AtomicBool,
}

/// What the cache knows of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// To store the list under, once it was read; none: do not store it.
    pub stamp: Option<String>,
    /// The length of the whole list, and the page as JSON.
    pub page: Option<(i64, String)>,
}

impl Cache {
    pub(crate) fn connect(url: Option<&str>) -> Result<Self, Error> {
        let Some(url) = url else { return Ok(Self { redis: None, client: None, shared: Arc::default() }) };
        let bad = |error: redis::RedisError| Error::Address { name: "REDIS_URL", source: Box::new(error) };
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(RESPONSE_TIMEOUT));
        let client = redis::Client::open(url).map_err(bad)?;
        let redis = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(bad)?;
        Ok(Self { redis: Some(redis), client: Some(client), shared: Arc::default() })
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

    pub(crate) async fn list(&self, user: &str, query: &str) -> Found {
        if self.shared.is_deaf.load(Ordering::Relaxed) {
            return Found::default();
        }
        let mut get = cmd("HMGET");
        get.arg(hash_key(user)).arg("stamp").arg(query);
        let Some((stamp, value)) = self.ask::<(Option<String>, Option<String>)>(&get).await else {
            return Found::default();
        };
        let Some(stamp) = stamp else {
            self.shared.stats.misses.fetch_add(1, Ordering::Relaxed);
            return Found { stamp: self.first_stamp(user).await, page: None };
        };
        let since = (now_ms() - LIST_TTL_MS).max(self.shared.believed_since_ms.load(Ordering::Relaxed));
        let page = value.and_then(|value| read_value(value, &stamp, since));
        let counter = if page.is_some() { &self.shared.stats.hits } else { &self.shared.stats.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        Found { stamp: Some(stamp), page }
    }

    /// None when somebody else was quicker.
    async fn first_stamp(&self, user: &str) -> Option<String> {
        let fresh = fresh_stamp();
        let mut set = cmd("HSETNX");
        set.arg(hash_key(user)).arg("stamp").arg(&fresh);
        (self.ask::<u64>(&set).await? == 1).then_some(fresh)
    }

    pub(crate) async fn store_list(&self, user: &str, stamp: &str, query: &str, total: i64, json: &str) {
        let value = format!("{stamp} {} {total}\n{json}", now_ms());
        let mut set = pipe();
        set.cmd("HSET").arg(hash_key(user)).arg(query).arg(value).ignore();
        set.cmd("EXPIRE").arg(hash_key(user)).arg(HASH_TTL_S).ignore();
        let _: Option<()> = self.ask_all(&set).await;
    }

    /// Makes every stored list of `user` worthless and tells the other processes. Call after the write is
    /// committed, before answering.
    pub(crate) async fn invalidate(&self, user: &str) {
        let key = hash_key(user);
        let mut replace = pipe();
        replace.atomic();
        replace.cmd("DEL").arg(&key).ignore();
        replace.cmd("HSET").arg(&key).arg("stamp").arg(fresh_stamp()).ignore();
        replace.cmd("EXPIRE").arg(&key).arg(HASH_TTL_S).ignore();
        replace.cmd("PUBLISH").arg(CHANNEL).arg(user).ignore();
        let Some(redis) = &self.redis else { return };
        // Also while Redis is otherwise left alone: another process may have reached it again already, and would go on
        // believing its lists. The first try after an outage only finds the connection broken.
        for _ in 0..INVALIDATE_TRIES {
            let outcome: RedisResult<()> = replace.query_async(&mut redis.clone()).await;
            if self.note(outcome).is_some() {
                return;
            }
        }
        self.missed().insert(user.to_owned());
    }

    /// Users whose lists could not be invalidated yet.
    fn missed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.shared.missed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Tells the other processes that something of `user` changed that is in no list.
    pub(crate) async fn announce(&self, user: &str) {
        let _: Option<u64> = self.ask(cmd("PUBLISH").arg(CHANNEL).arg(user)).await;
    }

    /// Hears of changes that other processes made, for ever; see [`crate::Store::listen`].
    pub(crate) async fn listen(&self, live: &Live) {
        let Some(client) = &self.client else { return std::future::pending().await };
        tokio::select! {
            () = self.hear_again_and_again(client, live) => {}
            () = self.catch_up() => {}
        }
    }

    /// Invalidates what could not be when it was written.
    async fn catch_up(&self) {
        loop {
            tokio::time::sleep(RECONNECT_PAUSE).await;
            let missed = std::mem::take(&mut *self.missed());
            for user in missed {
                self.invalidate(&user).await;
            }
        }
    }

    async fn hear_again_and_again(&self, client: &redis::Client, live: &Live) {
        loop {
            self.shared.is_deaf.store(true, Ordering::Relaxed);
            if let Err(error) = self.hear(client, live).await {
                tracing::debug!(error = %error.category(), "changes of other processes are not heard");
            }
            live.set_connected(false);
            live.wake_all();
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    /// Returns when the connection ends.
    async fn hear(&self, client: &redis::Client, live: &Live) -> RedisResult<()> {
        let opening = async {
            let mut connection = client.get_async_pubsub().await?;
            connection.subscribe(CHANNEL).await?;
            Ok(connection)
        };
        let opened: Result<RedisResult<_>, _> = tokio::time::timeout(4 * RESPONSE_TIMEOUT, opening).await;
        let connection = opened.map_err(std::io::Error::from)??;
        // From here on every change is heard, and what was stored before may have missed one.
        self.shared.believed_since_ms.store(now_ms(), Ordering::Relaxed);
        self.shared.is_deaf.store(false, Ordering::Relaxed);
        live.set_connected(true);
        live.wake_all();
        let mut messages = connection.into_on_message();
        while let Some(message) = messages.next().await {
            live.wake(&message.get_payload::<String>()?);
        }
        Ok(())
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

    async fn ask_all<T: redis::FromRedisValue>(&self, commands: &redis::Pipeline) -> Option<T> {
        let mut redis = self.usable()?;
        let outcome = commands.query_async(&mut redis).await;
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
                    self.shared.believed_since_ms.store(now_ms(), Ordering::Relaxed);
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

fn hash_key(user: &str) -> String {
    format!("tasks:{user}")
}

/// The page in a stored value, when it was read under `stamp` and stored at `since_ms` or later.
fn read_value(mut value: String, stamp: &str, since_ms: i64) -> Option<(i64, String)> {
    let (head, _) = value.split_once('\n')?;
    let json_at = head.len() + 1;
    let mut head = head.split(' ');
    let is_current = head.next()? == stamp;
    let is_recent = head.next()?.parse::<i64>().ok()? >= since_ms;
    let total = head.next()?.parse().ok()?;
    // What is left is sent as it lies.
    value.drain(..json_at);
    (is_current && is_recent).then_some((total, value))
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
        assert_eq!(cache.list("u1", "q").await, Found::default());
        cache.invalidate("u1").await;
        assert_eq!(cache.admit_chat("u1", 1).await, Verdict::Allowed);
    }

    #[test]
    fn a_list_is_believed_under_its_stamp_and_while_it_is_recent() {
        let page = Some((7, "[{}]".to_owned()));
        assert_eq!(read_value("ab 100 7\n[{}]".to_owned(), "ab", 100), page);
        assert_eq!(read_value("ab 100 7\n[{}]".to_owned(), "cd", 100), None);
        assert_eq!(read_value("ab 99 7\n[{}]".to_owned(), "ab", 100), None);
        assert_eq!(read_value("garbage".to_owned(), "ab", 0), None);
    }
}
