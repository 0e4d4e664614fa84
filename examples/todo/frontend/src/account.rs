//! Signing up, logging in and out, and the choice of light or dark.

use std::sync::Arc;

use axum::extract::{Form, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::api::{Api, Error, Problem, Session};
use crate::pages::{self, account::Kind};
use crate::session::{Theme, Visitor};
use crate::view::View;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    csrf: String,
    name: String,
    email: String,
    password: String,
}

/// The query with which a session that has ended leads to the login page.
pub const AGAIN: &str = "again";

pub async fn sign_up_page(headers: HeaderMap) -> Response {
    page(&headers, Kind::SignUp)
}

pub async fn log_in_page(headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    page(&headers, if query.as_deref() == Some(AGAIN) { Kind::LogInAgain } else { Kind::LogIn })
}

pub async fn sign_up(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let outcome = api.sign_up(&fields.name, &fields.email, &fields.password).await;
    enter(&visitor, Kind::SignUp, outcome, &fields)
}

pub async fn log_in(State(api): State<Arc<Api>>, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let outcome = api.log_in(&fields.email, &fields.password).await;
    enter(&visitor, Kind::LogIn, outcome, &fields)
}

/// Logging out always succeeds for the browser, even when the backend cannot be told.
pub async fn log_out(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    if let Some(token) = &visitor.token
        && let Err(error) = api.log_out(token).await
    {
        tracing::warn!(error = service::log::chain(&error), "the token could not be revoked");
    }
    let mut response = Redirect::to("/").into_response();
    visitor.log_out(response.headers_mut());
    response
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ThemeFields {
    csrf: String,
    theme: String,
    /// Which page to go back to, by name: an address from a form could lead anywhere.
    page: String,
    view: String,
}

pub async fn theme(headers: HeaderMap, Form(fields): Form<ThemeFields>) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let back = match fields.page.as_str() {
        "login" => "/login".to_owned(),
        "signup" => "/signup".to_owned(),
        "help" => "/help".to_owned(),
        _ => View::parse(&fields.view).path(),
    };
    let mut response = Redirect::to(&back).into_response();
    visitor.choose_theme(response.headers_mut(), Theme::named(&fields.theme));
    response
}

fn page(headers: &HeaderMap, kind: Kind) -> Response {
    let visitor = Visitor::of(headers);
    // Who is logged in already has no use for these forms.
    if visitor.token.is_some() {
        return Redirect::to("/").into_response();
    }
    show(&visitor, kind, StatusCode::OK, &Problem::default(), &Fields::default())
}

fn enter(visitor: &Visitor, kind: Kind, outcome: Result<Session, Error>, fields: &Fields) -> Response {
    match outcome {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            visitor.log_in(response.headers_mut(), &session);
            response
        }
        Err(error) => {
            let status = match error {
                Error::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            show(visitor, kind, status, &error.problem(), fields)
        }
    }
}

fn show(visitor: &Visitor, kind: Kind, status: StatusCode, problem: &Problem, fields: &Fields) -> Response {
    let page = pages::account::page(visitor, kind, problem, &fields.name, &fields.email);
    let mut response = (status, page).into_response();
    visitor.greet(response.headers_mut());
    response
}
