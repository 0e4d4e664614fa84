//! `.env` and `env_file`: lines of `NAME=value` with the quotes, comments and references Compose knows.
//!
//! Single quotes keep everything; double quotes know escapes and references; bare values end before ` #`.

use crate::error::{Fault, Problem, Result};
use crate::node::Mark;
use crate::variables::{Place, Variables};

/// The pairs of `text` in order. References see `variables` and the lines above.
pub fn parse(text: &str, file: usize, variables: &Variables) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let content = first.trim();
        rest = after;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let mark = Mark { file, line, column: 1, width: first.trim_end().chars().count().max(1) };
        let content = content.strip_prefix("export ").unwrap_or(content).trim_start();
        let Some((name, value)) = content.split_once('=') else {
            // A bare name passes a variable on, as in `environment`.
            if let (true, Some(value)) = (is_name(content), variables.get(content)) {
                pairs.push((content.to_owned(), value.to_owned()));
            } else if !is_name(content) {
                return not_a_line(mark);
            }
            continue;
        };
        let name = name.trim_end();
        if !is_name(name) {
            return not_a_line(mark);
        }
        let value = value.trim_start();
        let raw = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => {
                let (inner, consumed) =
                    quoted(&value[1..], after, quote).map_or_else(|| unclosed(mark), Ok)?;
                line += after[..consumed].matches('\n').count();
                rest = &after[consumed..];
                inner
            }
            _ => Raw { text: bare(value).to_owned(), expands: true },
        };
        let value = if raw.expands { expand(&raw.text, &pairs, variables, mark)? } else { raw.text };
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

struct Raw {
    text: String,
    expands: bool,
}

fn bare(value: &str) -> &str {
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    value[..end].trim_end()
}

/// The text up to the closing quote, which may stand on a later line, and how much of `following` it used.
fn quoted(first: &str, following: &str, quote: char) -> Option<(Raw, usize)> {
    let mut text = String::new();
    let mut escaped = false;
    for (at, c) in first
        .char_indices()
        .map(|(_, c)| (None, c))
        .chain([(Some(0), '\n')])
        .chain(following.char_indices().map(|(at, c)| (Some(at + c.len_utf8()), c)))
    {
        if escaped {
            text.push_str(match c {
                'n' => "\n",
                'r' => "\r",
                't' => "\t",
                '$' => "$$",
                _ => "",
            });
            if !matches!(c, 'n' | 'r' | 't' | '$') {
                text.push(c);
            }
            escaped = false;
        } else if c == '\\' && quote == '"' {
            escaped = true;
        } else if c == quote {
            // The rest of the closing line is a comment or nothing.
            let used = match at {
                None => 0,
                Some(at) => at + following[at..].find('\n').map_or(following.len() - at, |end| end + 1),
            };
            return Some((Raw { text, expands: quote == '"' }, used));
        } else {
            text.push(c);
        }
    }
    None
}

fn expand(raw: &str, pairs: &[(String, String)], variables: &Variables, mark: Mark) -> Result<String> {
    let value_of = |name: &str| {
        let above = || pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        // Compose takes an unset name in an env file for empty.
        (name.to_owned(), variables.get(name).or_else(above).unwrap_or_default().to_owned())
    };
    let values = references(raw).map(value_of).collect();
    Variables::new(values).expand(raw, Place::Plain).or_else(|bad| Fault::at(mark, bad.problem))
}

fn references(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(part.len());
        (end > 0).then(|| &part[..end])
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn not_a_line<T>(mark: Mark) -> Result<T> {
    // The line itself is not quoted: it may hold a secret.
    let info = "a line must read `NAME=value`".to_owned();
    Fault::at(Mark { width: 1, ..mark }, Problem::Syntax { info })
}

fn unclosed<T>(mark: Mark) -> Result<T> {
    Fault::at(Mark { width: 1, ..mark }, Problem::Syntax { info: "the quote is never closed".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let outer = Variables::new([("HOME".to_owned(), "/root".to_owned())].into());
        let shown = match parse(text, 0, &outer) {
            Ok(pairs) => pairs.iter().map(|(k, v)| format!("{k}={v:?}")).collect::<Vec<_>>().join(" "),
            Err(fault) => format!("line {}: {}", fault.mark.map_or(0, |mark| mark.line), fault.problem),
        };
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn values_may_be_bare_or_quoted() {
        check("A=1\nB='x # y' # c\nC=\"a\\nb\"", r#"A="1" B="x # y" C="a\nb""#);
        check("export A = b # comment\n\n# nothing\nURL=http://x/#y", r#"A="b" URL="http://x/#y""#);
        check("EMPTY=", r#"EMPTY="""#);
    }

    #[test]
    fn references_see_the_lines_above_and_the_environment() {
        check("A=1\nB=${A}-$HOME-${NO:-d}", r#"A="1" B="1-/root-d""#);
        check("A='${HOME}'", r#"A="${HOME}""#);
        check(r#"A="\$5""#, r#"A="$5""#);
    }

    #[test]
    fn a_quoted_value_may_span_lines() {
        check("KEY=\"one\ntwo\"\nNEXT=1", r#"KEY="one\ntwo" NEXT="1""#);
    }

    #[test]
    fn a_broken_line_is_told_without_its_content() {
        check("A=1\nsome secret", "line 2: this is not YAML: a line must read `NAME=value`");
        check("A='x", "line 1: this is not YAML: the quote is never closed");
    }
}
