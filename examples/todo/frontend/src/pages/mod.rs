//! The markup. `maud` escapes every value, so what a user typed is always text.
//!
//! [`page`] is the frame of all pages; the board is put together here from its two panels.

pub mod account;
mod chat;
mod icons;
mod tasks;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use crate::api::{History, Problem, TaskPage, User};
use crate::assets::href;
use crate::flash::Words;
use crate::session::{Theme, Visitor};
use crate::view::View;

/// Something a person must be told, beside what it is about, with what they had typed.
pub enum Notice {
    Tasks(String),
    Add { words: Words, problem: Problem },
    Edit { id: i64, words: Words, problem: Problem },
    Chat { message: String, problem: Problem },
}

pub struct Board<'a> {
    pub user: &'a User,
    pub page: &'a TaskPage,
    pub history: &'a Result<History, Problem>,
    pub view: &'a View,
    pub notice: Option<Notice>,
}

/// What a key does, for those who never touch the mouse; the script acts on the same letters.
const KEYS: [(&str, &str); 10] = [
    ("N", "New task"),
    ("/", "Search"),
    ("C", "Talk to the assistant"),
    ("J", "Next task"),
    ("K", "Previous task"),
    ("X", "Complete or reopen the task"),
    ("E", "Edit the task"),
    ("D", "Delete the task"),
    ("U", "Undo"),
    ("?", "This help"),
];

/// What a page is called: in its title, and by the forms that come back to it.
struct Place<'a> {
    name: &'static str,
    title: &'a str,
    view: Option<&'a View>,
}

impl Place<'_> {
    fn titled(title: &str) -> Place<'_> {
        Place { name: "other", title, view: None }
    }
}

fn page(visitor: &Visitor, place: &Place<'_>, body: &Markup) -> Markup {
    let theme = Some(visitor.theme).filter(|theme| *theme != Theme::System);
    html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme.map(Theme::name)] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="theme-color" content="#f6f3ec" media="(prefers-color-scheme: light)";
                meta name="theme-color" content="#0d1719" media="(prefers-color-scheme: dark)";
                meta name="description" content="A todo list you can talk to.";
                title { (place.title) " \u{b7} Todo" }
                link rel="icon" href=(href("icon.svg")) type="image/svg+xml";
                link rel="manifest" href=(href("app.webmanifest"));
                link rel="stylesheet" href=(href("app.css"));
                script src=(href("app.js")) defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (body)
                (footer(visitor, place))
            }
        }
    }
}

fn footer(visitor: &Visitor, place: &Place<'_>) -> Markup {
    html! {
        footer.bottom {
            a href="/help" #help-link { "Help and keyboard shortcuts" }
            form.theme method="post" action="/theme" data-plain {
                (csrf(visitor))
                input type="hidden" name="page" value=(place.name);
                @if let Some(view) = place.view { input type="hidden" name="view" value=(view.query()); }
                fieldset {
                    legend.hidden { "Colours" }
                    @for theme in Theme::ALL {
                        button type="submit" name="theme" value=(theme.name()) aria-pressed=(if theme == visitor.theme { "true" } else { "false" }) {
                            (icons::theme(theme)) span.label { (theme_label(theme)) }
                        }
                    }
                }
            }
        }
    }
}

fn theme_label(theme: Theme) -> &'static str {
    match theme {
        Theme::System => "System",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    }
}

fn csrf(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="csrf" value=(visitor.csrf); }
}

/// What every form of the board carries: that it is ours, and where to come back to.
fn carried(visitor: &Visitor, view: &View) -> Markup {
    html! {
        (csrf(visitor))
        @let query = view.query();
        @if !query.is_empty() { input type="hidden" name="view" value=(query); }
    }
}

fn brand() -> Markup {
    html! { a.brand href="/" { img src=(href("icon.svg")) alt="" width="30" height="30"; "Todo" } }
}

/// A field, its label, and what is wrong with it, tied together for those who cannot see how they stand.
fn field(
    problem: &Problem,
    name: &str,
    id: &str,
    label: &str,
    hint: &str,
    input: impl FnOnce(Described) -> Markup,
) -> Markup {
    let error = problem.of(name);
    let (error_id, hint_id) = (format!("{id}-error"), format!("{id}-hint"));
    let mut ids = Vec::new();
    ids.extend(error.map(|_| error_id.as_str()));
    ids.extend((!hint.is_empty()).then_some(hint_id.as_str()));
    let described =
        Described { by: (!ids.is_empty()).then(|| ids.join(" ")), invalid: error.map(|_| "true") };
    html! {
        div.field {
            label for=(id) { (label) }
            (input(described))
            @if !hint.is_empty() { p.hint id=(hint_id) { (hint) } }
            @if let Some(error) = error { p.error id=(error_id) { (error.sentence()) } }
        }
    }
}

