//! Conversations: the messages of a user and the assistant, in order.
//!
//! The `state` of an assistant message is JSON that only the backend's chat understands.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::tasks::{now_ms, rfc3339};
use crate::{Error, Store};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
    pub state: String,
    pub created_at: String,
}

impl Store {
    pub async fn new_conversation(&self, user: &str) -> Result<i64, Error> {
        let sql =
            "insert into conversations (user_id, created_at, updated_at) values ($1, $2, $2) returning id";
        let row = sqlx::query(sql).bind(user).bind(now_ms()).fetch_one(&self.pool).await?;
        Ok(row.try_get("id")?)
    }

    /// The conversation `id` if it belongs to `user`.
    pub async fn conversation(&self, user: &str, id: i64) -> Result<i64, Error> {
        let sql = "select id from conversations where user_id = $1 and id = $2";
        let row = sqlx::query(sql).bind(user).bind(id).fetch_optional(&self.pool).await?;
        Ok(row.ok_or(Error::NotFound)?.try_get("id")?)
    }

    /// The conversation used last, if there is one.
    pub async fn latest_conversation(&self, user: &str) -> Result<Option<i64>, Error> {
        let sql = "select id from conversations where user_id = $1 order by updated_at desc, id desc limit 1";
        let row = sqlx::query(sql).bind(user).fetch_optional(&self.pool).await?;
        Ok(row.map(|row| row.try_get("id")).transpose()?)
    }

    /// The newest `limit` messages, oldest first.
    pub async fn history(&self, user: &str, conversation: i64, limit: i64) -> Result<Vec<Message>, Error> {
        let sql = "select role, content, state, created_at from messages \
                   where user_id = $1 and conversation_id = $2 order by id desc limit $3";
        let rows = sqlx::query(sql).bind(user).bind(conversation).bind(limit).fetch_all(&self.pool).await?;
        Ok(rows.iter().rev().map(message).collect::<Result<_, _>>()?)
    }

    pub async fn add_message(
        &self,
        user: &str,
        conversation: i64,
        role: Role,
        content: &str,
        state: &str,
    ) -> Result<(), Error> {
        let sql = "with touched as (update conversations set updated_at = $6 where id = $1 and user_id = $2 \
                   returning id) insert into messages (conversation_id, user_id, role, content, state, created_at) \
                   select id, $2, $3, $4, $5, $6 from touched";
        let role = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let done = sqlx::query(sql)
            .bind(conversation)
            .bind(user)
            .bind(role)
            .bind(content)
            .bind(state)
            .bind(now_ms())
            .execute(&self.pool)
            .await?;
        if done.rows_affected() == 0 { Err(Error::NotFound) } else { Ok(()) }
    }

    /// Forgets every conversation of `user`.
    pub async fn clear_conversations(&self, user: &str) -> Result<(), Error> {
        sqlx::query("delete from conversations where user_id = $1").bind(user).execute(&self.pool).await?;
        Ok(())
    }
}

fn message(row: &PgRow) -> Result<Message, sqlx::Error> {
    let role: String = row.try_get("role")?;
    Ok(Message {
        role: if role == "user" { Role::User } else { Role::Assistant },
        content: row.try_get("content")?,
        state: row.try_get("state")?,
        created_at: rfc3339(row.try_get("created_at")?),
    })
}
