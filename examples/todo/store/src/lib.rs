//! Everything the application remembers: users, tasks and conversations in PostgreSQL or SQLite, short-lived copies
//! in Redis.
//!
//! Shared by `backend` and `mcp-server`, so that a task is validated, written and dropped from the cache in
//! one way only. Every query is bound to a user id; there is no way to ask for a task without one.
//! Redis may be absent at any time: reads fall through to the database and nothing fails.
//!
//! Start at [`Store::connect`]; statements that both databases understand are run by [`db`].

mod adding;
mod cache;
mod changes;
mod conversations;
mod db;
mod desk;
mod live;
mod migrate;
mod query;
mod tasks;
mod users;
mod validate;

use std::sync::Arc;

use adding::Adding;
use db::Db;

pub use cache::{Cache, CacheStats, Verdict};
pub use changes::Event;
pub use conversations::{Message, Role};
pub use live::{Live, Subscription};
pub use query::{Order, PAGE_MAX, Query, Sort, Status};
pub use tasks::{Change, JsonPage, NewTask, Page, Task};
pub use users::User;
pub use validate::{
    DESCRIPTION_MAX, FieldError, MESSAGE_MAX, TITLE_MAX, email, message, name, password, strip_control, title,
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such record")]
    NotFound,
    #[error("the input is not valid")]
    Invalid(Vec<FieldError>),
    #[error("that email address is already registered")]
    EmailTaken,
    #[error("the database cannot be used")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("the migrations of this version have not run yet")]
    NotMigrated,
    #[error("migration `{name}` failed")]
    Migration { name: &'static str, source: sqlx::Error },
    #[error("a stored list cannot be read")]
    Stored(#[source] serde_json::Error),
    #[error("`{name}` is not a usable address")]
    Address { name: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        Self::Database(Arc::new(source))
    }
}

/// How many connections one process keeps (PostgreSQL only).
#[derive(Clone, Copy, Debug)]
pub struct PoolSize {
    pub min: u32,
    pub max: u32,
}

/// The database pool and the cache. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Db,
    cache: Cache,
    live: Live,
    adding: Adding,
}

impl Store {
    /// Prepares connections; nothing is contacted until the first query, so a service can answer its health
    /// check while the database is still starting. `database_url` begins with `postgres://` or `sqlite:`.
    /// Without `redis_url` there is no cache.
    pub fn connect(database_url: &str, redis_url: Option<&str>, size: PoolSize) -> Result<Self, Error> {
        let db = Db::open(database_url, size)?;
        Ok(Self { db, cache: Cache::connect(redis_url)?, live: Live::default(), adding: Adding::default() })
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Who waits for changes in this process.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Hears through Redis what other processes change: wakes who waits here, and knows when cached lists cannot be
    /// believed. Runs for ever; a process that serves lists or live updates runs it once.
    pub async fn listen(&self) {
        self.cache.listen(&self.live).await;
    }

    /// `postgres` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        self.db.name()
    }

    /// Name, help, whether it only grows, and value of what the store counts, for metrics.
    pub fn readings(&self) -> [(&'static str, &'static str, bool, u64); 5] {
        use std::sync::atomic::Ordering::Relaxed;
        let (size, idle) = self.pool_usage();
        let stats = self.cache.stats();
        [
            ("db_pool_connections", "Open connections to the database", false, u64::from(size)),
            ("db_pool_idle", "Connections nobody uses right now", false, idle as u64),
            ("cache_hits", "Task lists served from Redis", true, stats.hits.load(Relaxed)),
            ("cache_misses", "Task lists not found in Redis", true, stats.misses.load(Relaxed)),
            ("cache_errors", "Questions Redis did not answer", true, stats.errors.load(Relaxed)),
        ]
    }

    /// Connections open and idle, for metrics.
    pub fn pool_usage(&self) -> (u32, usize) {
        self.db.usage()
    }

    /// Closes the connections politely; queries in progress finish first.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
