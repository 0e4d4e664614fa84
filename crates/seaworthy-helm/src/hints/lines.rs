//! The line of a key in a values file.

/// The line (from 1) where the key at `path` stands in block style; `None` where it cannot be told.
pub fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let mut open: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let body = line.trim_start();
        let Some(key) = key_of(body) else { continue };
        let indent = line.len() - body.len();
        open.retain(|(outer, _)| *outer < indent);
        open.push((indent, key));
        if open.len() == path.len() && open.iter().map(|(_, key)| key).eq(path) {
            return Some(number + 1);
        }
    }
    None
}

/// `key` of `key: value`, `"key":` and `'key':`; comments, list items and plain text have none.
fn key_of(body: &str) -> Option<String> {
    if body.starts_with(['#', '-', '{', '[']) {
        return None;
    }
    let (key, rest) = match body.chars().next()? {
        quote @ ('"' | '\'') => body[1..].split_once(quote)?,
        _ => body.split_at(body.find(':')?),
    };
    let ends = rest.strip_prefix(':')?;
    (ends.is_empty() || ends.starts_with([' ', '\t'])).then(|| key.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_under_their_parents() {
        let text = "# a\na:\n  b: 1\n\n  \"c\":\n    - x: 1\n    d: 2\ne:\n  b: 3\n";
        let line = |path: &str| line_of(text, &path.split('.').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!((line("a.b"), line("a.c"), line("e.b"), line("a.z")), (Some(3), Some(5), Some(9), None));
    }
}
