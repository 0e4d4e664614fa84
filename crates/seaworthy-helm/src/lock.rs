//! `Chart.lock`: the exact versions that a chart's dependencies were resolved to, and a digest that tells when
//! `Chart.yaml` has moved on. The digest is Helm's, byte for byte.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::metadata::Dependency;

/// The digest over what is asked for and what it was resolved to.
pub fn digest(asked: &[Dependency], locked: &[Dependency]) -> String {
    sum(&(asked, locked))
}

/// The digest that Helm 2 wrote, over what is asked for alone.
pub fn digest_v2(asked: &[Dependency]) -> String {
    sum(&std::collections::BTreeMap::from([("dependencies", asked)]))
}

fn sum(value: &impl Serialize) -> String {
    let hash = Sha256::digest(go_json(value).as_bytes());
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// JSON byte for byte as Go's `encoding/json` writes a struct: fields in order, `<`, `>`, `&` and two line
/// separators escaped. Digests are taken over it.
pub fn go_json(value: &impl Serialize) -> String {
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

/// The file's text. `generated` is a time in RFC 3339.
pub fn write(locked: &[Dependency], digest: &str, generated: &str) -> String {
    let document = serde_json::json!({"dependencies": locked, "digest": digest, "generated": generated});
    crate::yaml::write_json(&document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_escapes_is_escaped() {
        assert_eq!(go_json(&[">=1.0 <2 & x"]), r#"["\u003e=1.0 \u003c2 \u0026 x"]"#);
    }
}
