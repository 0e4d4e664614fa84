//! JSON byte for byte as Go's `encoding/json` writes a struct: digests are taken over it.

use serde::Serialize;

/// Fields in the order of the struct; `<`, `>`, `&` and two line separators escaped.
pub(crate) fn go(value: &impl Serialize) -> String {
    // These characters stand only inside texts, where an escape means the same.
    let text = serde_json::to_string(value).unwrap_or_default();
    let escapes = [
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u{2028}", "\\u2028"),
        ("\u{2029}", "\\u2029"),
    ];
    escapes.iter().fold(text, |text, (plain, escaped)| text.replace(plain, escaped))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_go_escapes_is_escaped() {
        assert_eq!(super::go(&[">=1.0 <2 & x"]), r#"["\u003e=1.0 \u003c2 \u0026 x"]"#);
    }
}
