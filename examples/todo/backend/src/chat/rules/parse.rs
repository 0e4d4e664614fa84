//! From a sentence to an intent. Pure: knows words, not tasks.
//!
//! The verb decides, so polite openings are dropped first and a mistyped verb is recognised. What is not
//! understood is [`Intent::Unknown`]: guessing would change somebody's list.

use super::vocabulary::*;
use super::words::{Word, is_near, words};

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
    Last,
    It,
    Title(String),
    Everything,
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    Add {
        title: String,
    },
    List {
        status: Status,
    },
    Complete {
        target: Target,
    },
    Delete {
        target: Target,
    },
    /// "rename go to bed to sleep" has two readings; all are given, the likeliest first.
    Rename {
        options: Vec<(Target, String)>,
    },
    Reopen,
    Yes,
    No,
    Hello,
    Thanks,
    Help,
    /// Only names a task: the answer to "which one?".
    Choice {
        target: Target,
    },
    Unknown,
}

pub fn parse(message: &str) -> Intent {
    let all = words(message);
    let text = lower(&all);
    if let Some(intent) = whole_sentence(&text) {
        return intent;
    }
    let rest = without_frame(&all);
    let s = Sentence { message, words: rest };
    let Some(first) = s.words.first() else { return Intent::Unknown };
    let verb = verb(&first.lower);
    s.reminder()
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
    match text {
        "" => Some(Intent::Unknown),
        "help" | "what can you do" | "how does this work" | "commands" | "how do you work" => {
            Some(Intent::Help)
        }
        "hi" | "hello" | "hey" | "hi there" | "hello there" | "good morning" | "good evening" => {
            Some(Intent::Hello)
        }
        "thanks" | "thank you" | "thx" | "great" | "nice" | "cool" | "thank you very much" => {
            Some(Intent::Thanks)
        }
        _ if YES.contains(text) => Some(Intent::Yes),
        _ if NO.contains(text) => Some(Intent::No),
        _ => None,
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
    let known = [&ADD, &LIST, &COMPLETE, &MARK, &DELETE, &RENAME].iter().any(|verbs| verbs.contains(word));
    let near = MISTYPED.iter().find(|verb| is_near(word, verb)).filter(|_| !known);
    near.unwrap_or(word).to_owned()
}

struct Sentence<'a> {
    message: &'a str,
    words: &'a [Word],
}

