//! Tasks: the queries, and the list that is served from the cache.
//!
//! Ids are numbered per user from 1 and never reused. Every statement names the user, so another user's task
//! is indistinguishable from one that does not exist.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::validate::{self, FieldError};
use crate::{Error, Store};

const PAGE_MAX: i64 = 500;

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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    All,
    Pending,
    Completed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    #[default]
    Created,
    Title,
    DueDate,
}

/// Which tasks, in which order, which part of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Query {
    pub status: Status,
    pub sort: Sort,
    /// Only titles that contain this text, whatever the case.
    pub search: String,
    pub limit: i64,
    pub offset: i64,
}

impl Default for Query {
    fn default() -> Self {
        Self { status: Status::All, sort: Sort::Created, search: String::new(), limit: PAGE_MAX, offset: 0 }
    }
}

/// Part of a list, and how long the whole list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub tasks: Vec<Task>,
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

macro_rules! list_sorted_by {
    ($order:literal) => {
        concat!(
            "select ",
            columns!(),
            ", count(*) over () as total from tasks where user_id = $1 and ($2::boolean is null or completed = $2) \
             and ($3 = '' or strpos(lower(title), lower($3)) > 0) order by ",
            $order,
            " limit $4 offset $5"
        )
    };
}

impl Store {
    /// One page of the tasks of `user`, from the cache where it has it.
    pub async fn list_tasks(&self, user: &str, query: &Query) -> Result<Page, Error> {
        let limit = query.limit.clamp(1, PAGE_MAX);
        let offset = query.offset.max(0);
        let key = format!("{:?}:{:?}:{limit}:{offset}:{}", query.status, query.sort, query.search);
        let stamp = self.cache.stamp(user).await;
        if let Some(stamp) = &stamp
            && let Some(json) = self.cache.list(user, stamp, &key).await
            && let Ok(page) = serde_json::from_str(&json)
        {
            return Ok(page);
        }
        let page = self.select_tasks(user, query, limit, offset).await?;
        if let (Some(stamp), Ok(json)) = (&stamp, serde_json::to_string(&page)) {
            self.cache.store_list(user, stamp, &key, &json).await;
        }
        Ok(page)
    }

    async fn select_tasks(&self, user: &str, query: &Query, limit: i64, offset: i64) -> Result<Page, Error> {
        let sql = match query.sort {
            Sort::Created => list_sorted_by!("id"),
            Sort::Title => list_sorted_by!("lower(title), id"),
            Sort::DueDate => list_sorted_by!("due_date nulls last, id"),
        };
        let completed = match query.status {
            Status::All => None,
            Status::Pending => Some(false),
            Status::Completed => Some(true),
        };
        let rows = sqlx::query(sql)
            .bind(user)
            .bind(completed)
            .bind(&query.search)
            .bind(limit)
            .bind(offset)
            .fetch_all(&self.pool)
            .await?;
        let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
        let tasks = rows.iter().map(task).collect::<Result<_, _>>()?;
        Ok(Page { tasks, total })
    }

    pub async fn get_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        const SQL: &str = concat!("select ", columns!(), " from tasks where user_id = $1 and id = $2");
        let row = sqlx::query(SQL).bind(user).bind(id).fetch_optional(&self.pool).await?;
        Ok(task(&row.ok_or(Error::NotFound)?)?)
    }

    /// Adds a task; [`Error::NotFound`] when the user does not exist (any more).
    pub async fn add_task(&self, user: &str, new: &NewTask) -> Result<Task, Error> {
        const SQL: &str = concat!(
            "with numbered as (update users set last_task_id = last_task_id + 1 where id = $1 returning last_task_id) \
             insert into tasks (user_id, id, title, description, due_date, created_at, updated_at) \
             select $1, last_task_id, $2, $3, $4, $5, $5 from numbered returning ",
            columns!()
        );
        let mut errors = Vec::new();
        let title = keep(validate::title(&new.title), &mut errors);
        let description = keep(validate::description(&new.description), &mut errors);
        let due_date = keep(validate::due_date(&new.due_date), &mut errors).flatten();
        let (Some(title), Some(description), true) = (title, description, errors.is_empty()) else {
            return Err(Error::Invalid(errors));
        };
        let row = sqlx::query(SQL)
            .bind(user)
            .bind(title)
            .bind(description)
            .bind(due_date)
            .bind(now_ms())
            .fetch_optional(&self.pool)
            .await?;
        self.cache.invalidate(user).await;
        Ok(task(&row.ok_or(Error::NotFound)?)?)
    }

    pub async fn update_task(&self, user: &str, id: i64, change: &Change) -> Result<Task, Error> {
        const SQL: &str = concat!(
            "update tasks set title = coalesce($3, title), description = coalesce($4, description), \
             completed = coalesce($5, completed), due_date = case when $6 then $7 else due_date end, \
             updated_at = $8 where user_id = $1 and id = $2 returning ",
            columns!()
        );
        let mut errors = Vec::new();
        let title = change.title.as_deref().and_then(|text| keep(validate::title(text), &mut errors));
        let description =
            change.description.as_deref().and_then(|text| keep(validate::description(text), &mut errors));
        let due_date =
            change.due_date.as_deref().and_then(|text| keep(validate::due_date(text), &mut errors));
        if !errors.is_empty() {
            return Err(Error::Invalid(errors));
        }
        let row = sqlx::query(SQL)
            .bind(user)
            .bind(id)
            .bind(title)
            .bind(description)
            .bind(change.completed)
            .bind(due_date.is_some())
            .bind(due_date.flatten())
            .bind(now_ms())
            .fetch_optional(&self.pool)
            .await?;
        self.cache.invalidate(user).await;
        Ok(task(&row.ok_or(Error::NotFound)?)?)
    }

    /// Turns pending into completed and back.
    pub async fn toggle_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        const SQL: &str = concat!(
            "update tasks set completed = not completed, updated_at = $3 where user_id = $1 and id = $2 returning ",
            columns!()
        );
        let row = sqlx::query(SQL).bind(user).bind(id).bind(now_ms()).fetch_optional(&self.pool).await?;
        self.cache.invalidate(user).await;
        Ok(task(&row.ok_or(Error::NotFound)?)?)
    }

    /// Deletes and returns what was deleted.
    pub async fn delete_task(&self, user: &str, id: i64) -> Result<Task, Error> {
        const SQL: &str = concat!("delete from tasks where user_id = $1 and id = $2 returning ", columns!());
        let row = sqlx::query(SQL).bind(user).bind(id).fetch_optional(&self.pool).await?;
        self.cache.invalidate(user).await;
        Ok(task(&row.ok_or(Error::NotFound)?)?)
    }
}

fn keep<T>(checked: Result<T, FieldError>, errors: &mut Vec<FieldError>) -> Option<T> {
    checked.map_err(|error| errors.push(error)).ok()
}

fn task(row: &PgRow) -> Result<Task, sqlx::Error> {
    Ok(Task {
        id: row.try_get("id")?,
        user_id: row.try_get("user_id")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        completed: row.try_get("completed")?,
        due_date: row.try_get("due_date")?,
        created_at: rfc3339(row.try_get("created_at")?),
        updated_at: rfc3339(row.try_get("updated_at")?),
    })
}

pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

pub(crate) fn rfc3339(ms: i64) -> String {
    let moment = chrono::DateTime::from_timestamp_millis(ms).unwrap_or_default();
    moment.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
