//! Which tasks some words name: numbers, places, titles, several of them. Pure.

use super::parse::Target;
use super::vocabulary::*;
use super::words::{Word, is_noun, lower, skip, strip_end};

/// A range of more tasks is taken for a title.
const RANGE_MAX: i64 = 20;

/// The task that `words` of `message` name.
pub fn target(message: &str, words: &[Word]) -> Target {
    let words = without_list(words);
    match lower(words).as_str() {
        "" => return Target::Nothing,
        text if IT.contains(text) => return Target::It,
        text if EVERYTHING.contains(text) => return Target::Everything,
        text if EVERYTHING_COMPLETED.contains(text) => return Target::EverythingCompleted,
        _ => {}
    }
    let bare = skip(words, &DETERMINERS);
    let had_noun = bare.first().is_some_and(is_noun);
    let bare = skip(bare, &NOUNS);
    let unnamed = skip(bare, &NAMED);
    let (had_noun, bare) = (had_noun || unnamed.len() < bare.len(), unnamed);
    place(bare, had_noun).unwrap_or_else(|| titled(message, bare))
}

/// The tasks that `words` name, one after the other: "tasks 1, 2 and 5", "the first two", "1-3".
pub fn targets(message: &str, words: &[Word]) -> Vec<Target> {
    match target(message, words) {
        Target::Title(title) => several(without_list(words)).unwrap_or_else(|| vec![Target::Title(title)]),
        one => vec![one],
    }
}

/// The original text of `words`, without the quotes around it and the full stop after it.
pub fn text(message: &str, words: &[Word]) -> String {
    const QUOTES: &[char] = &['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return String::new() };
    let text = message[first.start..last.end].trim_start_matches([':', '-', ',', ' ']);
    let text = text.trim_end_matches(['.', ',', ';', ':']);
    text.trim_matches(QUOTES).trim_end_matches('.').trim().to_owned()
}

/// A title starts with a capital.
pub fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Without "from my list" and its like.
fn without_list(words: &[Word]) -> &[Word] {
    let mut endings = ["from", "off", "on", "in"]
        .iter()
        .flat_map(|link| LIST_ENDINGS.iter().map(move |ending| format!("{link} {ending}")));
    endings.find_map(|ending| strip_end(words, &ending)).unwrap_or(words)
}

fn place(bare: &[Word], had_noun: bool) -> Option<Target> {
    let text = lower(bare);
    match bare {
        [] => Some(Target::Nothing),
        [only] => number(&only.lower, had_noun).map(Target::Id).or_else(|| ordinal(&only.lower)),
        [first, rest @ ..] if rest.iter().all(is_filler) => {
            ordinal(&first.lower).or_else(|| number(&first.lower, had_noun).map(Target::Id))
        }
        [first, last, rest @ ..] if last.lower == "last" && rest.iter().all(is_filler) => {
            match ordinal(&first.lower)? {
                Target::Nth(place) => Some(Target::FromEnd(place)),
                _ => None,
            }
        }
        _ if ["second to last", "next to last"].iter().any(|start| text.starts_with(start)) => {
            Some(Target::FromEnd(2))
        }
        _ if text.contains("most recent") || text.contains("latest") => Some(Target::FromEnd(1)),
        _ => None,
    }
}

fn several(words: &[Word]) -> Option<Vec<Target>> {
    let is_glue = |word: &&Word| {
        is_noun(word)
            || LINKS.contains(&word.lower)
            || DETERMINERS.contains(&word.lower)
            || NAMED.contains(&word.lower)
    };
    let named: Vec<&str> =
        words.iter().filter(|word| !is_glue(word)).map(|word| word.lower.as_str()).collect();
    let count = |word: &str| number(word, true).filter(|count| (1..=RANGE_MAX).contains(count));
    if let [end, many] = named[..]
        && let (Some(count), false) = (count(many), many.starts_with('#'))
    {
        let count = usize::try_from(count).ok()?;
        match end {
            "first" | "top" | "oldest" => return Some((1..=count).map(Target::Nth).collect()),
            "last" | "latest" | "newest" => return Some((1..=count).rev().map(Target::FromEnd).collect()),
            _ => {}
        }
    }
    let mut found = Vec::new();
    let mut rest = named.iter().copied().peekable();
    while let Some(word) = rest.next() {
        let range = match word.split_once(['-', '\u{2013}']) {
            Some((from, to)) => Some((number(from, true)?, number(to, true)?)),
            None if rest.next_if(|word| matches!(*word, "to" | "through" | "until")).is_some() => {
                Some((number(word, true)?, number(rest.next()?, true)?))
            }
            None => None,
        };
        match range {
            Some((from, to)) if from < to && to - from < RANGE_MAX => {
                found.extend((from..=to).map(Target::Id))
            }
            Some(_) => return None,
            None => found.push(ordinal(word).or_else(|| number(word, true).map(Target::Id))?),
        }
    }
    (found.len() > 1).then_some(found)
}

fn titled(message: &str, words: &[Word]) -> Target {
    let kept = match words.split_last() {
        Some((last, before)) if !before.is_empty() && (is_noun(last) || last.lower == "one") => before,
        _ => words,
    };
    Target::Title(text(message, kept))
}

fn is_filler(word: &Word) -> bool {
    is_noun(word) || matches!(word.lower.as_str(), "one" | "of" | "on" | "in" | "the" | "my" | "list")
}
