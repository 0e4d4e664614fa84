//! From a message to what it asks for. Pure: knows words, not tasks.
//!
//! The verb decides, so polite openings are dropped first and a mistyped verb is recognised. A message may hold several
//! requests; it is cut only where each part surely is one. What is not understood is [`Intent::Unknown`]: guessing
//! would change somebody's list.

use super::sentence::Sentence;
use super::vocabulary::*;
use super::words::{Word, is_near, is_noun, lower, strip_end, strip_start, words};

/// Requests in one message.
const REQUESTS_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    All,
    Pending,
    Completed,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pending => "pending",
            Self::Completed => "completed",
        }
    }
}

/// How a task was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Id(i64),
    /// Counted from 1.
    Nth(usize),
    /// Counted from 1, which is the last.
    FromEnd(usize),
    It,
    Title(String),
    Everything,
    EverythingCompleted,
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Add {
        titles: Vec<String>,
    },
    List {
        status: Status,
    },
    Complete {
        targets: Vec<Target>,
    },
    Reopen {
        targets: Vec<Target>,
    },
    Delete {
        targets: Vec<Target>,
    },
    /// "rename go to bed to sleep" has two readings; all are given, the likeliest first.
    Rename {
        target: Target,
        options: Vec<(Target, String)>,
    },
    /// Takes back what was done last.
    Undo,
    /// Brings a deleted task back.
    Restore {
        target: Target,
    },
    Yes,
    No,
    Hello,
    Thanks,
    Help,
    /// Only names tasks: the answer to "which one?".
    Choice {
        targets: Vec<Target>,
    },
    /// More requests than anybody could keep in mind.
    TooMuch,
    Unknown,
}

/// What `message` asks for; at least one intent.
pub fn parse(message: &str) -> Vec<Intent> {
    let all = words(message);
    let mut parts = Vec::new();
    let mut begin = 0;
    for at in 1..all.len() {
        if let Some(end) = cut(message, &all, begin, at) {
            parts.push(request(message, &all[begin..end]));
            begin = at;
        }
    }
    parts.push(request(message, &all[begin..]));
    if parts.len() > 1 && !parts.iter().all(Intent::acts) {
        return vec![request(message, &all)];
    }
    if parts.len() > REQUESTS_MAX { vec![Intent::TooMuch] } else { parts }
}

/// The one intent of a message that is no more than that.
pub fn parse_one(message: &str) -> Intent {
    let mut intents = parse(message);
    if intents.len() == 1 { intents.remove(0) } else { Intent::Unknown }
}

impl Intent {
    fn acts(&self) -> bool {
        let targets = match self {
            Self::Complete { targets } | Self::Reopen { targets } | Self::Delete { targets } => targets,
            Self::Rename { options, .. } => return !options.is_empty(),
            Self::Add { titles } => return titles.iter().all(|title| !title.is_empty()),
            Self::List { .. } | Self::Undo => return true,
            _ => return false,
        };
        !targets.contains(&Target::Nothing)
    }
}

/// Where the request before `at` ends, if another one surely begins there.
fn cut(message: &str, all: &[Word], begin: usize, at: usize) -> Option<usize> {
    let (before, next) = (&all[at - 1], &all[at]);
    let ends =
        message[..before.end].ends_with(['.', ';', '!', '?']) && !ABBREVIATIONS.contains(&before.lower);
    let is_new_sentence = ends || message[before.end..next.start].contains('\n');
    let links = all[begin..at].iter().rev().take_while(|word| LINKS.contains(&word.lower)).count();
    let is_linked = links > 0 || message[..before.end].ends_with(',');
    let end = at - links;
    if !(is_new_sentence || is_linked) || LINKS.contains(&next.lower) || end == begin {
        return None;
    }
    let rest = without_frame(&all[at..]);
    let verb = rest.first()?.lower.as_str();
    let is_verb = [&REQUESTS, &MARK, &COMPLETE, &DELETE, &RENAME].iter().any(|verbs| verbs.contains(verb));
    if !is_verb || rest.len() < 2 {
        return None;
    }
    let is_sure = is_new_sentence
        || match request(message, rest) {
            // "add paint and add it to the shed" is one errand.
            Intent::Add { .. } => matches!(verb, "add" | "create") && !THINGS.contains(&rest[1].lower),
            Intent::Complete { targets } | Intent::Reopen { targets } | Intent::Delete { targets } => {
                rest.iter().any(is_noun) || !targets.iter().any(|target| matches!(target, Target::Title(_)))
            }
            Intent::Rename { .. } | Intent::List { .. } => rest.iter().any(is_noun),
            _ => false,
        };
    is_sure.then_some(end)
}

fn request(message: &str, all: &[Word]) -> Intent {
    if let Some(intent) = whole_sentence(&lower(all)) {
        return intent;
    }
    let words = without_frame(all);
    let is_asked_politely = words.first().map(|word| word.start) != all.first().map(|word| word.start);
    let s = Sentence { message, words, is_asked_politely };
    if let Some(intent) = whole_sentence(&lower(s.words)).filter(|intent| *intent == Intent::Undo) {
        return intent;
    }
    let Some(first) = s.words.first() else { return Intent::Unknown };
    let verb = verb(&first.lower);
    s.reminder()
        .or_else(|| s.undo(&verb))
        .or_else(|| s.reopen(&verb))
        .or_else(|| s.clear(&verb))
        .or_else(|| s.list(&verb))
        .or_else(|| s.report())
        .or_else(|| s.mark(&verb))
        .or_else(|| s.add(&verb))
        .or_else(|| s.delete(&verb))
        .or_else(|| s.rename(&verb))
        .or_else(|| s.complete(&verb))
        .unwrap_or_else(|| s.choice())
}

fn whole_sentence(text: &str) -> Option<Intent> {
    let known = [
        (&HELP, Intent::Help),
        (&HELLO, Intent::Hello),
        (&THANKS, Intent::Thanks),
        (&UNDO, Intent::Undo),
        (&YES, Intent::Yes),
        (&NO, Intent::No),
        (&ALL_OF_THEM, Intent::Choice { targets: vec![Target::Everything] }),
    ];
    match text {
        "" => Some(Intent::Unknown),
        _ => known.into_iter().find(|(phrases, _)| phrases.contains(text)).map(|(_, intent)| intent),
    }
}

/// The words between polite openings and closings.
fn without_frame(all: &[Word]) -> &[Word] {
    let mut rest = all;
    while let Some(after) = OPENINGS.iter().find_map(|opening| strip_start(rest, opening)) {
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    while let Some(before) = CLOSINGS.iter().find_map(|closing| strip_end(rest, closing)) {
        if before.is_empty() {
            break;
        }
        rest = before;
    }
    rest
}

fn verb(word: &str) -> String {
    let known = [&ADD, &LIST, &COMPLETE, &MARK, &DELETE, &RENAME, &REOPEN, &RESTORE];
    let is_known = known.iter().any(|verbs| verbs.contains(word));
    let near = MISTYPED.iter().find(|verb| is_near(word, verb)).filter(|_| !is_known);
    near.unwrap_or(word).to_owned()
}
