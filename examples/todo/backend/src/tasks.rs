//! The task routes of the REST contract. Who may see what is settled by [`Session`] before they run.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use store::{Change, FieldError, NewTask, Task};

use crate::app::App;
use crate::auth::Session;
use crate::error::{ApiError, Result};

type TaskPath = std::result::Result<Path<(String, i64)>, PathRejection>;

/// An array of tasks; the header `x-total-count` says how many there are beyond this page, `link` where they are.
pub async fn list(
    State(app): State<App>,
    session: Session,
    uri: Uri,
    query: std::result::Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response> {
    let unreadable = |_| ApiError::Invalid(vec![FieldError::new("query", "is not a well-formed query")]);
    let Query(pairs) = query.map_err(unreadable)?;
    let pairs = || pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let query = store::Query::from_pairs(pairs()).map_err(ApiError::Invalid)?;
    let page = app.store.list_tasks_json(&session.user_id, &query).await?;
    let mut response = ([(header::CONTENT_TYPE, "application/json")], page.tasks).into_response();
    let headers = response.headers_mut();
    headers.insert("x-total-count", page.total.into());
    if let Some(link) = links(uri.path(), pairs(), &query, page.total) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// `link` as RFC 8288 has it, when there are pages before or after this one.
fn links<'a>(
    path: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    query: &store::Query,
    total: i64,
) -> Option<HeaderValue> {
    let to = |offset: i64, relation: &str| {
        let mut text = String::new();
        for (name, value) in pairs.clone().filter(|(name, _)| !matches!(*name, "offset" | "limit")) {
            text.push_str(&format!("{}={}&", encoded(name), encoded(value)));
        }
        format!("<{path}?{text}limit={}&offset={offset}>; rel=\"{relation}\"", query.limit)
    };
    let next = query.offset + query.limit;
    let mut links = Vec::new();
    links.extend((next < total).then(|| to(next, "next")));
    links.extend((query.offset > 0).then(|| to((query.offset - query.limit).max(0), "prev")));
    if links.is_empty() { None } else { HeaderValue::from_str(&links.join(", ")).ok() }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
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

/// Undoes a deletion of the last hour.
pub async fn restore(State(app): State<App>, session: Session, path: TaskPath) -> Result<Json<Task>> {
    Ok(Json(app.store.restore_task(&session.user_id, task_id(path)?).await?))
}

/// What is not a number is not a task either.
fn task_id(path: TaskPath) -> Result<i64> {
    path.map(|Path((_, id))| id).map_err(|_| ApiError::NotFound("the task"))
}
