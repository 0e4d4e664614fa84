//! Users and the tokens they logged out of. Passwords arrive here as hashes only.

use futures::TryFutureExt;

use crate::db::on;
use crate::tasks::{now_ms, rfc3339};
use crate::{Error, Store};

#[derive(Clone, Debug)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
    pub password_hash: String,
    pub created_at: String,
}

macro_rules! columns {
    () => {
        "id, email, name, password_hash, created_at"
    };
}

impl Store {
    /// Registers a user under a fresh id; [`Error::EmailTaken`] when somebody has the address.
    pub async fn add_user(&self, id: &str, email: &str, name: &str, hash: &str) -> Result<User, Error> {
        let now = now_ms();
        const SQL: &str =
            "insert into users (id, email, name, password_hash, created_at) values ($1, $2, $3, $4, $5)";
        on!(&self.db, connection => {
            sqlx::query(SQL).bind(id).bind(email).bind(name).bind(hash).bind(now).execute(connection).map_ok(drop)
        })
        .map_err(|error| match error.as_database_error() {
            Some(reason) if reason.is_unique_violation() => Error::EmailTaken,
            _ => error.into(),
        })?;
        Ok(User {
            id: id.to_owned(),
            email: email.to_owned(),
            name: name.to_owned(),
            password_hash: hash.to_owned(),
            created_at: rfc3339(now),
        })
    }

    pub async fn user_by_email(&self, email: &str) -> Result<User, Error> {
        self.user(concat!("select ", columns!(), " from users where email = $1"), email).await
    }

    pub async fn user_by_id(&self, id: &str) -> Result<User, Error> {
        self.user(concat!("select ", columns!(), " from users where id = $1"), id).await
    }

    async fn user(&self, sql: &'static str, key: &str) -> Result<User, Error> {
        let row: Option<(String, String, String, String, i64)> =
            on!(&self.db, connection => sqlx::query_as(sql).bind(key).fetch_optional(connection))?;
        let (id, email, name, password_hash, created_at) = row.ok_or(Error::NotFound)?;
        Ok(User { id, email, name, password_hash, created_at: rfc3339(created_at) })
    }

    /// Remembers that token `id` is void until it would have expired anyway.
    pub async fn revoke_token(&self, id: &str, expires_at_s: u64) -> Result<(), Error> {
        const SQL: &str =
            "insert into revoked_tokens (id, expires_at) values ($1, $2) on conflict do nothing";
        let expires_at = i64::try_from(expires_at_s).unwrap_or(i64::MAX);
        on!(&self.db, connection => {
            sqlx::query(SQL).bind(id).bind(expires_at).execute(connection).map_ok(drop)
        })?;
        Ok(())
    }

    /// Whether a session counts: its user exists, and nobody logged out of token `id`.
    pub async fn is_session_open(&self, id: &str, user: &str) -> Result<bool, Error> {
        const SQL: &str = "select id from users where id = $1 \
                           and not exists (select 1 from revoked_tokens where revoked_tokens.id = $2)";
        let row: Option<(String,)> =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).bind(id).fetch_optional(connection))?;
        Ok(row.is_some())
    }

    /// Forgets revocations that no longer matter at `now_s`.
    pub async fn sweep_revoked(&self, now_s: u64) -> Result<u64, Error> {
        const SQL: &str = "delete from revoked_tokens where expires_at < $1";
        let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
        let swept = on!(&self.db, connection => {
            sqlx::query(SQL).bind(now_s).execute(connection).map_ok(|done| done.rows_affected())
        })?;
        Ok(swept)
    }
}
