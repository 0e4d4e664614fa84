//! The board: the task list and the chat beside it. Every form ends in a redirect back to it, or in the same
//! page with what was typed and what was wrong with it.

use std::sync::Arc;

use axum::extract::{Form, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::account::AGAIN;
use crate::api::{Api, Error, LoggedIn, Problem};
use crate::flash::{Flash, Words};
use crate::pages::{self, Board, Notice};
use crate::session::Visitor;
use crate::view::View;

/// Of all forms of the board; each fills in what it has.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    pub csrf: String,
    view: String,
    title: String,
    description: String,
    due_date: String,
    pub message: String,
}

/// What a form wants to be done.
pub enum Wish {
    Add,
    Edit(i64),
    Complete(i64),
    Reopen(i64),
    Delete(i64),
    Restore(i64),
    Say,
    ClearChat,
}

type Api_ = State<Arc<Api>>;

pub async fn show(State(api): Api_, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let visitor = Visitor::of(&headers);
    if visitor.token.is_none() {
        return landing(&visitor);
    }
    let view = View::parse(&query.unwrap_or_default());
    match api.session_of(&visitor).await {
        Ok(logged_in) => render(&logged_in, &visitor, &view, None).await,
        Err(error) => failure(&visitor, &error),
    }
}

/// For addresses that only forms use: somebody reloaded or went back.
pub async fn home() -> Redirect {
    Redirect::to("/")
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

pub async fn complete(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Complete(id)).await
}

pub async fn reopen(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Reopen(id)).await
}

pub async fn delete(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Delete(id)).await
}

pub async fn restore(
    api: Api_,
    headers: HeaderMap,
    Path(id): Path<i64>,
    Form(fields): Form<Fields>,
) -> Response {
    fulfil(api, headers, fields, Wish::Restore(id)).await
}

pub async fn clear_chat(api: Api_, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    fulfil(api, headers, fields, Wish::ClearChat).await
}

pub async fn fulfil(State(api): Api_, headers: HeaderMap, fields: Fields, wish: Wish) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let logged_in = match api.session_of(&visitor).await {
        Ok(logged_in) => logged_in,
        Err(error) => return failure(&visitor, &error),
    };
    let view = View::parse(&fields.view);
    match perform(&logged_in, &fields, &wish).await {
        Ok(flash) => {
            let anchor = if matches!(wish, Wish::Say | Wish::ClearChat) { "#chat" } else { "" };
            let mut response = Redirect::to(&format!("{}{anchor}", view.path())).into_response();
            if let Some(flash) = flash {
                visitor.tell(response.headers_mut(), &flash);
            }
            response
        }
        Err(Error::LoggedOut) => failure(&visitor, &Error::LoggedOut),
        Err(error) => {
            let notice = notice(&wish, fields, error.problem());
            let mut response = render(&logged_in, &visitor, &view, Some(notice)).await;
            if response.status().is_success() {
                *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            }
            response
        }
    }
}

/// Does it, and says what there is to tell.
async fn perform(logged_in: &LoggedIn<'_>, fields: &Fields, wish: &Wish) -> Result<Option<Flash>, Error> {
    let flash = match *wish {
        Wish::Add => {
            let task = logged_in.add(&fields.words()).await?;
            Flash::Added { id: task.id, title: task.title }
        }
        Wish::Edit(id) => {
            let before = Words::from(&logged_in.task(id).await?);
            let after = Words::from(&logged_in.edit(id, &fields.words()).await?);
            if before == after {
                return Ok(None);
            }
            Flash::Edited { id, before }
        }
        Wish::Complete(id) => Flash::Completed { id, title: logged_in.set_completed(id, true).await?.title },
        Wish::Reopen(id) => Flash::Reopened { id, title: logged_in.set_completed(id, false).await?.title },
        Wish::Delete(id) => {
            let title = logged_in.task(id).await?.title;
            logged_in.delete(id).await?;
            Flash::Deleted { id, title }
        }
        Wish::Restore(id) => Flash::Restored { title: logged_in.restore(id).await?.title },
        Wish::Say => {
            logged_in.say(&fields.message).await?;
            return Ok(None);
        }
        Wish::ClearChat => {
            logged_in.clear_chat().await?;
            Flash::ChatCleared
        }
    };
    Ok(Some(flash))
}

/// Where on the page the problem is told, with what was typed.
fn notice(wish: &Wish, fields: Fields, problem: Problem) -> Notice {
    match wish {
        Wish::Add => Notice::Add { words: fields.words(), problem },
        // Without a word about a field there is nothing to mend in the form.
        Wish::Edit(id) if !problem.fields.is_empty() => {
            Notice::Edit { id: *id, words: fields.words(), problem }
        }
        Wish::Say => Notice::Chat { message: fields.message, problem },
        Wish::ClearChat => Notice::Chat { message: String::new(), problem },
        _ => Notice::Tasks(problem.line()),
    }
}

impl Fields {
    fn words(&self) -> Words {
        Words {
            title: self.title.clone(),
            description: self.description.clone(),
            due_date: self.due_date.clone(),
        }
    }
}

/// The assistant may be away without taking the list with it.
async fn render(
    logged_in: &LoggedIn<'_>,
    visitor: &Visitor,
    view: &View,
    notice: Option<Notice>,
) -> Response {
    let (page, history) = tokio::join!(logged_in.tasks(view), logged_in.history());
    let page = match page {
        Ok(page) => page,
        Err(error) => return failure(visitor, &error),
    };
    let history = history.map_err(|error| error.problem());
    let board = Board { user: &logged_in.user, page: &page, history: &history, view, notice };
    let mut response = pages::board(visitor, &board).into_response();
    visitor.greet(response.headers_mut());
    response
}

fn landing(visitor: &Visitor) -> Response {
    let mut response = pages::account::landing(visitor).into_response();
    visitor.greet(response.headers_mut());
    response
}

pub fn failure(visitor: &Visitor, error: &Error) -> Response {
    match error {
        Error::LoggedOut => {
            let mut response = Redirect::to(&format!("/login?{AGAIN}")).into_response();
            visitor.log_out(response.headers_mut());
            response
        }
        other => (StatusCode::SERVICE_UNAVAILABLE, pages::trouble(visitor, &other.problem())).into_response(),
    }
}
