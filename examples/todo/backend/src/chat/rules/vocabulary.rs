//! The words the rules know. Each list is one text, its phrases separated by bars. Pure.

use super::parse::Target;

/// Phrases in lower case.
pub struct Phrases(pub &'static str);

impl Phrases {
    pub fn contains(&self, text: &str) -> bool {
        self.iter().any(|phrase| phrase == text)
    }

    pub fn iter(&self) -> impl Iterator<Item = &'static str> {
        self.0.split('|')
    }
}

/// Polite words before the request; dropped.
pub const OPENINGS: Phrases = Phrases(
    "please|can you|could you|would you|will you|can i|could i|may i|i want you to|\
     i would like you to|i'd like you to|i would like to|i'd like to|i want to|i need you to|let's|\
     lets|let me|kindly|just|now|then|also|and|so|hey|hi|hello|ok|okay|well|go ahead and|help me|\
     quickly|actually",
);
/// Polite words after it; dropped.
pub const CLOSINGS: Phrases = Phrases("please|thanks|thank you|for me|now|pls");
/// Whole messages that affirm.
pub const YES: Phrases = Phrases(
    "yes|y|yep|yeah|yup|sure|ok|okay|confirm|confirmed|do it|go ahead|of course|yes please|\
     yes delete it|yes do it|please do|absolutely|certainly|right",
);
/// Whole messages that decline.
pub const NO: Phrases = Phrases(
    "no|n|nope|nah|cancel|never mind|nevermind|stop|don't|do not|keep it|no thanks|no thank you|\
     forget it|abort|no don't|don't delete it|leave it",
);
/// First words that add.
pub const ADD: Phrases = Phrases("add|create|new|remember|note|remind|insert|append|put|make|todo");
/// First words that ask.
pub const LIST: Phrases = Phrases(
    "show|list|see|view|display|what|what's|whats|which|how|give|tell|read|check|get|find|do|are|is|\
     have|any|my|all|pending|completed",
);
/// First words that complete.
pub const COMPLETE: Phrases = Phrases("complete|finish|close|done|finished|completed|did|resolve");
/// First words that complete, when a word for "done" follows.
pub const MARK: Phrases = Phrases("mark|set|tick|check|cross|flag");
/// First words that delete.
pub const DELETE: Phrases = Phrases("delete|remove|cancel|erase|drop|discard|trash|scrap");
/// First words that rename.
pub const RENAME: Phrases = Phrases("change|update|rename|edit|modify|retitle|replace|reword|correct");
/// Verbs long enough that a typo can be told from another word.
pub const MISTYPED: Phrases = Phrases(
    "create|remember|remind|show|list|display|mark|complete|finish|delete|remove|cancel|change|\
     update|rename",
);
/// Words before the noun.
pub const ARTICLES: Phrases = Phrases("a|an|the|another|one|my|me|this|new|some");
/// What people call a task, with its usual typos.
pub const NOUNS: Phrases = Phrases("task|tasks|todo|to-do|item|reminder|note|entry|taks|tsak|tsk");
/// Words between the noun and the title.
pub const CONNECTORS: Phrases =
    Phrases("to|called|named|titled|for|about|that|saying|says|which|i|need|have|must|should");
/// Words for "done".
pub const DONE: Phrases = Phrases("done|complete|completed|finished|ready|off");
/// Words for "not done".
pub const UNDONE: Phrases = Phrases("incomplete|undone|unfinished|pending|open|uncompleted");
/// What people call the list, after "to", "on" or "from".
pub const LIST_ENDINGS: Phrases = Phrases(
    "my list|the list|my todo list|the todo list|my to-do list|my tasks|my task list|the task list|\
     my todos|my todo|list|my to do list|the to-do list",
);
/// Openings of a sentence whose rest is a new title.
pub const REMINDERS: Phrases = Phrases(
    "i need to remember to|i have to remember to|i must remember to|i should remember to|\
     i need to remember|remember to|remind me to|remind me that|remind me about|remind me of|\
     don't forget to|do not forget to|don't let me forget to|don't forget|make a note to|\
     make a note that|note to self|i need to|i have to|i must|i should|i gotta|remember that",
);
/// Words that make a question one about tasks.
pub const ABOUT_TASKS: Phrases = Phrases(
    "task|tasks|todo|todos|to-do|list|pending|left|remaining|completed|complete|done|finished|open|\
     everything|all|items|incomplete|unfinished|outstanding|taks|tsaks|due",
);
/// Openings that report something as done.
pub const REPORTS: Phrases = Phrases(
    "i finished|i completed|i did|i've finished|i've completed|i've done|i have finished|\
     i have completed|i have done|i just finished|i just completed|i just did|i already did|\
     i'm done with|i am done with|i'm finished with|i am finished with|done with|finished with|\
     i already finished|i already completed",
);
/// Endings that do the same.
pub const REPORT_ENDINGS: Phrases = Phrases(
    "is done|is complete|is completed|is finished|is done now|are done|was done|has been done|\
     is now done|is now complete",
);

/// `3`, `#3`, and after "task" also `three`.
pub fn number(word: &str, had_noun: bool) -> Option<i64> {
    const NAMES: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let digits = word.trim_start_matches('#');
    if !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.parse().ok();
    }
    let named = NAMES.iter().position(|name| *name == word).filter(|_| had_noun)?;
    i64::try_from(named + 1).ok()
}

pub fn ordinal(word: &str) -> Option<Target> {
    const NAMES: [&str; 10] =
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];
    const SHORT: [&str; 10] = ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th"];
    match word {
        "last" | "latest" | "newest" | "final" | "bottom" => Some(Target::Last),
        "top" | "oldest" => Some(Target::Nth(1)),
        _ => {
            let at = NAMES.iter().position(|name| *name == word);
            at.or_else(|| SHORT.iter().position(|name| *name == word)).map(|at| Target::Nth(at + 1))
        }
    }
}
