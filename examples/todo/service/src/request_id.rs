//! The id that follows one request through all services and their logs.
//!
//! Taken from `x-request-id` when the caller sent a plausible one, else made here. It lives in a task
//! local, so [`crate::client`] forwards it without anybody passing it around.

use std::future::Future;

pub const HEADER: &str = "x-request-id";
const MAX_LEN: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request being served by this task.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `future` as part of the request `id`.
pub async fn scope<F: Future>(id: String, future: F) -> F::Output {
    CURRENT.scope(id, future).await
}

/// The caller's id if it is safe to log, else a new one.
pub fn accept_or_new(offered: Option<&str>) -> String {
    match offered {
        Some(id) if is_plausible(id) => id.to_owned(),
        _ => random_hex(8),
    }
}

fn is_plausible(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_LEN
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// `bytes` random bytes (at most 32) as hexadecimal text.
///
/// # Panics
/// When the kernel has no randomness to give, which leaves nothing sensible to do.
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = [0u8; 32];
    let wanted = &mut buffer[..bytes.min(32)];
    getrandom::fill(wanted).expect("the kernel provides randomness");
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("four bits are one digit");
    wanted.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plausible_id_is_kept() {
        assert_eq!(accept_or_new(Some("abc-1.2_3")), "abc-1.2_3");
    }

    #[test]
    fn an_id_that_could_forge_log_lines_is_replaced() {
        assert_ne!(accept_or_new(Some("a\n{\"level\":\"ERROR\"}")), "a\n{\"level\":\"ERROR\"}");
        assert_eq!(accept_or_new(Some("")).len(), 16);
    }
}
