//! What changed for a user since a number: the source of live updates.
//!
//! The database is the truth and numbers are visible in order (see the second migration), so a reader that asks
//! again with the last number it saw misses nothing and hears nothing twice, on whichever replica it asks.
//! A task changed twice between two questions is reported once, as it is now.

use crate::conversations::{Message, MessageRow, message};
use crate::db::on;
use crate::tasks::{Task, columns, task};
use crate::{Error, Store};

/// Changes given at once; a reader far behind asks again.
const BATCH_MAX: i64 = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Saved(Task),
    Deleted(Task),
    Said { conversation: i64, message: Message },
}

type ChangedTask = (i64, String, String, String, bool, Option<String>, i64, i64, i64, Option<i64>);
type ChangedMessage = (String, String, String, i64, i64, i64);

impl Store {
    /// The number of the newest change of `user`; [`Error::NotFound`] when there is no such user.
    pub async fn last_change(&self, user: &str) -> Result<i64, Error> {
        const SQL: &str = "select last_change from users where id = $1";
        let row: Option<(i64,)> =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).fetch_optional(connection))?;
        row.map(|(number,)| number).ok_or(Error::NotFound)
    }

    /// Changes of `user` with numbers above `after`, in order, and the number to ask with next time.
    pub async fn changes(&self, user: &str, after: i64) -> Result<(Vec<(i64, Event)>, i64), Error> {
        // Everything up to here is committed; what comes while the two lists are read is for the next time.
        let newest = self.last_change(user).await?;
        if newest <= after {
            return Ok((Vec::new(), after));
        }
        let tasks = self.changed_tasks(user, after, newest).await?;
        let messages = self.changed_messages(user, after, newest).await?;
        let is_full = |len: usize| i64::try_from(len).is_ok_and(|len| len == BATCH_MAX);
        let mut until = newest;
        for (list, last) in [(tasks.len(), tasks.last()), (messages.len(), messages.last())] {
            if let Some((number, _)) = last.filter(|_| is_full(list)) {
                until = until.min(*number);
            }
        }
        let mut all: Vec<(i64, Event)> =
            tasks.into_iter().chain(messages).filter(|(number, _)| *number <= until).collect();
        all.sort_by_key(|(number, _)| *number);
        Ok((all, until))
    }

    async fn changed_tasks(&self, user: &str, after: i64, newest: i64) -> Result<Vec<(i64, Event)>, Error> {
        const SQL: &str = concat!(
            "select ",
            columns!(),
            ", change, deleted_at from tasks where user_id = $1 and change > $2 and change <= $3 \
             order by change limit $4"
        );
        let rows: Vec<ChangedTask> = on!(&self.db, connection => {
            sqlx::query_as(SQL).bind(user).bind(after).bind(newest).bind(BATCH_MAX).fetch_all(connection)
        })?;
        let event = |(a, b, c, d, e, f, g, h, number, deleted): ChangedTask| {
            let task = task((a, b, c, d, e, f, g, h));
            (number, if deleted.is_some() { Event::Deleted(task) } else { Event::Saved(task) })
        };
        Ok(rows.into_iter().map(event).collect())
    }

    async fn changed_messages(
        &self,
        user: &str,
        after: i64,
        newest: i64,
    ) -> Result<Vec<(i64, Event)>, Error> {
        const SQL: &str = "select role, content, state, created_at, change, conversation_id from messages \
                           where user_id = $1 and change > $2 and change <= $3 order by change limit $4";
        let rows: Vec<ChangedMessage> = on!(&self.db, connection => {
            sqlx::query_as(SQL).bind(user).bind(after).bind(newest).bind(BATCH_MAX).fetch_all(connection)
        })?;
        let event = |(role, content, state, at, number, conversation): ChangedMessage| {
            let row: MessageRow = (role, content, state, at);
            (number, Event::Said { conversation, message: message(row) })
        };
        Ok(rows.into_iter().map(event).collect())
    }
}
