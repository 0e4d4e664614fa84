//! Tasks: reading and writing them, and the list that is served from the cache.
//!
//! Ids are numbered per user from 1 and never reused. Every statement names the user, so another user's task
//! is indistinguishable from one that does not exist. A deleted task is kept for a while, invisible, so that it
//! can be restored.

use futures::TryFutureExt;
use serde::{Deserialize, Serialize};

use crate::db::{numbered, on, write_numbered};
use crate::validate::{self, FieldError};
use crate::{Error, Query, Store};

/// How long a deletion can be undone.
const RESTORE_WINDOW_MS: i64 = 3_600 * 1_000;
/// How long a deleted task is kept at all: other windows and replicas have to hear of its end.
const DELETED_KEPT_MS: i64 = 24 * 3_600 * 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: i64,
    pub user_id: String,
    pub title: String,
    pub description: String,
    pub completed: bool,
    pub due_date: Option<String>,
    /// RFC 3339, UTC.
    pub created_at: String,
    pub updated_at: String,
}

/// Part of a list, and how long the whole list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub tasks: Vec<Task>,
    pub total: i64,
}

/// A [`Page`] whose tasks are a JSON array already: what is cached is what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPage {
    pub tasks: String,
    pub total: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewTask {
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub due_date: String,
}

/// What to change; absent fields stay. An empty `due_date` removes it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Change {
    pub title: Option<String>,
    pub description: Option<String>,
    pub due_date: Option<String>,
    pub completed: Option<bool>,
}

macro_rules! columns {
    () => {
        "id, user_id, title, description, completed, due_date, created_at, updated_at"
    };
}
pub(crate) use columns;

/// A row of [`columns`].
pub(crate) type TaskRow = (i64, String, String, String, bool, Option<String>, i64, i64);
/// A row of a list: a task and the length of the whole list.
type ListRow = (i64, String, String, String, bool, Option<String>, i64, i64, i64);

impl Store {
    /// One page of the tasks of `user`, from the cache where it has it.
    pub async fn list_tasks(&self, user: &str, query: &Query) -> Result<Page, Error> {
        let page = self.list_tasks_json(user, query).await?;
        let tasks = serde_json::from_str(&page.tasks).map_err(Error::Stored)?;
        Ok(Page { tasks, total: page.total })
    }

    /// As [`Store::list_tasks`], as the text of the answer.
    pub async fn list_tasks_json(&self, user: &str, query: &Query) -> Result<JsonPage, Error> {
        let Some(key) = query.cache_key() else { return self.select_tasks(user, query).await };
        let found = self.cache.list(user, &key).await;
        if let Some((total, tasks)) = found.page {
            return Ok(JsonPage { tasks, total });
        }
        let page = self.select_tasks(user, query).await?;
        if let Some(stamp) = found.stamp {
            self.cache.store_list(user, &stamp, &key, page.total, &page.tasks).await;
        }
        Ok(page)
    }

    async fn select_tasks(&self, user: &str, query: &Query) -> Result<JsonPage, Error> {
        let rows: Vec<ListRow> = on!(&self.db, connection => {
            sqlx::query_as(query.sql())
                .bind(user)
                .bind(query.completed())
                .bind(query.pattern())
                .bind(&query.due_before)
                .bind(&query.due_after)
                .bind(query.limit)
                .bind(query.offset)
                .fetch_all(connection)
        })?;
        let total = match rows.first() {
            Some(row) => row.8,
            // Beyond the end there is no row to carry the number.
            None if query.offset > 0 => {
                let start = Query { offset: 0, limit: 1, ..query.clone() };
                return Ok(JsonPage {
                    tasks: "[]".to_owned(),
                    total: Box::pin(self.select_tasks(user, &start)).await?.total,
                });
            }
            None => 0,
        };
        let tasks: Vec<Task> =
            rows.into_iter().map(|(a, b, c, d, e, f, g, h, _)| task((a, b, c, d, e, f, g, h))).collect();
        Ok(JsonPage { tasks: serde_json::to_string(&tasks).map_err(Error::Stored)?, total })
    }

