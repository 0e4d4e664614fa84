//! The markup. `maud` escapes every value, so what a user typed is always text.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use crate::api::{History, Message, Problem, Task, User};
use crate::session::Visitor;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AccountForm {
    SignUp,
    LogIn,
}

/// Which tasks the list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    #[default]
    All,
    Pending,
    Completed,
}

impl Filter {
    const ALL: [Self; 3] = [Self::All, Self::Pending, Self::Completed];

    pub fn path(self) -> &'static str {
        match self {
            Self::All => "/",
            Self::Pending => "/?status=pending",
            Self::Completed => "/?status=completed",
        }
    }

    pub fn query(self) -> &'static str {
        self.path().trim_start_matches('/')
    }

    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pending => "pending",
            Self::Completed => "completed",
        }
    }
}

/// Something a person must be told, beside what it is about.
pub enum Notice {
    Tasks(String),
    Chat(String),
}

pub struct Board<'a> {
    pub user: &'a User,
    pub tasks: &'a [Task],
    pub history: &'a History,
    pub filter: Filter,
    pub notice: Option<Notice>,
}

fn page(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " \u{b7} Todo" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/app.css";
                script src="/assets/app.js" defer {}
            }
            body { (body) }
        }
    }
}

fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

fn brand() -> Markup {
    html! { a.brand href="/" { img src="/assets/icon.svg" alt="" width="28" height="28"; "Todo" } }
}

pub fn landing() -> Markup {
    page(
        "Your list, in plain words",
        &html! {
            main.landing {
                (brand())
                h1 { "Your list, in plain words." }
                p.lead { "Tick boxes, or just say it: \u{201c}add a task to buy groceries\u{201d}. The assistant keeps the list." }
                p.actions {
                    a.button.primary href="/signup" { "Sign up" }
                    a.button href="/login" { "Log in" }
                }
            }
        },
    )
}

pub fn account(visitor: &Visitor, form: AccountForm, problem: &Problem, name: &str, email: &str) -> Markup {
    let (title, action, button) = match form {
        AccountForm::SignUp => ("Sign up", "/signup", "Create account"),
        AccountForm::LogIn => ("Log in", "/login", "Log in"),
    };
    page(
        title,
        &html! {
            main.card {
                (brand())
                h1 { (title) }
                @if problem.fields.is_empty() && !problem.message.is_empty() {
                    p.notice role="alert" { (problem.message) }
                }
                form method="post" action=(action) {
                    (csrf(visitor))
                    @if form == AccountForm::SignUp {
                        (field(problem, "name", "Name", html! {
                            input #name name="name" value=(name) autocomplete="name" maxlength="100" autofocus;
                        }))
                    }
                    (field(problem, "email", "Email address", html! {
                        input #email name="email" type="email" value=(email) autocomplete="email" required
                            autofocus[form == AccountForm::LogIn];
                    }))
                    (field(problem, "password", "Password", html! {
                        input #password name="password" type="password" required
                            minlength=[(form == AccountForm::SignUp).then_some("8")]
                            autocomplete=(if form == AccountForm::SignUp { "new-password" } else { "current-password" });
                    }))
                    button.primary type="submit" { (button) }
                }
                @match form {
                    AccountForm::SignUp => p.hint { "Already have an account? " a href="/login" { "Log in" } },
                    AccountForm::LogIn => p.hint { "New here? " a href="/signup" { "Sign up" } },
                }
            }
        },
    )
}

fn field(problem: &Problem, name: &str, label: &str, input: Markup) -> Markup {
    let error = problem.fields.iter().find(|error| error.field == name);
    html! {
        div.field {
            label for=(name) { (label) }
            (input)
            @if let Some(error) = error { p.error role="alert" { (label) " " (error.message) } }
        }
    }
}

pub fn board(visitor: &Visitor, board: &Board<'_>) -> Markup {
    page(
        "Tasks",
        &html! {
            header.top {
                (brand())
                div.who {
                    span { (board.user.name) }
                    form method="post" action="/logout" data-plain { (csrf(visitor)) button.quiet type="submit" { "Log out" } }
                }
            }
            main #board {
                (task_panel(visitor, board))
                (chat_panel(visitor, board))
            }
        },
    )
}

fn task_panel(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let open = board.tasks.iter().filter(|task| !task.completed).count();
    html! {
        section.tasks #tasks aria-labelledby="tasks-title" {
            div.heading {
                h1 #tasks-title { "Tasks" }
                @if board.filter != Filter::Completed { span.count { (open) " open" } }
            }
            form.add method="post" action="/tasks" {
                (csrf(visitor))
                input type="hidden" name="status" value=(board.filter.name());
                label.hidden for="new-title" { "New task" }
                input #new-title name="title" placeholder="What is to be done?" maxlength="200" required autocomplete="off";
                label.hidden for="new-due" { "Due date" }
                input #new-due name="due_date" type="date";
                button.primary type="submit" { "Add" }
            }
            @if let Some(Notice::Tasks(text)) = &board.notice { p.notice role="alert" { (text) } }
            nav.filters aria-label="Filter" {
                @for filter in Filter::ALL {
                    a href=(filter.path()) aria-current=[(filter == board.filter).then_some("page")] { (filter.name()) }
                }
            }
            @if board.tasks.is_empty() {
                p.empty {
                    @match board.filter {
                        Filter::All => "Nothing here yet. Add a task above, or tell the assistant.",
                        Filter::Pending => "Nothing is pending. Well done!",
                        Filter::Completed => "Nothing is completed yet.",
                    }
                }
            }
            ul.list {
                @for task in board.tasks { (task_row(visitor, task, board.filter)) }
            }
        }
    }
}

