//! Brings the schema up to date: every migration runs once, all pending ones in one transaction.
//!
//! Many replicas start at once, so one migrates while the others wait: behind an advisory lock that is bound to the
//! transaction and cannot be left behind by a crash, or behind SQLite's only writer.
//! The files are written for PostgreSQL; [`translated`] is all that SQLite needs.

use std::borrow::Cow;

use sqlx::{AssertSqlSafe, Connection};

use crate::db::{Db, on};
use crate::{Error, Store};

/// Any number does, as long as nobody else in the database uses it.
const LOCK: i64 = 0x746f_646f;

const MIGRATIONS: &[(i32, &str, &str)] = &[
    (1, "init", include_str!("../migrations/0001_init.sql")),
    (2, "changes", include_str!("../migrations/0002_changes.sql")),
];

const CREATE_LEDGER: &str = "create table if not exists schema_migrations \
    (version integer primary key, name text not null, applied_at timestamp not null default current_timestamp)";

/// Applies to an open transaction what its ledger lacks; gives the number of migrations that were.
macro_rules! apply {
    ($tx:expr, $translate:expr) => {{
        sqlx::query(CREATE_LEDGER).execute(&mut *$tx).await?;
        let done: Vec<(i32,)> =
            sqlx::query_as("select version from schema_migrations").fetch_all(&mut *$tx).await?;
        let mut applied = 0;
        for &(version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| !done.contains(&(*version,))) {
            let failed = |source| Error::Migration { name, source };
            let sql: Cow<'static, str> = $translate(sql);
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *$tx).await.map_err(failed)?;
            let note = sqlx::query("insert into schema_migrations (version, name) values ($1, $2)");
            note.bind(version).bind(name).execute(&mut *$tx).await.map_err(failed)?;
            applied += 1;
        }
        applied
    }};
}

impl Store {
    /// Applies what is missing and returns how many migrations that were.
    pub async fn migrate(&self) -> Result<usize, Error> {
        match &self.db {
            Db::Postgres(desk) => {
                let mut lease = desk.lease().await?;
                let mut tx = lease.begin().await?;
                sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
                let applied = apply!(tx, Cow::Borrowed);
                tx.commit().await?;
                Ok(applied)
            }
            Db::Sqlite(pool) => {
                let mut tx = pool.begin_with("begin immediate").await?;
                let applied = apply!(tx, translated);
                tx.commit().await?;
                Ok(applied)
            }
        }
    }

    /// Answers whether the database can be reached and has all our tables.
    pub async fn check(&self) -> Result<(), Error> {
        let newest = MIGRATIONS.last().map_or(0, |(version, ..)| *version);
        let found: Option<(i32,)> = on!(&self.db, connection => {
            sqlx::query_as("select version from schema_migrations where version = $1")
                .bind(newest)
                .fetch_optional(connection)
        })?;
        found.map(drop).ok_or(Error::NotMigrated)
    }
}

fn translated(sql: &'static str) -> Cow<'static, str> {
    const IDENTITY: &str = "bigint generated always as identity primary key";
    Cow::Owned(sql.replace(IDENTITY, "integer primary key autoincrement"))
}
