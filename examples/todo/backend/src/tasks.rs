//! The task routes of the REST contract. Who may see what is settled by [`Session`] before they run.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use store::{Change, FieldError, NewTask, Task};

use crate::app::App;
use crate::auth::Session;
use crate::error::{ApiError, Result};

type TaskPath = std::result::Result<Path<(String, i64)>, PathRejection>;

/// An array of tasks; the header `x-total-count` says how many there are beyond this page.
pub async fn list(
    State(app): State<App>,
    session: Session,
    query: std::result::Result<Query<store::Query>, QueryRejection>,
) -> Result<Response> {
    let Query(query) = query.map_err(|_| {
        let message = "use status=all|pending|completed, sort=created|title|due_date, search, limit, offset";
        ApiError::Invalid(vec![FieldError::new("query", message)])
    })?;
    let query = store::Query { search: store::strip_control(&query.search, false), ..query };
    if query.search.chars().count() > store::TITLE_MAX {
        return Err(ApiError::Invalid(vec![FieldError::new("search", "is too long")]));
    }
    let page = app.store.list_tasks(&session.user_id, &query).await?;
    Ok(([("x-total-count", page.total.to_string())], Json(page.tasks)).into_response())
}

pub async fn add(
    State(app): State<App>,
    session: Session,
    body: std::result::Result<Json<NewTask>, JsonRejection>,
) -> Result<(StatusCode, Json<Task>)> {
    let Json(new) = body?;
    match app.store.add_task(&session.user_id, &new).await {
        // The token outlived its user.
        Err(store::Error::NotFound) => Err(ApiError::BadToken),
        outcome => Ok((StatusCode::CREATED, Json(outcome?))),
    }
}

pub async fn get(State(app): State<App>, session: Session, path: TaskPath) -> Result<Json<Task>> {
    Ok(Json(app.store.get_task(&session.user_id, task_id(path)?).await?))
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    path: TaskPath,
    body: std::result::Result<Json<Change>, JsonRejection>,
) -> Result<Json<Task>> {
    let id = task_id(path)?;
    let Json(change) = body?;
    Ok(Json(app.store.update_task(&session.user_id, id, &change).await?))
}

pub async fn toggle(State(app): State<App>, session: Session, path: TaskPath) -> Result<Json<Task>> {
    Ok(Json(app.store.toggle_task(&session.user_id, task_id(path)?).await?))
}

pub async fn delete(State(app): State<App>, session: Session, path: TaskPath) -> Result<StatusCode> {
    app.store.delete_task(&session.user_id, task_id(path)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is not a number is not a task either.
fn task_id(path: TaskPath) -> Result<i64> {
    path.map(|Path((_, id))| id).map_err(|_| ApiError::NotFound("the task"))
}