    pub async fn get_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        const SQL: &str = concat!(
            "select ",
            columns!(),
            " from tasks where user_id = $1 and id = $2 and deleted_at is null"
        );
        let row: Option<TaskRow> =
            on!(&self.db, connection => sqlx::query_as(SQL).bind(user).bind(id).fetch_optional(connection))?;
        row.map(task).ok_or(Error::NotFound)
    }

    pub async fn update_task(&self, user: &str, id: i64, change: &Change) -> Result<Task, Error> {
        let mut errors = Vec::new();
        let title = change.title.as_deref().and_then(|text| keep(validate::title(text), &mut errors));
        let description =
            change.description.as_deref().and_then(|text| keep(validate::description(text), &mut errors));
        let due_date =
            change.due_date.as_deref().and_then(|text| keep(validate::due_date(text), &mut errors));
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        let sql = numbered!(
            "update tasks set title = coalesce($3, title), description = coalesce($4, description), \
             completed = coalesce($5, completed), due_date = case when $6 then $7 else due_date end, \
             title_folded = coalesce($8, title_folded), description_folded = coalesce($9, description_folded), \
             updated_at = $10, change = numbers.change from",
            concat!("where user_id = $1 and id = $2 and deleted_at is null returning ", columns!())
        );
        let folded = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        let row = write_numbered!(&self.db, user, sql, TaskRow, query => query
            .bind(id)
            .bind(&title)
            .bind(&description)
            .bind(change.completed)
            .bind(due_date.is_some())
            .bind(due_date.clone().flatten())
            .bind(folded(&title))
            .bind(folded(&description))
            .bind(now_ms()));
        self.changed(user, row).await
    }

    /// Turns pending into completed and back.
    pub async fn toggle_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        let sql = numbered!(
            "update tasks set completed = not completed, updated_at = $3, change = numbers.change from",
            concat!("where user_id = $1 and id = $2 and deleted_at is null returning ", columns!())
        );
        let row = write_numbered!(&self.db, user, sql, TaskRow, query => query.bind(id).bind(now_ms()));
        self.changed(user, row).await
    }

    /// Deletes and returns what was deleted; [`Store::restore_task`] brings it back.
    pub async fn delete_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        let sql = numbered!(
            "update tasks set deleted_at = $3, change = numbers.change from",
            concat!("where user_id = $1 and id = $2 and deleted_at is null returning ", columns!())
        );
        let row = write_numbered!(&self.db, user, sql, TaskRow, query => query.bind(id).bind(now_ms()));
        self.changed(user, row).await
    }

    /// Undoes a deletion of the last hour. A task that is not deleted stays as it is.
    pub async fn restore_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        let sql = numbered!(
            "update tasks set deleted_at = null, change = numbers.change from",
            concat!(
                "where user_id = $1 and id = $2 and (deleted_at is null or deleted_at >= $3) returning ",
                columns!()
            )
        );
        let oldest = now_ms() - RESTORE_WINDOW_MS;
        let row = write_numbered!(&self.db, user, sql, TaskRow, query => query.bind(id).bind(oldest));
        self.changed(user, row).await
    }

    /// Removes for good what was deleted long ago; gives how many tasks that were.
    pub async fn purge_deleted(&self) -> Result<u64, Error> {
        const SQL: &str = "delete from tasks where deleted_at < $1";
        let oldest = now_ms() - DELETED_KEPT_MS;
        let purged = on!(&self.db, connection => {
            sqlx::query(SQL).bind(oldest).execute(connection).map_ok(|done| done.rows_affected())
        })?;
        Ok(purged)
    }

    /// After every write, whatever came of it: one whose answer was lost may have happened.
    async fn changed(
        &self,
        user: &str,
        outcome: Result<Option<TaskRow>, sqlx::Error>,
    ) -> Result<Task, Error> {
        self.announce_change(user).await;
        outcome?.map(task).ok_or(Error::NotFound)
    }

    /// Before anybody is told that the write happened.
    pub(crate) async fn announce_change(&self, user: &str) {
        self.cache.invalidate(user).await;
        self.live.wake(user);
    }
}

pub(crate) fn keep<T>(checked: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    checked.map_err(|error| errors.push(error)).ok()
}

pub(crate) fn task(row: TaskRow) -> Task {
    let (id, user_id, title, description, completed, due_date, created_at, updated_at) = row;
    let (created_at, updated_at) = (rfc3339(created_at), rfc3339(updated_at));
    Task { id, user_id, title, description, completed, due_date, created_at, updated_at }
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

pub(crate) fn rfc3339(ms: i64) -> String {
    let moment = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