fn task_row(visitor: &Visitor, task: &Task, filter: Filter) -> Markup {
    let hidden = html! {
        (csrf(visitor))
        input type="hidden" name="status" value=(filter.name());
    };
    let (action, label) = match task.completed {
        true => ("Reopen", "\u{2713}"),
        false => ("Complete", ""),
    };
    html! {
        li.task.done[task.completed] data-id=(task.id) {
            form method="post" action={ "/tasks/" (task.id) "/toggle" } {
                (hidden)
                button.box type="submit" aria-label={ (action) " \u{201c}" (task.title) "\u{201d}" } { (label) }
            }
            details {
                summary {
                    span.number { (task.id) }
                    span.title { (task.title) }
                    @if let Some(day) = &task.due_date { time.due datetime=(day) { (day) } }
                    @if !task.description.is_empty() { span.description { (task.description) } }
                }
                form.edit method="post" action={ "/tasks/" (task.id) "/edit" } {
                    (hidden)
                    label { "Title" input name="title" value=(task.title) maxlength="200" required; }
                    label { "Description" textarea name="description" rows="2" maxlength="1000" { (task.description) } }
                    label { "Due" input name="due_date" type="date" value=[task.due_date.as_deref()]; }
                    button.primary type="submit" { "Save" }
                }
            }
            form method="post" action={ "/tasks/" (task.id) "/delete" } {
                (hidden)
                button.quiet.delete type="submit" aria-label={ "Delete \u{201c}" (task.title) "\u{201d}" } { "\u{2715}" }
            }
        }
    }
}

fn chat_panel(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let hidden = html! {
        (csrf(visitor))
        input type="hidden" name="status" value=(board.filter.name());
    };
    html! {
        section.chat #chat aria-labelledby="chat-title" {
            div.heading {
                h2 #chat-title { "Assistant" }
                @if !board.history.messages.is_empty() {
                    form method="post" action="/chat/clear" { (hidden) button.quiet type="submit" { "Clear" } }
                }
            }
            div.messages #messages role="log" aria-live="polite" tabindex="0" {
                @if board.history.messages.is_empty() {
                    p.empty { "Try \u{201c}add a task to buy groceries\u{201d} or \u{201c}what's pending?\u{201d}" }
                }
                @for message in &board.history.messages { (bubble(message)) }
            }
            @if let Some(Notice::Chat(text)) = &board.notice { p.notice role="alert" { (text) } }
            form.say method="post" action="/chat" {
                (hidden)
                label.hidden for="message" { "Message to the assistant" }
                input #message name="message" placeholder="Tell me what to do\u{2026}" maxlength="2000" required autocomplete="off";
                button.primary type="submit" { "Send" }
            }
        }
    }
}

fn bubble(message: &Message) -> Markup {
    html! {
        div.bubble.mine[message.role == "user"] {
            p { (message.content) }
            @if !message.tool_calls.is_empty() {
                p.tools { @for call in &message.tool_calls { span.tool.failed[call.failed] { (call.tool) } } }
            }
        }
    }
}

/// The backend is away: say so, keep the session, offer to try again.
pub fn trouble(problem: &Problem) -> Markup {
    page(
        "One moment",
        &html! {
            main.card {
                (brand())
                h1 { "One moment" }
                p.notice role="alert" { (problem.message) }
                p { a.button href="/" { "Try again" } }
            }
        },
    )
}

/// A form without a valid token: an old tab, cookies switched off, or another site.
pub fn stale_form(visitor: &Visitor) -> Response {
    let body = page(
        "Please try again",
        &html! {
            main.card {
                (brand())
                h1 { "Please try again" }
                p.notice role="alert" { "This form was too old to be accepted. Nothing was changed." }
                p { a.button href="/" { "Back" } }
            }
        },
    );
    let mut response = (StatusCode::FORBIDDEN, body).into_response();
    visitor.greet(response.headers_mut());
    response
}

pub async fn not_found() -> Response {
    let body = page(
        "Not found",
        &html! {
            main.card {
                (brand())
                h1 { "Not found" }
                p { "There is no page at this address." }
                p { a.button href="/" { "Back to the tasks" } }
            }
        },
    );
    (StatusCode::NOT_FOUND, body).into_response()
}
