//! Patterns as Go's `regexp` reads them, compiled by our own engine. Both match in linear time.
//!
//! Start at [`compile`]. What differs between the two dialects is rewritten: classes such as `\d` are ASCII in Go, and
//! brackets and doubled signs inside a class are ordinary characters there.

use regex::{Regex, RegexBuilder};

/// Compiled size at most; a pattern beyond it is refused instead of filling the memory.
const MAX_BYTES: usize = 1 << 20;
const MAX_NESTING: u32 = 100;

/// Compiles a pattern; the error names what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&translate(pattern)).size_limit(MAX_BYTES).nest_limit(MAX_NESTING).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "error parsing regexp: expression too large".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("error parsing regexp: {last}: `{pattern}`")
        }
    })
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    // Characters seen since the class opened; none outside a class.
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => match chars.next() {
                Some('Q') if class.is_none() => quote(&mut chars, &mut out),
                Some(escaped) => {
                    out.push_str(&escape(escaped, class.is_some()));
                    class = class.map(|seen| seen + 1);
                }
                None => out.push('\\'),
            },
            ('[', None) => {
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                class = Some(0);
            }
            ('[', Some(seen)) if chars.peek() == Some(&':') => {
                out.push('[');
                for inner in chars.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
                class = Some(seen + 1);
            }
            // First in a class, a closing bracket stands for itself.
            (']', Some(0)) => {
                out.push_str("\\]");
                class = Some(1);
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
            }
            ('-', Some(seen)) if chars.peek() == Some(&'-') => {
                out.push_str("\\-");
                class = Some(seen + 1);
            }
            ('[' | '&' | '~', Some(seen)) => {
                out.push('\\');
                out.push(c);
                class = Some(seen + 1);
            }
            (c, Some(seen)) => {
                out.push(c);
                class = Some(seen + 1);
            }
            (c, None) => out.push(c),
        }
    }
    out
}

/// `\Q...\E` takes everything in between literally.
fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut literal = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            break;
        }
        literal.push(c);
    }
    out.push_str(&regex::escape(&literal));
}

fn escape(escaped: char, in_class: bool) -> String {
    let name = match escaped.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        'w' => "0-9A-Za-z_",
        'b' if !in_class => return format!("(?-u:\\{escaped})"),
        _ => return format!("\\{escaped}"),
    };
    match (escaped.is_ascii_uppercase(), in_class) {
        (false, true) => name.to_owned(),
        (false, false) => format!("[{name}]"),
        (true, _) => format!("[^{name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let regex = compile(pattern).unwrap();
        for text in matching {
            assert!(regex.is_match(text), "{pattern} on {text}");
        }
        for text in other {
            assert!(!regex.is_match(text), "{pattern} on {text}");
        }
    }

    #[test]
    fn names_and_numbers_are_ascii() {
        check(r"^\d+$", &["12"], &["٣", "a"]);
        check(r"^[\w-]+$", &["a_b-1"], &["ä", "a b"]);
        check(r"^[^\s]+$", &["ab"], &["a b"]);
        check(r"^\S+$", &["ab"], &["a\tb"]);
    }

    #[test]
    fn brackets_and_signs_in_a_class_are_characters() {
        check(r"^[]a[&&b]+$", &["]a[&b"], &["c"]);
        check(r"^[a-z--]+$", &["a-"], &["1"]);
        check(r"^[[:alpha:]]+$", &["ab"], &["1"]);
    }

    #[test]
    fn patterns_of_real_definitions_compile() {
        check(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", &["a.b-c"], &["-a", "A"]);
        check(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", &["1h30m"], &["1d", ""]);
        check(r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE])?$", &["1.5Gi"], &["1GiB"]);
        check(r"^\Qa.b\E$", &["a.b"], &["axb"]);
    }

    #[test]
    fn hostile_patterns_are_refused_or_harmless() {
        assert!(compile(r"((a{1000}){1000}){1000}").is_err());
        assert!(compile("(").is_err());
        assert!(compile(&"(".repeat(100_000)).is_err());
        // Backtracking engines never finish this one.
        check(r"^(a+)+$", &[], &[&format!("{}b", "a".repeat(5000))]);
    }
}
