//! Whether a text looks like an address or a URL: generous, because a wrong complaint is worse than none.

pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let blank = |c: char| c.is_whitespace() || c.is_control();
    !local.is_empty()
        && !text.contains(blank)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// With or without a scheme.
pub(super) fn is_url(text: &str) -> bool {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    let blank = |c: char| c.is_whitespace() || c.is_control();
    text.len() > 3 && !text.contains(blank) && !host.is_empty() && (host.contains('.') || host == "localhost")
}

/// A scheme and something behind it.
pub(super) fn is_request_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let word = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(word)
        && !rest.is_empty()
        && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_right_passes_and_what_cannot_be_does_not() {
        assert!(is_email("me@example.test") && !is_email("me") && !is_email("me@localhost."));
        assert!(is_url("https://a.test/x") && is_url("a.test") && !is_url("nothing") && !is_url("a b.test"));
        assert!(is_request_url("https://a.test/icon.svg") && !is_request_url("riverrun"));
    }
}
