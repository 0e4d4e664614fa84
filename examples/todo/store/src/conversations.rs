//! Conversations: the messages of a user and the assistant, in order.
//!
//! The `state` of an assistant message is JSON that only the backend's chat understands.

use futures::TryFutureExt;
use serde::{Deserialize, Serialize};

use crate::db::{numbered, on, write_numbered};
use crate::tasks::{now_ms, rfc3339};
use crate::{Error, Store};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
    pub state: String,
    pub created_at: String,
}

/// Role, content, state, time.
pub(crate) type MessageRow = (String, String, String, i64);

impl Store {
    pub async fn new_conversation(&self, user: &str) -> Result<i64, Error> {
        const SQL: &str =
            "insert into conversations (user_id, created_at, updated_at) values ($1, $2, $2) returning id";
        let (id,): (i64,) =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).bind(now_ms()).fetch_one(connection))?;
        Ok(id)
    }

    /// The conversation `id` if it belongs to `user`.
    pub async fn conversation(&self, user: &str, id: i64) -> Result<i64, Error> {
        const SQL: &str = "select id from conversations where user_id = $1 and id = $2";
        let row: Option<(i64,)> =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).bind(id).fetch_optional(connection))?;
        row.map(|(id,)| id).ok_or(Error::NotFound)
    }

    /// The conversation used last, if there is one.
    pub async fn latest_conversation(&self, user: &str) -> Result<Option<i64>, Error> {
        const SQL: &str =
            "select id from conversations where user_id = $1 order by updated_at desc, id desc limit 1";
        let row: Option<(i64,)> =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).fetch_optional(connection))?;
        Ok(row.map(|(id,)| id))
    }

    /// The newest `limit` messages, oldest first.
    pub async fn history(&self, user: &str, conversation: i64, limit: i64) -> Result<Vec<Message>, Error> {
        const SQL: &str = "select role, content, state, created_at from messages \
                           where user_id = $1 and conversation_id = $2 order by id desc limit $3";
        let rows: Vec<MessageRow> = on!(&self.db, connection => {
            sqlx::query_as(SQL).bind(user).bind(conversation).bind(limit).fetch_all(connection)
        })?;
        Ok(rows.into_iter().rev().map(message).collect())
    }

    /// Appends to a conversation of `user`; [`Error::NotFound`] when it is gone or somebody else's.
    pub async fn add_message(
        &self,
        user: &str,
        conversation: i64,
        role: Role,
        content: &str,
        state: &str,
    ) -> Result<(), Error> {
        const TOUCH: &str = "update conversations set updated_at = $3 where user_id = $1 and id = $2";
        let sql = numbered!(
            "insert into messages (conversation_id, user_id, role, content, state, created_at, change) \
             select conversations.id, $1, $2, $3, $4, $5, numbers.change from conversations,",
            "where conversations.id = $6 and conversations.user_id = $1 returning id"
        );
        let now = now_ms();
        let row = write_numbered!(&self.db, user, sql, (i64,), query => query
            .bind(role.name())
            .bind(content)
            .bind(state)
            .bind(now)
            .bind(conversation));
        self.live.wake(user);
        row?.ok_or(Error::NotFound)?;
        on!(&self.db, connection => {
            sqlx::query(TOUCH).bind(user).bind(conversation).bind(now).execute(connection).map_ok(drop)
        })?;
        self.cache.announce(user).await;
        Ok(())
    }

    /// Forgets every conversation of `user`.
    pub async fn clear_conversations(&self, user: &str) -> Result<(), Error> {
        const SQL: &str = "delete from conversations where user_id = $1";
        on!(&self.db, connection => sqlx::query(SQL).bind(user).execute(connection).map_ok(drop))?;
        Ok(())
    }
}

pub(crate) fn message((role, content, state, created_at): MessageRow) -> Message {
    let role = if role == "user" { Role::User } else { Role::Assistant };
    Message { role, content, state, created_at: rfc3339(created_at) }
}
