//! Adding tasks: those that come for a user while others of the same user are being written go together, as one write.
//!
//! A user's numbers are taken under a lock that lasts until the disk has the write (see the second migration), so one user's
//! writes come one after the other in any case. Whoever waits here occupies no connection meanwhile, and one
//! statement, one sync of the disk and one word to the cache do for all who wait. Different users do not wait for each other.
//!
//! A write goes on when its caller leaves, because it may be others' too; who left before it began is not written.
//!
//! Start at [`Store::add_task`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqlitePool;
use tokio::sync::oneshot;

use crate::db::Db;
use crate::tasks::{NewTask, Task, TaskRow, columns, keep, now_ms, task};
use crate::{Error, Store, validate};

/// A statement has to stay small enough that nobody waits long for its answer.
const TOGETHER_MAX: usize = 100;

/// Who waits, by user. A user is in here as long as somebody writes for them.
#[derive(Clone, Default)]
pub(crate) struct Adding(Arc<Mutex<HashMap<String, Vec<Waiting>>>>);

struct Waiting {
    draft: Draft,
    answer: oneshot::Sender<Result<Task, Error>>,
}

/// A task that may be stored.
struct Draft {
    title: String,
    description: String,
    due_date: Option<String>,
    title_folded: String,
    description_folded: String,
}

impl Draft {
    fn checked(new: &NewTask) -> Result<Self, Error> {
        let mut errors = Vec::new();
        let title = keep(validate::title(&new.title), &mut errors);
        let description = keep(validate::description(&new.description), &mut errors);
        let due_date = keep(validate::due_date(&new.due_date), &mut errors).flatten();
        let (Some(title), Some(description), true) = (title, description, errors.is_empty()) else {
            return Err(Error::Invalid(errors));
        };
        let (title_folded, description_folded) = (title.to_lowercase(), description.to_lowercase());
        Ok(Self { title, description, due_date, title_folded, description_folded })
    }
}

impl Store {
    /// Adds a task; [`Error::NotFound`] when the user does not exist (any more).
    pub async fn add_task(&self, user: &str, new: &NewTask) -> Result<Task, Error> {
        let draft = Draft::checked(new)?;
        let (answer, answered) = oneshot::channel();
        if let Some(turn) = self.adding.join(user, Waiting { draft, answer }) {
            tokio::spawn(write_all(self.clone(), turn));
        }
        // Only a process that is ending drops an answer.
        answered.await.unwrap_or_else(|_| Err(sqlx::Error::PoolClosed.into()))
    }
}