/// The attributes by which an input names its error and its hint.
struct Described {
    by: Option<String>,
    invalid: Option<&'static str>,
}

pub fn board(visitor: &Visitor, board: &Board<'_>) -> Markup {
    let title = match board.page.open {
        0 => "Tasks".to_owned(),
        open => format!("Tasks ({open})"),
    };
    let place = Place { name: "board", title: &title, view: Some(board.view) };
    let body = html! {
        header.top {
            (brand())
            div.who {
                span.name { (board.user.name) }
                form method="post" action="/logout" data-plain { (csrf(visitor)) button.quiet type="submit" { "Log out" } }
            }
        }
        p #offline .offline role="status" data-live {}
        main #main data-board=(board.user.id) {
            (tasks::panel(visitor, board))
            (chat::panel(visitor, board))
        }
        nav.jump aria-label="Parts of this page" {
            a href="#tasks" { (icons::list()) "Tasks" }
            a href="#chat" { (icons::speech()) "Assistant" }
        }
        dialog #help aria-labelledby="help-title" {
            div.heading {
                h2 #help-title { "Help" }
                form method="dialog" data-plain { button.quiet type="submit" { "Close" } }
            }
            (help_text(3))
            label.switch hidden { input #keys type="checkbox" checked; "Single-key shortcuts" }
        }
    };
    page(visitor, &place, &body)
}

/// In the dialog the headings stand below its own, on the page below the page's.
fn help_text(level: u8) -> Markup {
    let heading = |text: &str| match level {
        2 => html! { h2.small { (text) } },
        _ => html! { h3.small { (text) } },
    };
    html! {
        (heading("Keyboard"))
        dl.keys { @for (key, what) in KEYS { div { dt { kbd { (key) } } dd { (what) } } } }
        (heading("Things to say to the assistant"))
        ul.sayings { @for saying in chat::SAYINGS { li { "\u{201c}" (saying) "\u{201d}" } } li { "\u{201c}change task 1 to call mum tonight\u{201d}" } li { "\u{201c}delete the meeting task\u{201d}: it asks before it deletes" } }
    }
}

pub async fn help(headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let place = Place { name: "help", title: "Help", view: None };
    let mut response = page(&visitor, &place, &card(&html! {
        h1 { "Help" }
        p { "Tick a task to complete it, press its title to edit it. Whatever you do can be undone right after. "
            "The shortcuts work in the list while no field has the focus." }
        (help_text(2))
        p { a.button href="/" { "Back to the tasks" } }
    })).into_response();
    visitor.greet(response.headers_mut());
    response
}

fn card(content: &Markup) -> Markup {
    html! { main.card #main { (brand()) (content) } }
}

/// The backend is away: say so, keep the session, offer to try again.
pub fn trouble(visitor: &Visitor, problem: &Problem) -> Markup {
    page(
        visitor,
        &Place::titled("One moment"),
        &card(&html! {
            h1 { "One moment" }
            p.notice role="alert" { (problem.line()) }
            p { a.button.primary href="/" { "Try again" } }
        }),
    )
}

/// A form without a valid token: an old tab, cookies switched off, or another site.
pub fn stale_form(visitor: &Visitor) -> Response {
    let body = page(
        visitor,
        &Place::titled("Please try again"),
        &card(&html! {
            h1 { "Please try again" }
            p.notice role="alert" { "This form was too old to be accepted, or cookies are switched off. Nothing was changed." }
            p { a.button.primary href="/" { "Back" } }
        }),
    );
    let mut response = (StatusCode::FORBIDDEN, body).into_response();
    visitor.greet(response.headers_mut());
    response
}

pub async fn not_found(headers: HeaderMap) -> Response {
    let visitor = Visitor::of(&headers);
    let body = page(
        &visitor,
        &Place::titled("Not found"),
        &card(&html! {
            h1 { "Nothing here" }
            p { "There is no page at this address." }
            p { a.button.primary href="/" { "Back to the tasks" } }
        }),
    );
    let mut response = (StatusCode::NOT_FOUND, body).into_response();
    visitor.greet(response.headers_mut());
    response
}
