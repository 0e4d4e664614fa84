//! The pages for people who are not logged in: the welcome, signing up, logging in.

use maud::{Markup, html};

use super::{Place, brand, card, csrf, field, icons, page as frame};
use crate::api::Problem;
use crate::session::Visitor;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    SignUp,
    LogIn,
    /// After a session has ended by itself.
    LogInAgain,
}

pub fn landing(visitor: &Visitor) -> Markup {
    let body = html! {
        header.top { (brand()) div.who { a href="/login" { "Log in" } } }
        main.landing #main {
            div.pitch {
                h1 { "Your list, in plain words." }
                p.lead { "Tick boxes, or just say it. The assistant keeps the list, tells you what it did, and asks before it deletes." }
                p.actions {
                    a.button.primary href="/signup" { "Sign up" }
                    a.button href="/login" { "Log in" }
                }
            }
            // A picture of the board; the words of the page say the same.
            div.sample aria-hidden="true" {
                p.bubble.mine { "add a task to buy groceries" }
                p.bubble { "I added \u{201c}Buy groceries\u{201d} as task 3." }
                ul {
                    li.done { span.box { (icons::tick()) } "Call the harbour office" }
                    li { span.box {} "Paint the dinghy" }
                    li.new { span.box {} "Buy groceries" }
                }
            }
        }
    };
    frame(visitor, &Place { name: "landing", title: "Your list, in plain words", view: None }, &body)
}

pub fn page(visitor: &Visitor, kind: Kind, problem: &Problem, name: &str, email: &str) -> Markup {
    let (place, title, action, button) = match kind {
        Kind::SignUp => ("signup", "Sign up", "/signup", "Create account"),
        Kind::LogIn | Kind::LogInAgain => ("login", "Log in", "/login", "Log in"),
    };
    let is_new = kind == Kind::SignUp;
    // The first field with an error, else the first field, is where one goes on typing.
    let first =
        problem.fields.first().map_or(if is_new { "name" } else { "email" }, |error| error.field.as_str());
    let body = card(&html! {
        h1 { (title) }
        @if kind == Kind::LogInAgain { p.notice.calm role="status" { "Your session is over. Log in to go on where you were." } }
        @if problem.fields.is_empty() && !problem.message.is_empty() {
            p.notice role="alert" { (problem.line()) }
        } @else if !problem.fields.is_empty() {
            p.notice role="alert" { "Please have another look at the fields below." }
        }
        form.stack method="post" action=(action) data-plain novalidate[!problem.fields.is_empty()] {
            (csrf(visitor))
            @if is_new {
                (field(problem, "name", "name", "Name", "", |d| html! {
                    input #name name="name" value=(name) autocomplete="name" maxlength="100" required
                        autofocus[first == "name"] aria-invalid=[d.invalid] aria-describedby=[d.by];
                }))
            }
            (field(problem, "email", "email", "Email address", "", |d| html! {
                input #email name="email" type="email" value=(email) autocomplete="email" required
                    autofocus[first == "email"] aria-invalid=[d.invalid] aria-describedby=[d.by];
            }))
            (field(problem, "password", "password", "Password", if is_new { "At least 8 characters." } else { "" }, |d| html! {
                input #password name="password" type="password" required minlength=[is_new.then_some("8")]
                    autocomplete=(if is_new { "new-password" } else { "current-password" })
                    autofocus[first == "password"] aria-invalid=[d.invalid] aria-describedby=[d.by];
            }))
            button.primary type="submit" { (button) }
        }
        @match kind {
            Kind::SignUp => p.hint { "Already have an account? " a href="/login" { "Log in" } },
            Kind::LogIn | Kind::LogInAgain => p.hint { "New here? " a href="/signup" { "Sign up" } },
        }
    });
    frame(visitor, &Place { name: place, title, view: None }, &body)
}