impl Adding {
    /// Gives the turn to write when nobody has it; whoever has it will not overlook `waiting`.
    fn join(&self, user: &str, waiting: Waiting) -> Option<Turn> {
        let mut all = self.lock();
        if let Some(others) = all.get_mut(user) {
            others.push(waiting);
            return None;
        }
        all.insert(user.to_owned(), vec![waiting]);
        Some(Turn { adding: self.clone(), user: user.to_owned(), is_over: false })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The right to write for a user.
struct Turn {
    adding: Adding,
    user: String,
    is_over: bool,
}

impl Turn {
    /// Who waits now and has not left; none when the turn is over.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut all = self.adding.lock();
        let waiting = all.get_mut(&self.user)?;
        waiting.retain(|waiting| !waiting.answer.is_closed());
        if waiting.is_empty() {
            // Under the lock: who comes later finds nobody and takes the turn.
            all.remove(&self.user);
            self.is_over = true;
            return None;
        }
        let together = waiting.len().min(TOGETHER_MAX);
        Some(waiting.drain(..together).collect())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Something went wrong: nobody may wait for a turn that no longer exists.
        if !self.is_over {
            self.adding.lock().remove(&self.user);
        }
    }
}

async fn write_all(store: Store, mut turn: Turn) {
    while let Some(together) = turn.next() {
        let (drafts, answers): (Vec<Draft>, Vec<_>) =
            together.into_iter().map(|waiting| (waiting.draft, waiting.answer)).unzip();
        let rows = store.insert(&turn.user, &drafts).await;
        // Whatever came of it: a write whose answer was lost may have happened.
        store.announce_change(&turn.user).await;
        let mut outcomes = rows.map(Vec::into_iter).map_err(Arc::new);
        for answer in answers {
            let outcome = match &mut outcomes {
                Ok(rows) => rows.next().map(task).ok_or(Error::NotFound),
                Err(error) => Err(Error::Database(error.clone())),
            };
            // Who has left meanwhile does not want to know.
            let _ = answer.send(outcome);
        }
    }
}

macro_rules! insert_into_tasks {
    () => {
        "insert into tasks (user_id, id, title, description, due_date, title_folded, description_folded, \
         created_at, updated_at, change) "
    };
}

impl Store {
    /// One row for each draft, in their order; none when there is no such user.
    async fn insert(&self, user: &str, drafts: &[Draft]) -> Result<Vec<TaskRow>, sqlx::Error> {
        let mut rows = match &self.db {
            Db::Postgres(desk) => {
                let mut lease = desk.lease().await?;
                let rows = insert_at_once(&mut lease, user, drafts).await;
                lease.returned(rows)?
            }
            Db::Sqlite(pool) => insert_each(pool, user, drafts).await?,
        };
        rows.sort_unstable_by_key(|row| row.0);
        Ok(rows)
    }
}

/// Numbers and tasks in one statement, which is a transaction of its own.
async fn insert_at_once(
    connection: &mut PgConnection,
    user: &str,
    drafts: &[Draft],
) -> Result<Vec<TaskRow>, sqlx::Error> {
    const SQL: &str = concat!(
        "with numbers as (update users set last_change = last_change + $2, last_task_id = last_task_id + $2 \
         where id = $1 returning last_change - $2 as change, last_task_id - $2 as task_id) ",
        insert_into_tasks!(),
        "select $1, numbers.task_id + place, title, description, due_date, title_folded, description_folded, \
         $8, $8, numbers.change + place \
         from numbers, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) with ordinality \
         as drafts (title, description, due_date, title_folded, description_folded, place) returning ",
        columns!()
    );
    let all =
        |text: fn(&Draft) -> &String| drafts.iter().map(|draft| text(draft).as_str()).collect::<Vec<_>>();
    sqlx::query_as(SQL)
        .bind(user)
        .bind(i64::try_from(drafts.len()).unwrap_or(i64::MAX))
        .bind(all(|draft| &draft.title))
        .bind(all(|draft| &draft.description))
        .bind(drafts.iter().map(|draft| draft.due_date.as_deref()).collect::<Vec<_>>())
        .bind(all(|draft| &draft.title_folded))
        .bind(all(|draft| &draft.description_folded))
        .bind(now_ms())
        .fetch_all(connection)
        .await
}

/// SQLite has one writer at a time anyway; the sync of the disk at the end does for all.
async fn insert_each(pool: &SqlitePool, user: &str, drafts: &[Draft]) -> Result<Vec<TaskRow>, sqlx::Error> {
    const TAKE: &str = "update users set last_change = last_change + 1, last_task_id = last_task_id + 1 \
                        where id = $1 returning last_task_id, last_change";
    const INSERT: &str = concat!(
        insert_into_tasks!(),
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9) returning ",
        columns!()
    );
    let mut rows = Vec::with_capacity(drafts.len());
    let mut tx = pool.begin_with("begin immediate").await?;
    for draft in drafts {
        let taken = sqlx::query_as(TAKE).bind(user).fetch_optional(&mut *tx).await?;
        let Some((id, change)): Option<(i64, i64)> = taken else { break };
        let query = sqlx::query_as(INSERT).bind(user).bind(id).bind(&draft.title).bind(&draft.description);
        let query = query.bind(&draft.due_date).bind(&draft.title_folded).bind(&draft.description_folded);
        rows.push(query.bind(now_ms()).bind(change).fetch_one(&mut *tx).await?);
    }
    tx.commit().await?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(title: &str) -> (Waiting, oneshot::Receiver<Result<Task, Error>>) {
        let new = NewTask { title: title.to_owned(), ..NewTask::default() };
        let (answer, answered) = oneshot::channel();
        (Waiting { draft: Draft::checked(&new).unwrap(), answer }, answered)
    }

    fn titles(together: Option<Vec<Waiting>>) -> Vec<String> {
        together.unwrap_or_default().into_iter().map(|waiting| waiting.draft.title).collect()
    }

    #[test]
    fn who_comes_while_somebody_writes_goes_with_the_next_write() {
        let adding = Adding::default();
        let ((first, _a), (second, _b), (third, _c)) = (waiting("1"), waiting("2"), waiting("3"));
        let mut turn = adding.join("ada", first).expect("nobody writes yet");
        assert_eq!(titles(turn.next()), ["1"]);
        assert!(adding.join("ada", second).is_none() && adding.join("ada", third).is_none());
        assert_eq!(titles(turn.next()), ["2", "3"]);
        assert!(turn.next().is_none());
    }

    #[test]
    fn users_do_not_wait_for_each_other() {
        let adding = Adding::default();
        let _ada = adding.join("ada", waiting("1").0).expect("nobody writes yet");
        assert!(adding.join("eve", waiting("1").0).is_some());
    }

    #[test]
    fn after_the_last_write_nothing_is_remembered_and_the_next_one_begins_anew() {
        let adding = Adding::default();
        let mut turn = adding.join("ada", waiting("1").0).expect("nobody writes yet");
        while turn.next().is_some() {}
        let next = adding.join("ada", waiting("2").0);
        drop(turn);
        assert!(next.is_some() && adding.lock().contains_key("ada"));
    }

    #[test]
    fn who_left_before_the_write_is_not_written() {
        let adding = Adding::default();
        let ((first, gone), (second, _b)) = (waiting("1"), waiting("2"));
        let mut turn = adding.join("ada", first).expect("nobody writes yet");
        adding.join("ada", second);
        drop(gone);
        assert_eq!(titles(turn.next()), ["2"]);
    }

    #[test]
    fn a_writer_that_fails_leaves_nobody_waiting() {
        let adding = Adding::default();
        let (first, mut answered) = waiting("1");
        drop(adding.join("ada", first));
        assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
        assert!(adding.join("ada", waiting("2").0).is_some());
    }
}
