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
    "please|pls|plz|can you|could you|would you|will you|can i|could i|may i|i want you to|would you mind|would you please|\
     i would like you to|i'd like you to|i would like to|i'd like to|i want to|i need you to|let's|\
     lets|let me|kindly|just|now|then|also|and|so|hey|hi|hello|ok|okay|well|go ahead and|help me|\
     quickly|actually|i think you should|you should|you can|you may|be so kind and|do me a favor and|do me a favour and|if you don't mind|\
     when you have a moment|dear assistant|assistant|yo|oh|um|uh|hmm|alright",
);
/// Polite words after it; dropped.
pub const CLOSINGS: Phrases = Phrases(
    "please|thanks|thank you|for me|now|pls|plz|thx|asap|right now|if you can|if possible|would you|will you|ok|okay|kindly|ty",
);
/// Between two requests, or two of many things.
pub const LINKS: Phrases = Phrases("and|then|also|plus|afterwards");
/// Words whose full stop ends no sentence.
pub const ABBREVIATIONS: Phrases =
    Phrases("mr|mrs|ms|dr|prof|st|no|nr|vs|e.g|i.e|etc|approx|inc|ltd|co|jr|sr");
/// What a thing is called that was named before.
pub const THINGS: Phrases = Phrases("it|them|that|this|those|these|some");
/// Whole messages that ask what is possible.
pub const HELP: Phrases = Phrases(
    "help|what can you do|how does this work|commands|how do you work|help me|what can i say|what do you do|\
     what are you able to do|how can you help me|options",
);
/// Whole messages that greet.
pub const HELLO: Phrases = Phrases(
    "hi|hello|hey|hi there|hello there|good morning|good evening|good afternoon|hey there|howdy|how are you",
);
/// Whole messages that thank.
pub const THANKS: Phrases = Phrases(
    "thanks|thank you|thx|great|nice|cool|thank you very much|thanks a lot|perfect|awesome|good job|well done|ty",
);
/// Whole messages that choose everything there was to choose from.
pub const ALL_OF_THEM: Phrases =
    Phrases("both|both of them|all of them|them all|all of those|all of these|all three|every one of them");
/// Whole messages that take back what was done last.
pub const UNDO: Phrases = Phrases(
    "undo|undo that|undo it|undo this|undo last|revert|revert that|revert it|take that back|take it back|go back|\
     roll back|roll that back|oops|whoops|oops undo|oops undo that|bring it back|bring that back|put it back|put that back|restore it|\
     restore that|get it back|give it back|i want it back|i didn't mean that|i did not mean that|i didn't mean to|\
     i didn't mean to do that|i did not mean to do that|that was a mistake|that was an accident|that was wrong|\
     that was by mistake|my mistake|wrong one|wrong task|not that one|undelete|undelete it|undelete that|\
     un-delete it|recover it|oh no undo|no undo that|wait undo that|ctrl z|ctrl+z|undo please|unddo|udno",
);
/// After "undo", for what was done last.
pub const UNDO_OBJECTS: Phrases = Phrases(
    "the|my|your|last|previous|latest|change|action|one|thing|step|edit|deletion|delete|completion|renaming|addition|\
     it|that|this|what|you|i|did|just|command|again|now|please",
);
/// First words that bring back.
pub const RESTORE: Phrases = Phrases("restore|undelete|un-delete|recover|bring|resurrect");
/// First words that make a completed task pending.
pub const REOPEN: Phrases = Phrases("reopen|re-open|uncheck|untick|uncomplete|unmark|unfinish|reactivate");
/// Endings that report something as not done.
pub const UNREPORT_ENDINGS: Phrases = Phrases(
    "is not done|isn't done|is not done yet|isn't done yet|is not finished|isn't finished|is not complete|\
     isn't complete|is not completed|isn't completed|is still open|is still pending|was not done|wasn't done|\
     is not finished yet|isn't finished yet",
);
/// First words of a request after another one, besides those of what is done with tasks.
pub const REQUESTS: Phrases =
    Phrases("add|create|show|list|remind|remember|undo|reopen|uncheck|restore|what|what's|i|don't|new");
