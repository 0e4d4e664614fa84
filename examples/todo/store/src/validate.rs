//! What input is acceptable, in one place for pages, API, chat and tools. Pure.
//!
//! Lengths count characters, not bytes. Control characters are removed rather than refused: they come from
//! pasting, not from malice, and have no business in a title.

use serde::{Deserialize, Serialize};

pub const TITLE_MAX: usize = 200;
pub const DESCRIPTION_MAX: usize = 1_000;
pub const MESSAGE_MAX: usize = 10_000;
const NAME_MAX: usize = 100;
const EMAIL_MAX: usize = 254;
const PASSWORD_MIN: usize = 8;
/// Argon2 would hash a novel too, slowly; that is an attack, not a password.
const PASSWORD_MAX: usize = 200;

/// One field that cannot be accepted, and why, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl FieldError {
    pub fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }
}

/// Text without control characters, trimmed. Line breaks and tabs survive when `multiline`.
pub fn strip_control(text: &str, multiline: bool) -> String {
    let keep = |c: &char| !c.is_control() || (multiline && matches!(c, '\n' | '\t'));
    text.chars().filter(keep).collect::<String>().trim().to_owned()
}

pub fn title(text: &str) -> Result<String, FieldError> {
    bounded("title", strip_control(text, false), 1, TITLE_MAX)
}

pub fn description(text: &str) -> Result<String, FieldError> {
    bounded("description", strip_control(text, true), 0, DESCRIPTION_MAX)
}

/// What to look for in a list; empty means everything.
pub fn search(text: &str) -> Result<String, FieldError> {
    bounded("search", strip_control(text, false), 0, TITLE_MAX)
}

pub fn message(text: &str) -> Result<String, FieldError> {
    bounded("message", strip_control(text, true), 1, MESSAGE_MAX)
}

pub fn name(text: &str) -> Result<String, FieldError> {
    bounded("name", strip_control(text, false), 1, NAME_MAX)
}

/// Lower case, so that one person cannot register twice by accident.
pub fn email(text: &str) -> Result<String, FieldError> {
    let email = bounded("email", strip_control(text, false).to_lowercase(), 1, EMAIL_MAX)?;
    let plausible = email.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty()
            && !host.contains('@')
            && host.contains('.')
            && !host.starts_with('.')
            && !host.ends_with('.')
    });
    if plausible && !email.contains(char::is_whitespace) {
        Ok(email)
    } else {
        Err(FieldError::new("email", "is not an email address"))
    }
}

/// A password is taken as typed: nothing is stripped from it.
pub fn password(text: &str) -> Result<(), FieldError> {
    bounded("password", text.to_owned(), PASSWORD_MIN, PASSWORD_MAX).map(drop)
}

/// `YYYY-MM-DD`, a day that exists; empty means none.
pub fn due_date(text: &str) -> Result<Option<String>, FieldError> {
    match text.trim() {
        "" => Ok(None),
        day if day.len() == 10 && chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok() => {
            Ok(Some(day.to_owned()))
        }
        _ => Err(FieldError::new("due_date", "is not a date like 2026-11-21")),
    }
}

fn bounded(field: &str, text: String, min: usize, max: usize) -> Result<String, FieldError> {
    match text.chars().count() {
        0 if min > 0 => Err(FieldError::new(field, "is required")),
        len if len < min => Err(FieldError::new(field, format!("needs at least {min} characters"))),
        len if len > max => {
            Err(FieldError::new(field, format!("has {len} characters, at most {max} are allowed")))
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<T: PartialEq + std::fmt::Debug>(outcome: Result<T, FieldError>, expect: Result<T, &str>) {
        assert_eq!(outcome.map_err(|error| error.message), expect.map_err(str::to_owned));
    }

    #[test]
    fn a_title_is_trimmed_and_loses_control_characters() {
        check(title("  Buy\u{0} milk\u{7f}\n "), Ok("Buy milk".to_owned()));
    }

    #[test]
    fn a_title_has_1_to_200_characters() {
        check(title(" \t "), Err("is required"));
        check(title(&"ü".repeat(200)), Ok("ü".repeat(200)));
        check(title(&"x".repeat(201)), Err("has 201 characters, at most 200 are allowed"));
    }

    #[test]
    fn a_description_keeps_its_lines() {
        check(description("one\ntwo"), Ok("one\ntwo".to_owned()));
    }

    #[test]
    fn an_email_address_is_lowered_and_needs_a_host() {
        check(email("Ada@Example.org"), Ok("ada@example.org".to_owned()));
        for bad in ["ada", "ada@", "@example.org", "ada@host", "a b@example.org", "a@b@c.org", "a@.org"] {
            check(email(bad), Err("is not an email address"));
        }
    }

    #[test]
    fn a_due_date_must_exist() {
        check(due_date("2024-02-29"), Ok(Some("2024-02-29".to_owned())));
        check(due_date(""), Ok(None));
        check(due_date("2023-02-29"), Err("is not a date like 2026-11-21"));
        check(due_date("tomorrow"), Err("is not a date like 2026-11-21"));
    }

    #[test]
    fn a_short_password_is_refused() {
        check(password("seven77"), Err("needs at least 8 characters"));
        check(password("eight888"), Ok(()));
    }
}
