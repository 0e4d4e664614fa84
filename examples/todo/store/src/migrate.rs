//! Brings the schema up to date: every migration runs once, all pending ones in one transaction.
//!
//! Many replicas start at once, so an advisory lock lets one migrate while the others wait; it is bound to
//! the transaction and cannot be left behind by a crash.

use crate::{Error, Store};

/// Any number does, as long as nobody else in the database uses it.
const LOCK: i64 = 0x746f_646f;

const MIGRATIONS: &[(i32, &str, &str)] = &[(1, "init", include_str!("../migrations/0001_init.sql"))];

const CREATE_LEDGER: &str = "create table if not exists schema_migrations \
    (version integer primary key, name text not null, applied_at timestamptz not null default now())";

impl Store {
    /// Applies what is missing and returns how many migrations that were.
    pub async fn migrate(&self) -> Result<usize, Error> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
        sqlx::query(CREATE_LEDGER).execute(&mut *tx).await?;
        let done: Vec<(i32,)> =
            sqlx::query_as("select version from schema_migrations").fetch_all(&mut *tx).await?;
        let mut applied = 0;
        for &(version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| !done.contains(&(*version,))) {
            let failed = |source| Error::Migration { name, source };
            sqlx::raw_sql(sql).execute(&mut *tx).await.map_err(failed)?;
            sqlx::query("insert into schema_migrations (version, name) values ($1, $2)")
                .bind(version)
                .bind(name)
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
            applied += 1;
        }
        tx.commit().await?;
        Ok(applied)
    }
}
