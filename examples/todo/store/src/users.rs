//! Users and the tokens they logged out of. Passwords arrive here as hashes only.

use sqlx::Row;

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

impl Store {
    /// Registers a user under a fresh id; [`Error::EmailTaken`] when somebody has the address.
    pub async fn add_user(&self, id: &str, email: &str, name: &str, hash: &str) -> Result<User, Error> {
        let now = now_ms();
        sqlx::query(
            "insert into users (id, email, name, password_hash, created_at) values ($1, $2, $3, $4, $5)",
        )
        .bind(id)
        .bind(email)
        .bind(name)
        .bind(hash)
        .bind(now)
        .execute(&self.pool)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(reason) if reason.is_unique_violation() => Error::EmailTaken,
            _ => Error::Database(error),
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
        self.user("select * from users where email = $1", email).await
    }

    pub async fn user_by_id(&self, id: &str) -> Result<User, Error> {
        self.user("select * from users where id = $1", id).await
    }

    async fn user(&self, sql: &'static str, key: &str) -> Result<User, Error> {
        let row = sqlx::query(sql).bind(key).fetch_optional(&self.pool).await?.ok_or(Error::NotFound)?;
        Ok(User {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            password_hash: row.try_get("password_hash")?,
            created_at: rfc3339(row.try_get("created_at")?),
        })
    }

    /// Remembers that token `id` is void until it would have expired anyway.
    pub async fn revoke_token(&self, id: &str, expires_at_s: u64) -> Result<(), Error> {
        sqlx::query("insert into revoked_tokens (id, expires_at) values ($1, $2) on conflict do nothing")
            .bind(id)
            .bind(i64::try_from(expires_at_s).unwrap_or(i64::MAX))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    pub async fn is_revoked(&self, id: &str) -> Result<bool, Error> {
        let row = sqlx::query("select 1 from revoked_tokens where id = $1").bind(id);
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }

    /// Forgets revocations that no longer matter at `now_s`.
    pub async fn sweep_revoked(&self, now_s: u64) -> Result<u64, Error> {
        let now_s = i64::try_from(now_s).unwrap_or(i64::MAX);
        let swept = sqlx::query("delete from revoked_tokens where expires_at < $1").bind(now_s);
        Ok(swept.execute(&self.pool).await?.rows_affected())
    }
}
