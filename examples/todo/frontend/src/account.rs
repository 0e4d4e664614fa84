//! Signing up, logging in and out.

use std::sync::Arc;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use crate::api::{Api, Error, Problem, Session};
use crate::pages::{self, AccountForm};
use crate::session::Visitor;

#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

pub async fn sign_up_page(headers: HeaderMap) -> Response {
    show(&Visitor::of(&headers), AccountForm::SignUp, StatusCode::OK, &Problem::default(), None)
}

pub async fn log_in_page(headers: HeaderMap) -> Response {
    show(&Visitor::of(&headers), AccountForm::LogIn, StatusCode::OK, &Problem::default(), None)
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
    enter(&visitor, AccountForm::SignUp, outcome, &fields)
}

pub async fn log_in(State(api): State<Arc<Api>>, headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let visitor = Visitor::of(&headers);
    if !visitor.may_post(&fields.csrf) {
        return pages::stale_form(&visitor);
    }
    let outcome = api.log_in(&fields.email, &fields.password).await;
    enter(&visitor, AccountForm::LogIn, outcome, &fields)
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

fn enter(visitor: &Visitor, form: AccountForm, outcome: Result<Session, Error>, fields: &Fields) -> Response {
    match outcome {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            visitor.log_in(response.headers_mut(), &session.access_token, session.expires_in);
            response
        }
        Err(error) => {
            let status = match error {
                Error::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            show(visitor, form, status, &error.problem(), Some(fields))
        }
    }
}

fn show(
    visitor: &Visitor,
    form: AccountForm,
    status: StatusCode,
    problem: &Problem,
    fields: Option<&Fields>,
) -> Response {
    let (name, email) = fields.map_or(("", ""), |fields| (&fields.name, &fields.email));
    let mut response = (status, pages::account(visitor, form, problem, name, email)).into_response();
    visitor.greet(response.headers_mut());
    response
}
