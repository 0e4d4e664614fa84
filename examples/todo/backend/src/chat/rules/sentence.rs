//! One request: what its verb and the words around it ask for. Pure.
//!
//! Each reader below knows one kind of request and gives nothing for any other; `parse` tries them in order.

use super::parse::{Intent, Status, Target};
use super::targets::{capitalised, target, targets, text};
use super::vocabulary::*;
use super::words::{Word, is_near, lower, skip, strip_end, strip_start};

/// Between a task and the word for done.
const LEADS: [&str; 4] = ["as", "to", "is", "as being"];

pub struct Sentence<'a> {
    pub message: &'a str,
    pub words: &'a [Word],
    /// Polite words came before these.
    pub is_asked_politely: bool,
}

impl Sentence<'_> {
    /// "I need to remember to pay bills", "don't forget the milk", "remind me to call".
    pub fn reminder(&self) -> Option<Intent> {
        let after = |words| REMINDERS.iter().find_map(|start| strip_start(words, start));
        let mut rest = after(self.words)?;
        // "Remind me that I need to": twice the same.
        while let Some(more) = after(rest).filter(|more: &&[Word]| !more.is_empty()) {
            rest = more;
        }
        Some(Intent::Add { titles: vec![self.title(rest)] })
    }

    pub fn add(&self, verb: &str) -> Option<Intent> {
        let (first, rest) = self.words.split_first()?;
        let is_label = first.colon && NOUNS.contains(first.lower.as_str());
        if !ADD.contains(verb) && !is_label {
            return None;
        }
        let rest =
            LIST_ENDINGS.iter().find_map(|ending| strip_start(rest, &format!("to {ending}"))).unwrap_or(rest);
        if let Some(titles) = self.several_titles(rest) {
            return Some(Intent::Add { titles });
        }
        let unarticled = skip(rest, &ARTICLES);
        let after_noun = match unarticled.split_first() {
            Some((word, after)) if NOUNS.contains(&word.lower) && word.colon => after,
            Some((word, after)) if NOUNS.contains(&word.lower) => skip(after, &CONNECTORS),
            _ if verb == "make" => return None,
            _ => strip_start(rest, "to").unwrap_or(rest),
        };
        Some(Intent::Add { titles: vec![self.title(after_noun)] })
    }

    /// "three tasks: milk, eggs and bread", or one on each line.
    fn several_titles(&self, rest: &[Word]) -> Option<Vec<String>> {
        let (noun, rest) = skip(rest, &AMOUNTS).split_first()?;
        if !PLURALS.contains(&noun.lower) {
            return None;
        }
        let rest = if noun.colon { rest } else { skip(rest, &CONNECTORS) };
        let ends = |word: &Word, marks: &[char]| self.message[word.start..word.end].ends_with(marks);
        let mut titles = Vec::new();
        let mut begin = 0;
        for at in 1..=rest.len() {
            let before = &rest[at - 1];
            let is_end = match rest.get(at) {
                None => true,
                Some(next) => {
                    let is_new_line = self.message[before.end..next.start].contains('\n');
                    is_new_line || next.lower == "and" || ends(before, &[',', ';'])
                }
            };
            if is_end {
                titles.push(self.item(&rest[begin..at]));
                begin = at;
            }
        }
        titles.retain(|title| !title.is_empty());
        (!titles.is_empty()).then_some(titles)
    }

    /// One of several titles, without what joins or numbers them.
    fn item(&self, words: &[Word]) -> String {
        let words = strip_start(words, "and").unwrap_or(words);
        let is_count = |word: &Word| {
            let raw = &self.message[word.start..word.end];
            raw.ends_with(['.', ')'])
                && raw.trim_end_matches(['.', ')']).bytes().all(|byte| byte.is_ascii_digit())
        };
        match words.split_first() {
            Some((first, rest)) if is_count(first) && !rest.is_empty() => self.title(rest),
            _ => self.title(words),
        }
    }

    /// "undo the last change", "undo deleting the meeting", "bring back the milk".
    pub fn undo(&self, verb: &str) -> Option<Intent> {
        let rest = &self.words[1..];
        if matches!(verb, "undo" | "revert") {
            if rest.iter().all(|word| UNDO_OBJECTS.contains(&word.lower)) {
                return Some(Intent::Undo);
            }
            let named = |starts: &[&str]| starts.iter().find_map(|start| strip_start(rest, start));
            let deleted = named(&["deleting", "the deletion of", "delete", "removing", "the removal of"]);
            let completed = named(&["completing", "finishing", "marking", "checking", "checking off"]);
            return match (deleted, completed) {
                (Some(rest), _) => Some(Intent::Restore { target: self.target(rest) }),
                (_, Some(rest)) => Some(Intent::Reopen { targets: self.targets(rest) }),
                // Something is to be taken back, and it is not said clearly what.
                _ => Some(Intent::Unknown),
            };
        }
        if !RESTORE.contains(verb) {
            return None;
        }
        let rest = match verb {
            "bring" => strip_start(rest, "back").or_else(|| strip_end(rest, "back"))?,
            _ => rest,
        };
        match self.target(rest) {
            Target::It | Target::Nothing => Some(Intent::Undo),
            target => Some(Intent::Restore { target }),
        }
    }

    /// "uncheck task 3", "task 3 is not done".
    pub fn reopen(&self, verb: &str) -> Option<Intent> {
        let rest = match REOPEN.contains(verb) {
            true => &self.words[1..],
            false if LIST.contains(verb) => return None,
            false => UNREPORT_ENDINGS.iter().find_map(|end| strip_end(self.words, end))?,
        };
        let targets = self.targets(rest);
        (!targets.contains(&Target::Nothing) || REOPEN.contains(verb)).then_some(Intent::Reopen { targets })
    }

    /// "clear completed tasks", "clear my list".
    pub fn clear(&self, verb: &str) -> Option<Intent> {
        let rest = strip_start(&self.words[1..], "up").or_else(|| strip_start(&self.words[1..], "out"));
        let target = self.target(rest.unwrap_or(&self.words[1..]));
        let is_clear = matches!(verb, "clear" | "clean" | "purge" | "empty" | "wipe");
        let is_many = matches!(target, Target::Everything | Target::EverythingCompleted);
        (is_clear && is_many).then(|| Intent::Delete { targets: vec![target] })
    }

    /// A question about tasks; without a word about tasks it is about something else.
    pub fn list(&self, verb: &str) -> Option<Intent> {
        let text = lower(self.words);
        let is_about = self.words.iter().any(|word| ABOUT_TASKS.contains(word.lower.as_str()))
            || text.contains("to do")
            || (verb == "what" && text.contains("have i"));
        let is_bare =
            self.words.len() == 1 && (verb == "list" || NOUNS.contains(text.as_str()) || verb == "show");
        let is_other = self.is_mark_with_check(verb) || strip_start(self.words, "get rid of").is_some();
        if !(is_bare || (LIST.contains(verb) && is_about)) || is_other {
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
    pub fn report(&self) -> Option<Intent> {
        if let Some(rest) = REPORTS.iter().find_map(|start| strip_start(self.words, start)) {
            return Some(Intent::Complete { targets: self.targets(rest) });
        }
        let before = REPORT_ENDINGS.iter().find_map(|end| strip_end(self.words, end));
        let numbered = || {
            let (last, before) = self.words.split_last()?;
            let is_done = DONE.contains(last.lower.as_str()) && last.lower != "off";
            let names_task = matches!(self.target(before), Target::Id(_)) && before.len() <= 3;
            (is_done && names_task && !MARK.contains(before[0].lower.as_str())).then_some(before)
        };
        let targets = self.targets(before.or_else(numbered)?);
        (!targets.contains(&Target::Nothing)).then_some(Intent::Complete { targets })
    }

    /// "mark task 3 as complete", "tick off the milk", "mark as done task 3".
    pub fn mark(&self, verb: &str) -> Option<Intent> {
        if !MARK.contains(verb) {
            return None;
        }
        let rest = strip_start(&self.words[1..], "off").unwrap_or(&self.words[1..]);
        let rest = strip_end(rest, "off").unwrap_or(rest);
        if let Some(intent) = self.mark_undone(rest) {
            return Some(intent);
        }
        let is_mistyped =
            |word: &Word| ["completed", "finished"].iter().any(|done| is_near(&word.lower, done));
        let is_done = |word: &Word| DONE.contains(&word.lower) || is_mistyped(word);
        if let Some((_, before)) = rest.split_last().filter(|(last, _)| is_done(last)) {
            let before = LEADS.iter().find_map(|link| strip_end(before, link)).unwrap_or(before);
            return Some(Intent::Complete { targets: self.targets(before) });
        }
        let after = strip_start(rest, "as").unwrap_or(rest);
        match after.split_first() {
            Some((first, after)) if is_done(first) => Some(Intent::Complete { targets: self.targets(after) }),
            _ if matches!(verb, "tick" | "check" | "cross") => {
                Some(Intent::Complete { targets: self.targets(rest) })
            }
            _ => None,
        }
    }

    /// "mark task 3 as not done", "set it to pending".
    fn mark_undone(&self, rest: &[Word]) -> Option<Intent> {
        let (last, before) = rest.split_last()?;
        let before = match (DONE.contains(&last.lower), UNDONE.contains(&last.lower)) {
            (true, _) => strip_end(before, "not").or_else(|| strip_end(before, "not yet"))?,
            (_, true) => before,
            _ => return None,
        };
        let before = LEADS.iter().find_map(|link| strip_end(before, link)).unwrap_or(before);
        Some(Intent::Reopen { targets: self.targets(before) })
    }

    pub fn complete(&self, verb: &str) -> Option<Intent> {
        COMPLETE.contains(verb).then(|| Intent::Complete { targets: self.targets(&self.words[1..]) })
    }

    pub fn delete(&self, verb: &str) -> Option<Intent> {
        let rest = match DELETE.contains(verb) {
            true => &self.words[1..],
            false => ["get rid of", "throw away", "throw out", "take off"]
                .iter()
                .find_map(|start| strip_start(self.words, start))?,
        };
        Some(Intent::Delete { targets: self.targets(rest) })
    }

    pub fn rename(&self, verb: &str) -> Option<Intent> {
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
        let target = self.target(strip_end(rest, "to").unwrap_or(rest));
        Some(Intent::Rename { target, options })
    }

    pub fn choice(&self) -> Intent {
        let targets = self.targets(self.words);
        match targets[..] {
            [Target::Title(_)] if self.words.len() > 6 => Intent::Unknown,
            _ => Intent::Choice { targets },
        }
    }

    fn target(&self, words: &[Word]) -> Target {
        target(self.message, words)
    }

    fn targets(&self, words: &[Word]) -> Vec<Target> {
        targets(self.message, words)
    }

    /// A title: without quotes and without "to my list" at its end, starting with a capital.
    fn title(&self, words: &[Word]) -> String {
        let words = ["to", "on", "in", "onto", "into"]
            .iter()
            .flat_map(|link| LIST_ENDINGS.iter().map(move |ending| format!("{link} {ending}")))
            .find_map(|ending| strip_end(words, &ending))
            .unwrap_or(words);
        let text = text(self.message, words);
        // "Could you add milk?" asks nothing about the milk.
        let text = if self.is_asked_politely { text.trim_end_matches('?') } else { &text };
        capitalised(text)
    }
}
