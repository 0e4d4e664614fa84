//! The two databases: PostgreSQL for many replicas, SQLite for a laptop.
//!
//! Statements are written once, in the SQL both understand. What differs is here and nowhere else: how they are
//! opened, and that PostgreSQL can move a counter on and use it in one statement, where SQLite takes two in a
//! transaction ([`numbered`]). [`on`] runs the same code on whichever database it is.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use crate::desk::Desk;
use crate::{Error, PoolSize};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a writer waits for another one to finish.
const SQLITE_PATIENCE: Duration = Duration::from_secs(5);
/// Readers do not wait for each other; more connections than this only cost memory.
const SQLITE_CONNECTIONS: u32 = 4;

#[derive(Clone)]
pub(crate) enum Db {
    Postgres(Desk),
    Sqlite(SqlitePool),
}

/// Runs `$query` on a connection to the database in use, which it calls `$connection`; gives its outcome.
macro_rules! on {
    ($db:expr, $connection:ident => $query:expr) => {
        async {
            match $db {
                $crate::db::Db::Postgres(desk) => {
                    let mut lease = desk.lease().await?;
                    let $connection = &mut *lease;
                    let outcome = $query.await;
                    lease.returned(outcome)
                }
                $crate::db::Db::Sqlite($connection) => $query.await,
            }
        }
        .await
    };
}
pub(crate) use on;

/// A write that takes the user's next number of a change; `$1` is the user in both statements.
pub(crate) struct Numbered {
    /// The whole statement.
    pub postgres: &'static str,
    /// Moves the number on; then `sqlite` reads it.
    pub advance: &'static str,
    pub sqlite: &'static str,
}

/// A statement in two halves with the number between them, as the table `numbers` with `change`.
macro_rules! numbered {
    ($before:expr, $after:expr) => {{
        macro_rules! advance {
            () => {
                "update users set last_change = last_change + 1 where id = $1"
            };
        }
        $crate::db::Numbered {
            postgres: concat!(
                "with numbers as (",
                advance!(),
                " returning last_change as change) ",
                $before,
                " numbers ",
                $after
            ),
            advance: advance!(),
            sqlite: concat!(
                $before,
                " (select last_change as change from users where id = $1) as numbers ",
                $after
            ),
        }
    }};
}
pub(crate) use numbered;

/// Runs a [`Numbered`] statement for `$user` and gives the outcome: its row, if it has one. `$query` is the query with the user
/// bound; `$bound` binds the rest.
macro_rules! write_numbered {
    ($db:expr, $user:expr, $sql:expr, $row:ty, $query:ident => $bound:expr) => {
        async {
            match $db {
                $crate::db::Db::Postgres(desk) => {
                    let mut lease = desk.lease().await?;
                    let $query = sqlx::query_as::<_, $row>($sql.postgres).bind($user);
                    let row = $bound.fetch_optional(&mut *lease).await;
                    lease.returned(row)
                }
                $crate::db::Db::Sqlite(pool) => {
                    let mut tx = pool.begin_with("begin immediate").await?;
                    sqlx::query($sql.advance).bind($user).execute(&mut *tx).await?;
                    let $query = sqlx::query_as::<_, $row>($sql.sqlite).bind($user);
                    let row = $bound.fetch_optional(&mut *tx).await?;
                    tx.commit().await?;
                    Ok(row)
                }
            }
        }
        .await
    };
}
pub(crate) use write_numbered;

impl Db {
    /// Prepares connections to `url` (`postgres://...` or `sqlite:FILE`); nothing is opened before the first query.
    pub fn open(url: &str, size: PoolSize) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) => open_sqlite(url).map(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => {
                open_postgres(url, size).map(Desk::new).map(Self::Postgres)
            }
            _ => Err(bad_address("it begins with neither `postgres://` nor `sqlite:`")),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    pub fn usage(&self) -> (u32, usize) {
        match self {
            Self::Postgres(desk) => desk.usage(),
            Self::Sqlite(pool) => (pool.size(), pool.num_idle()),
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Postgres(desk) => desk.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}

fn bad_address(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Address { name: "DATABASE_URL", source: why.into() }
}

fn open_postgres(url: &str, size: PoolSize) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url).map_err(bad_address)?.application_name("todo");
    Ok(PgPoolOptions::new()
        .min_connections(size.min)
        .max_connections(size.max.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(options))
}

/// A write is on disk before it is acknowledged, as with PostgreSQL.
fn open_sqlite(url: &str) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::from_str(url).map_err(bad_address)?;
    if let Some(folder) = options.get_filename().parent().filter(|folder| *folder != Path::new("")) {
        let made = std::fs::create_dir_all(folder);
        made.map_err(bad_address)?;
    }
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(SQLITE_PATIENCE);
    Ok(SqlitePoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(options))
}
