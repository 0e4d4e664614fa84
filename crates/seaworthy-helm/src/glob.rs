//! Shell patterns: Go's `filepath.Match` for `.helmignore`, gobwas/glob for `.Files.Glob`.

/// Which words a pattern may use.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dialect {
    /// `*`, `?`, `[...]`
    Path,
    /// The same, and `**` across slashes and `{a,b}`.
    Files,
}

/// Most alternatives one pattern may expand to.
const MAX_ALTERNATIVES: usize = 1_000;

pub(crate) fn matches(pattern: &str, text: &str, dialect: Dialect) -> bool {
    let text: Vec<char> = text.chars().collect();
    let patterns = if dialect == Dialect::Files { expand(pattern) } else { vec![pattern.to_owned()] };
    patterns.iter().any(|pattern| match_here(&pattern.chars().collect::<Vec<_>>(), &text, dialect))
}

/// `a{b,c}d` becomes `abd` and `acd`.
fn expand(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let Some((head, inner, tail)) = first_braces(&pattern) else {
            done.push(pattern);
            continue;
        };
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return done;
        }
        open.extend(inner.iter().map(|choice| format!("{head}{choice}{tail}")));
    }
    done
}

fn first_braces(pattern: &str) -> Option<(String, Vec<String>, String)> {
    let start = pattern.find('{')?;
    let (mut depth, mut from, mut choices) = (0, start + 1, Vec::new());
    for (at, c) in pattern[start..].char_indices().map(|(i, c)| (start + i, c)) {
        match c {
            '{' => depth += 1,
            ',' if depth == 1 => {
                choices.push(pattern[from..at].to_owned());
                from = at + 1;
            }
            '}' if depth == 1 => {
                choices.push(pattern[from..at].to_owned());
                return Some((pattern[..start].to_owned(), choices, pattern[at + 1..].to_owned()));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Matches with one remembered star per level, so the time stays polynomial.
fn match_here(pattern: &[char], text: &[char], dialect: Dialect) -> bool {
    // reachable[j]: the pattern read so far can match text[..j].
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (step, length) = Step::parse(&pattern[at..], dialect);
        at += length;
        reachable = advance(&step, &reachable, text);
    }
    reachable[text.len()]
}

enum Step {
    Star { across: bool },
    Any,
    Class { negate: bool, ranges: Vec<(char, char)> },
    Char(char),
}

impl Step {
    fn parse(pattern: &[char], dialect: Dialect) -> (Step, usize) {
        match pattern {
            ['*', '*', ..] if dialect == Dialect::Files => (Step::Star { across: true }, 2),
            ['*', ..] => (Step::Star { across: false }, 1),
            ['?', ..] => (Step::Any, 1),
            ['[', rest @ ..] => parse_class(rest).unwrap_or((Step::Char('['), 1)),
            ['\\', c, ..] => (Step::Char(*c), 2),
            [c, ..] => (Step::Char(*c), 1),
            [] => (Step::Char('\0'), 1),
        }
    }
}

fn parse_class(rest: &[char]) -> Option<(Step, usize)> {
    let end = rest.iter().skip(1).position(|c| *c == ']')? + 1;
    let (negate, body) = match rest[..end] {
        ['^' | '!', ref body @ ..] => (true, body),
        ref body => (false, body),
    };
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < body.len() {
        match body[at..] {
            [low, '-', high, ..] => {
                ranges.push((low, high));
                at += 3;
            }
            [c, ..] => {
                ranges.push((c, c));
                at += 1;
            }
            [] => break,
        }
    }
    Some((Step::Class { negate, ranges }, end + 2))
}

fn advance(step: &Step, reachable: &[bool], text: &[char]) -> Vec<bool> {
    let mut next = vec![false; reachable.len()];
    match step {
        Step::Star { across } => {
            for j in 0..reachable.len() {
                next[j] = reachable[j] || (j > 0 && next[j - 1] && (*across || text[j - 1] != '/'));
            }
        }
        single => {
            for j in 1..reachable.len() {
                next[j] = reachable[j - 1] && takes(single, text[j - 1]);
            }
        }
    }
    next
}

fn takes(step: &Step, c: char) -> bool {
    match step {
        Step::Any => c != '/',
        Step::Char(wanted) => *wanted == c,
        Step::Class { negate, ranges } => {
            c != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negate
        }
        Step::Star { .. } => true,
    }
}
