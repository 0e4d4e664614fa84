//! The board: the task list and the chat beside it. Every form ends in a redirect back to it, or in the same
//! page with a notice when something was refused.

use std::sync::Arc;

use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::api::{Api, Error, LoggedIn};
use crate::pages::{self, Board, Filter, Notice};
use crate::session::Visitor;

#[derive(Default, Deserialize)]
pub struct View {
    #[serde(default)]
    status: Filter,
}

#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    status: Filter,
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    due_date: String,
    #[serde(default)]
    message: String,
}

/// What a form wants to be done.
enum Wish {
    Add,
    Edit(i64),
    Toggle(i64),
    Delete(i64),
    Say,
    ClearChat,
}

type Api_ = State<Arc<Api>>;

pub async fn show(State(api): Api_, headers: HeaderMap, Query(view): Query<View>) -> Response {
    let visitor = Visitor::of(&headers);
    let Some(token) = visitor.token.clone() else { return landing(&visitor) };
    match api.who_is(token).await {
        Ok(logged_in) => render(&logged_in, &visitor, view.status, None).await,
        Err(error) => failure(&visitor, &error),
    }
}

pub async fn add(api: Api_, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    fulfil(api, headers, fields, Wish::Add).await
}

pub async fn edit(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Edit(id)).await
}

pub async fn toggle(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Toggle(id)).await
}

pub async fn delete(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Delete(id)).await
}

pub async fn chat(api: Api_, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    fulfil(api, headers, fields, Wish::Say).await
}

pub async fn clear_chat(api: Api_, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    fulfil(api, headers, fields, Wish::ClearChat).await
}

async fn fulfil(State(api): Api_, headers: HeaderMap, fields: Fields, wish: Wish) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let Some(token) = visitor.token.clone() else { return Redirect::to("/login").into_response() };
    let logged_in = match api.who_is(token).await {
        Ok(logged_in) => logged_in,
        Err(error) => return failure(&visitor, &error),
    };
    match perform(&logged_in, &fields, &wish).await {
        Ok(()) => Redirect::to(fields.status.path()).into_response(),
        Err(Error::LoggedOut) => failure(&visitor, &Error::LoggedOut),
        Err(error) => {
            let text = error.problem().line();
            let notice = match wish {
                Wish::Say | Wish::ClearChat => Notice::Chat(text),
                _ => Notice::Tasks(text),
            };
            let mut response = render(&logged_in, &visitor, fields.status, Some(notice)).await;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            response
        }
    }
}

async fn perform(logged_in: &LoggedIn<'_>, fields: &Fields, wish: &Wish) -> Result<(), Error> {
    match wish {
        Wish::Add => logged_in.add(&fields.title, &fields.due_date).await,
        Wish::Edit(id) => logged_in.edit(*id, &fields.title, &fields.description, &fields.due_date).await,
        Wish::Toggle(id) => logged_in.toggle(*id).await,
        Wish::Delete(id) => logged_in.delete(*id).await,
        Wish::ClearChat => logged_in.clear_chat().await,
        Wish::Say => {
            let conversation = logged_in.history().await?.conversation_id;
            logged_in.say(conversation, &fields.message).await
        }
    }
}

async fn render(
    logged_in: &LoggedIn<'_>,
    visitor: &Visitor,
    filter: Filter,
    notice: Option<Notice>,
) -> Response {
    let (tasks, history) = tokio::join!(logged_in.tasks(filter.query()), logged_in.history());
    let (tasks, history) = match (tasks, history) {
        (Ok(tasks), Ok(history)) => (tasks, history),
        (Err(error), _) | (_, Err(error)) => return failure(visitor, &error),
    };
    let board = Board { user: &logged_in.user, tasks: &tasks, history: &history, filter, notice };
    let mut response = pages::board(visitor, &board).into_response();
    visitor.greet(response.headers_mut());
    response
}

fn landing(visitor: &Visitor) -> Response {
    let mut response = pages::landing().into_response();
    visitor.greet(response.headers_mut());
    response
}

fn failure(visitor: &Visitor, error: &Error) -> Response {
    match error {
        Error::LoggedOut => {
            let mut response = Redirect::to("/login").into_response();
            visitor.log_out(response.headers_mut());
            response
        }
        other => (StatusCode::SERVICE_UNAVAILABLE, pages::trouble(&other.problem())).into_response(),
    }
}
