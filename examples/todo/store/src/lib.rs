//! Everything the application remembers: users, tasks and conversations in PostgreSQL, short-lived copies
//! in Redis.
//!
//! Shared by `backend` and `mcp-server`, so that a task is validated, written and dropped from the cache in
//! one way only. Every query is bound to a user id; there is no way to ask for a task without one.
//! Redis may be absent at any time: reads fall through to PostgreSQL and nothing fails.
//!
//! Start at [`Store::connect`].

mod cache;
mod conversations;
mod migrate;
mod tasks;
mod users;
mod validate;

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use cache::{Cache, CacheStats, Verdict};
pub use conversations::{Message, Role};
pub use tasks::{Change, NewTask, Page, Query, Sort, Status, Task};
pub use users::User;
pub use validate::{
    FieldError, MESSAGE_MAX, TITLE_MAX, email, message, name, password, strip_control, title,
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
    Database(#[from] sqlx::Error),
    #[error("migration `{name}` failed")]
    Migration { name: &'static str, source: sqlx::Error },
    #[error("`{name}` is not a usable address")]
    Address { name: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

/// How many connections one process keeps.
#[derive(Clone, Copy, Debug)]
pub struct PoolSize {
    pub min: u32,
    pub max: u32,
}

/// The database pool and the cache. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    cache: Cache,
}

impl Store {
    /// Prepares connections; nothing is contacted until the first query, so a service can answer its health
    /// check while the database is still starting. Without `redis_url` there is no cache.
    pub fn connect(database_url: &str, redis_url: Option<&str>, size: PoolSize) -> Result<Self, Error> {
        let bad = |error: sqlx::Error| Error::Address { name: "DATABASE_URL", source: Box::new(error) };
        let options = PgConnectOptions::from_str(database_url).map_err(bad)?.application_name("todo");
        let pool = PgPoolOptions::new()
            .min_connections(size.min)
            .max_connections(size.max)
            .acquire_timeout(Duration::from_secs(3))
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        Ok(Self { pool, cache: Cache::connect(redis_url)? })
    }

    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Connections open and idle, for metrics.
    pub fn pool_usage(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Answers whether the database can be reached and has our tables.
    pub async fn check(&self) -> Result<(), Error> {
        sqlx::query("select 1 from schema_migrations limit 1").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes the connections politely; queries in progress finish first.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