/// Whole messages that affirm.
pub const YES: Phrases = Phrases(
    "yes|y|yep|yeah|yup|sure|ok|okay|confirm|confirmed|do it|go ahead|of course|yes please|\
     yes delete it|yes do it|please do|absolutely|certainly|right|yes delete them|yes delete them all|yes go ahead|\
     yes i'm sure|yes i am sure|i'm sure|i am sure|sure go ahead|ok do it|okay do it|yes of course|yess|yea|ya|definitely",
);
/// Whole messages that decline.
pub const NO: Phrases = Phrases(
    "no|n|nope|nah|cancel|never mind|nevermind|stop|don't|do not|keep it|no thanks|no thank you|\
     forget it|abort|no don't|don't delete it|leave it|no way|no keep it|keep them|don't do it|do not delete it|please don't|\
     no stop|rather not|not now|no leave it|leave them|don't delete them|better not|wait no|no wait",
);
/// First words that add.
pub const ADD: Phrases = Phrases("add|create|new|remember|note|remind|insert|append|put|make|todo");
/// First words that ask.
pub const LIST: Phrases = Phrases(
    "show|list|see|view|display|what|what's|whats|which|how|give|tell|read|check|get|find|do|are|is|\
     have|any|my|all|pending|completed|anything|gimme|what're|whatever",
);
/// First words that complete.
pub const COMPLETE: Phrases = Phrases("complete|finish|close|done|finished|completed|did|resolve");
/// First words that complete, when a word for "done" follows.
pub const MARK: Phrases = Phrases("mark|set|tick|check|cross|flag");
/// First words that delete.
pub const DELETE: Phrases = Phrases("delete|remove|cancel|erase|drop|discard|trash|scrap|kill|del|rm|ditch");
/// First words that rename.
pub const RENAME: Phrases = Phrases("change|update|rename|edit|modify|retitle|replace|reword|correct");
/// Verbs long enough that a typo can be told from another word.
pub const MISTYPED: Phrases = Phrases(
    "create|remember|remind|show|list|display|mark|complete|finish|delete|remove|cancel|change|\
     update|rename|restore|reopen|uncheck",
);
/// The task talked about last.
pub const IT: Phrases =
    Phrases("it|that|this|that one|this one|that task|this task|the same|the same one|the same task");
pub const EVERYTHING: Phrases = Phrases(
    "all|everything|them all|all of them|all tasks|all my tasks|all the tasks|every task|each task|\
     every single task|the whole list|my whole list|my list|the list|my entire list|all of it|every one|\
     all pending tasks|all open tasks|all my pending tasks|all of my tasks|everything on my list|all todos|all items",
);
pub const EVERYTHING_COMPLETED: Phrases = Phrases(
    "all completed tasks|completed tasks|all done tasks|done tasks|finished tasks|all finished tasks|completed|\
     all my completed tasks|my completed tasks|the completed tasks|the completed ones|the finished ones|\
     everything completed|everything done|everything that is done|everything that's done|all completed|\
     all the completed tasks|the done ones|all completed ones|completed ones|everything i completed|what is done",
);
/// Before a task's name.
pub const DETERMINERS: Phrases = Phrases("the|my|a|an|that|this|very|those|these");
/// Between the noun and a task's number or name.
pub const NAMED: Phrases = Phrases("number|numbers|no|nr|id|ids|called|named|titled");
/// What several new tasks are called, and how many they may be said to be.
pub const PLURALS: Phrases = Phrases("tasks|todos|items|things|reminders|to-dos|entries");
pub const AMOUNTS: Phrases = Phrases(
    "two|three|four|five|six|seven|eight|nine|ten|2|3|4|5|6|7|8|9|10|these|those|several|some|a|few|following|new|my|the|more|other",
);
/// Words before the noun.
pub const ARTICLES: Phrases = Phrases("a|an|the|another|one|my|me|this|new|some");
/// What people call a task, with its usual typos.
pub const NOUNS: Phrases = Phrases(
    "task|tasks|todo|todos|to-do|to-dos|item|items|reminder|reminders|note|entry|entries|things|taks|tsak|tsk|tassk|taskk",
);
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
    const NAMES: [&str; 20] = [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
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
        "last" | "latest" | "newest" | "final" | "bottom" => Some(Target::FromEnd(1)),
        "top" | "oldest" => Some(Target::Nth(1)),
        "penultimate" => Some(Target::FromEnd(2)),
        _ => {
            let at = NAMES.iter().position(|name| *name == word);
            at.or_else(|| SHORT.iter().position(|name| *name == word)).map(|at| Target::Nth(at + 1))
        }
    }
}
