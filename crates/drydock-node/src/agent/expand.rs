//! `$(NAME)` in commands, arguments and environment values, as Kubernetes expands it.
//!
//! `$$` is a literal `$`, so `$$(NAME)` stays as text; an unknown name stays as written.

/// Replaces each `$(NAME)` for which `lookup` knows a value. One pass: values are not expanded again.
pub fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let name = rest.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match name {
            Some((name, after)) => {
                match lookup(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            None => out.push('$'),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let lookup = |name: &str| match name {
            "HOST" => Some("db"),
            "SELF" => Some("$(HOST)"),
            _ => None,
        };
        assert_eq!(expand(text, lookup), expect);
    }

    #[test]
    fn a_known_name_is_replaced() {
        check("tcp://$(HOST):5432", "tcp://db:5432");
    }
    #[test]
    fn an_unknown_name_stays_as_written() {
        check("$(NOBODY)/x", "$(NOBODY)/x");
    }
    #[test]
    fn two_dollars_are_one_and_protect_a_name() {
        check("$$(HOST) costs 5$$", "$(HOST) costs 5$");
    }
    #[test]
    fn shell_syntax_is_left_alone() {
        check("${HOST} $HOST $", "${HOST} $HOST $");
    }
    #[test]
    fn an_open_bracket_without_end_is_text() {
        check("$(HOST", "$(HOST");
    }
    #[test]
    fn values_are_not_expanded_again() {
        check("$(SELF)", "$(HOST)");
    }
}
