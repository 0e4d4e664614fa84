//! What was just done, told once after the redirect, with the way back.
//!
//! Travels in a cookie of its own, because the page that did it is not the page that tells. The cookie holds
//! nothing secret, and whoever forges it can only offer themselves a form.

use serde::{Deserialize, Serialize};

use crate::api::Task;

/// Browsers keep about 4 KB per cookie; an undo that does not fit is not offered.
const MAX_BYTES: usize = 3_500;
const TITLE_SHOWN: usize = 60;

/// The fields of a task that the page can change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub title: String,
    pub description: String,
    pub due_date: String,
}

impl From<&Task> for Words {
    fn from(task: &Task) -> Self {
        Self {
            title: task.title.clone(),
            description: task.description.clone(),
            due_date: task.due_date.clone().unwrap_or_default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flash {
    Added {
        id: i64,
        title: String,
    },
    Completed {
        id: i64,
        title: String,
    },
    Reopened {
        id: i64,
        title: String,
    },
    Deleted {
        id: i64,
        title: String,
    },
    Restored {
        title: String,
    },
    Edited {
        id: i64,
        before: Words,
    },
    /// Edited, and what was there before is too long to keep.
    Saved,
    ChatCleared,
}

impl Flash {
    /// What to tell.
    pub fn text(&self) -> String {
        match self {
            Self::Added { title, .. } => format!("Added {}.", quoted(title)),
            Self::Completed { title, .. } => format!("Done: {}.", quoted(title)),
            Self::Reopened { title, .. } => format!("{} is open again.", quoted(title)),
            Self::Deleted { title, .. } => format!("Deleted {}.", quoted(title)),
            Self::Restored { title } => format!("{} is back.", quoted(title)),
            Self::Edited { .. } | Self::Saved => "Saved.".to_owned(),
            Self::ChatCleared => "The conversation is cleared. Your tasks are still here.".to_owned(),
        }
    }

    /// The form that takes it back: where to post, and which fields.
    pub fn undo(&self) -> Option<(String, Words)> {
        let (id, verb, words) = match self {
            Self::Added { id, .. } => (id, "delete", Words::default()),
            Self::Completed { id, .. } => (id, "reopen", Words::default()),
            Self::Reopened { id, .. } => (id, "complete", Words::default()),
            Self::Deleted { id, .. } => (id, "restore", Words::default()),
            Self::Edited { id, before } => (id, "edit", before.clone()),
            Self::Restored { .. } | Self::Saved | Self::ChatCleared => return None,
        };
        Some((format!("/tasks/{id}/{verb}"), words))
    }

    pub fn to_cookie(&self) -> String {
        let write = |flash: &Self| {
            let json = serde_json::to_string(flash).unwrap_or_default();
            form_urlencoded::byte_serialize(json.as_bytes()).collect::<String>()
        };
        match write(self) {
            text if text.len() <= MAX_BYTES => text,
            _ => write(&Self::Saved),
        }
    }

    /// None for anything we did not write.
    pub fn from_cookie(text: &str) -> Option<Self> {
        let (key, _) = form_urlencoded::parse(text.as_bytes()).next()?;
        serde_json::from_str(&key).ok()
    }
}

/// The beginning of a long title is enough to know it by.
fn quoted(title: &str) -> String {
    match title.char_indices().nth(TITLE_SHOWN) {
        Some((end, _)) => format!("\u{201c}{}\u{2026}\u{201d}", title[..end].trim_end()),
        None => format!("\u{201c}{title}\u{201d}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(flash: Flash, expect: Option<Flash>) {
        let cookie = flash.to_cookie();
        assert!(
            cookie.len() <= MAX_BYTES && cookie.is_ascii() && !cookie.contains([';', ',', ' ', '"', '='])
        );
        assert_eq!(Flash::from_cookie(&cookie), expect);
    }

    #[test]
    fn what_was_done_survives_being_a_cookie() {
        for title in ["Milk & honey; \"now\" = 1,2", "R\u{e4}der \u{1f6b2} 100%", "a+b"] {
            let flash = Flash::Deleted { id: 3, title: title.to_owned() };
            check(flash.clone(), Some(flash));
        }
    }

    #[test]
    fn an_undo_too_long_for_a_cookie_is_not_offered() {
        let before =
            Words { title: "x".into(), description: "\u{1f6b2}".repeat(1_000), due_date: String::new() };
        check(Flash::Edited { id: 1, before }, Some(Flash::Saved));
    }

    #[test]
    fn a_cookie_of_somebody_else_is_ignored() {
        for text in ["", "nonsense", "%7B%7D", "{\"Deleted\":{}}"] {
            assert_eq!(Flash::from_cookie(text), None);
        }
    }
}
