//! The first complaint of a rule for names, for those who show only one.
//!
//! The rules themselves, and all they complain about, are in `rules`.

use crate::rules;

pub(crate) fn subdomain(name: &str) -> Option<String> {
    rules::subdomain(name).into_iter().next()
}

pub(crate) fn label(name: &str) -> Option<String> {
    rules::label(name).into_iter().next()
}

pub(crate) fn label_1035(name: &str) -> Option<String> {
    rules::label_1035(name).into_iter().next()
}

/// Keys of labels and annotations: an optional DNS prefix and a name.
pub fn qualified(key: &str) -> Option<String> {
    rules::qualified(key).into_iter().next()
}

pub fn label_value(value: &str) -> Option<String> {
    rules::label_value(value).into_iter().next()
}