impl Sentence<'_> {
    /// "I need to remember to pay bills", "don't forget the milk", "remind me to call".
    fn reminder(&self) -> Option<Intent> {
        let rest = REMINDERS.iter().find_map(|start| strip_start(self.words, start))?;
        Some(Intent::Add { title: self.title(rest) })
    }

    fn add(&self, verb: &str) -> Option<Intent> {
        let (first, rest) = self.words.split_first()?;
        let is_label = first.colon && NOUNS.contains(first.lower.as_str());
        if !ADD.contains(verb) && !is_label {
            return None;
        }
        let rest =
            LIST_ENDINGS.iter().find_map(|ending| strip_start(rest, &format!("to {ending}"))).unwrap_or(rest);
        let unarticled = skip(rest, &ARTICLES);
        let after_noun = match unarticled.split_first() {
            Some((word, after)) if NOUNS.contains(word.lower.as_str()) => {
                if word.colon {
                    after
                } else {
                    skip(after, &CONNECTORS)
                }
            }
            _ if verb == "make" => return None,
            _ => strip_start(rest, "to").unwrap_or(rest),
        };
        Some(Intent::Add { title: self.title(after_noun) })
    }

    /// A question about tasks; without a word about tasks it is about something else.
    fn list(&self, verb: &str) -> Option<Intent> {
        let text = lower(self.words);
        let is_about = self.words.iter().any(|word| ABOUT_TASKS.contains(word.lower.as_str()))
            || text.contains("to do")
            || (verb == "what" && text.contains("have i"));
        let is_bare =
            self.words.len() == 1 && (verb == "list" || NOUNS.contains(text.as_str()) || verb == "show");
        if !(is_bare || (LIST.contains(verb) && is_about)) || self.is_mark_with_check(verb) {
            return None;
        }
        let has = |set: &[&str]| self.words.iter().any(|word| set.contains(&word.lower.as_str()));
        let pending = has(&[
            "pending",
            "open",
            "left",
            "remaining",
            "incomplete",
            "unfinished",
            "outstanding",
            "still",
        ]) || text.contains("not done")
            || text.contains("not completed")
            || text.contains("not finished")
            || text.contains("haven't")
            || (text.contains("to do") && !has(&["list"]));
        let status = match pending {
            true => Status::Pending,
            false if has(&["completed", "complete", "done", "finished"]) => Status::Completed,
            false => Status::All,
        };
        Some(Intent::List { status })
    }

    /// "check off milk" and "check task 3" act; "check my tasks" asks.
    fn is_mark_with_check(&self, verb: &str) -> bool {
        let second = self.words.get(1).map(|word| word.lower.as_str());
        verb == "check"
            && (second == Some("off") || !matches!(self.target(&self.words[1..]), Target::Title(_)))
    }

    /// "I finished the report", "task 3 is done", "I'm done with the laundry".
    fn report(&self) -> Option<Intent> {
        if let Some(rest) = REPORTS.iter().find_map(|start| strip_start(self.words, start)) {
            return Some(Intent::Complete { target: self.target(rest) });
        }
        let before = REPORT_ENDINGS.iter().find_map(|end| strip_end(self.words, end));
        let numbered = || {
            let (last, before) = self.words.split_last()?;
            let is_done = DONE.contains(last.lower.as_str()) && last.lower != "off";
            let names_task = matches!(self.target(before), Target::Id(_)) && before.len() <= 3;
            (is_done && names_task && !MARK.contains(before[0].lower.as_str())).then_some(before)
        };
        let target = self.target(before.or_else(numbered)?);
        (target != Target::Nothing).then_some(Intent::Complete { target })
    }

    /// "mark task 3 as complete", "tick off the milk", "mark as done task 3".
    fn mark(&self, verb: &str) -> Option<Intent> {
        if !MARK.contains(verb) {
            return None;
        }
        let rest = strip_start(&self.words[1..], "off").unwrap_or(&self.words[1..]);
        let rest = strip_end(rest, "off").unwrap_or(rest);
        if rest.iter().any(|word| UNDONE.contains(word.lower.as_str())) || lower(rest).contains("as not ") {
            return Some(Intent::Reopen);
        }
        let is_done = |word: &Word| DONE.contains(word.lower.as_str());
        if let Some((last, before)) = rest.split_last().filter(|(last, _)| is_done(last)) {
            let _ = last;
            let before = ["as", "to", "is"].iter().find_map(|link| strip_end(before, link)).unwrap_or(before);
            return Some(Intent::Complete { target: self.target(before) });
        }
        let after = strip_start(rest, "as").unwrap_or(rest);
        match after.split_first() {
            Some((first, after)) if is_done(first) => Some(Intent::Complete { target: self.target(after) }),
            _ if matches!(verb, "tick" | "check" | "cross") => {
                Some(Intent::Complete { target: self.target(rest) })
            }
            _ => None,
        }
    }

    fn complete(&self, verb: &str) -> Option<Intent> {
        COMPLETE.contains(verb).then(|| Intent::Complete { target: self.target(&self.words[1..]) })
    }

    fn delete(&self, verb: &str) -> Option<Intent> {
        let rest = match DELETE.contains(verb) {
            true => &self.words[1..],
            false => ["get rid of", "throw away", "throw out", "take off"]
                .iter()
                .find_map(|start| strip_start(self.words, start))?,
        };
        Some(Intent::Delete { target: self.target(rest) })
    }

    fn rename(&self, verb: &str) -> Option<Intent> {
        if !RENAME.contains(verb) {
            return None;
        }
        let rest = &self.words[1..];
        let rest = ["the title of", "title of", "the name of", "the text of"]
            .iter()
            .find_map(|start| strip_start(rest, start))
            .unwrap_or(rest);
        let mut options = Vec::new();
        for (at, word) in rest.iter().enumerate() {
            let target = match word.lower.as_str() {
                "to" | "into" | "as" | "with" if at > 0 => &rest[..at],
                _ if word.colon => &rest[..=at],
                _ => continue,
            };
            let target =
                ["title", "name", "text"].iter().find_map(|noun| strip_end(target, noun)).unwrap_or(target);
            let title = self.title(&rest[at + 1..]);
            if !title.is_empty() {
                options.push((self.target(target), title));
            }
        }
        Some(Intent::Rename { options })
    }

    fn choice(&self) -> Intent {
        match self.target(self.words) {
            Target::Title(_) if self.words.len() > 6 => Intent::Unknown,
            target => Intent::Choice { target },
        }
    }

    /// The task that `words` name.
    fn target(&self, words: &[Word]) -> Target {
        let words = ["from", "off", "on", "in"]
            .iter()
            .flat_map(|link| LIST_ENDINGS.iter().map(move |ending| format!("{link} {ending}")))
            .find_map(|ending| strip_end(words, &ending))
            .unwrap_or(words);
        let text = lower(words);
        match text.as_str() {
            "" => return Target::Nothing,
            "it" | "that" | "this" | "that one" | "this one" | "that task" | "this task" => {
                return Target::It;
            }
            "all"
            | "everything"
            | "them all"
            | "all of them"
            | "all tasks"
            | "all my tasks"
            | "all the tasks"
            | "every task"
            | "my tasks"
            | "tasks"
            | "all completed tasks"
            | "completed tasks" => {
                return Target::Everything;
            }
            _ => {}
        }
        let bare = skip(words, &Phrases("the|my|a|an|that|this|very"));
        let had_noun = bare.first().is_some_and(is_noun);
        let bare = skip(bare, &NOUNS);
        let bare = skip(bare, &Phrases("number|no|nr|id|called|named|titled"));
        match bare {
            [] => Some(Target::Nothing),
            [only] => number(&only.lower, had_noun).map(Target::Id).or_else(|| ordinal(&only.lower)),
            [first, rest @ ..] if rest.iter().all(is_filler) => {
                ordinal(&first.lower).or_else(|| number(&first.lower, had_noun).map(Target::Id))
            }
            _ if text.contains("most recent") || text.contains("latest") => Some(Target::Last),
            _ => None,
        }
        .unwrap_or_else(|| self.titled(bare))
    }

    fn titled(&self, words: &[Word]) -> Target {
        let kept = match words.split_last() {
            Some((last, before)) if !before.is_empty() && (is_noun(last) || last.lower == "one") => before,
            _ => words,
        };
        Target::Title(self.text(kept))
    }

    /// The original text of `words`, without the quotes around it and the full stop after it.
    fn text(&self, words: &[Word]) -> String {
        const QUOTES: &[char] = &['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}'];
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return String::new() };
        let text = self.message[first.start..last.end].trim_start_matches([':', '-', ',', ' ']);
        let text = text.trim_end_matches(['.', ',', ';', ':']);
        text.trim_matches(QUOTES).trim_end_matches('.').trim().to_owned()
    }

    /// A title: without quotes and without "to my list" at its end, starting with a capital.
    fn title(&self, words: &[Word]) -> String {
        let words = ["to", "on", "in", "onto", "into"]
            .iter()
            .flat_map(|link| LIST_ENDINGS.iter().map(move |ending| format!("{link} {ending}")))
            .find_map(|ending| strip_end(words, &ending))
            .unwrap_or(words);
        let text = self.text(words);
        let mut chars = text.chars();
        match chars.next() {
            Some(first) => first.to_uppercase().chain(chars).collect(),
            None => text,
        }
    }
}

fn lower(words: &[Word]) -> String {
    words.iter().map(|word| word.lower.as_str()).collect::<Vec<_>>().join(" ")
}

fn strip_start<'a>(words: &'a [Word], phrase: &str) -> Option<&'a [Word]> {
    let count = phrase.split(' ').count();
    let fits =
        words.len() >= count && phrase.split(' ').zip(words).all(|(wanted, word)| word.lower == wanted);
    fits.then(|| &words[count..])
}

fn strip_end<'a>(words: &'a [Word], phrase: &str) -> Option<&'a [Word]> {
    let start = words.len().checked_sub(phrase.split(' ').count())?;
    strip_start(&words[start..], phrase).map(|_| &words[..start])
}

fn skip<'a>(words: &'a [Word], set: &Phrases) -> &'a [Word] {
    let count = words.iter().take_while(|word| set.contains(&word.lower)).count();
    &words[count..]
}

fn is_noun(word: &Word) -> bool {
    NOUNS.contains(word.lower.as_str())
}

fn is_filler(word: &Word) -> bool {
    is_noun(word) || matches!(word.lower.as_str(), "one" | "of" | "on" | "in" | "the" | "my" | "list")
}
