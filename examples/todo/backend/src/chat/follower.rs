//! Tells a turn to whoever follows it, as it happens.
//!
//! Never waits while the turn runs: what a slow reader cannot take now is kept, words joined, and told with what comes
//! next. The words told make up the reply, by construction: [`Follower::said`] is what is stored and answered.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use axum::response::sse::Event;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::ChatResponse;
use super::provider::Call;

/// Longer replies are cut; no page shows a book.
const REPLY_MAX: usize = 10_000;
const QUEUE: usize = 256;
const PIECES_MAX: usize = 64;
/// For a reader that does not take the end of it.
const LINGER: Duration = Duration::from_secs(10);

/// What whoever waits for a turn is told.
pub enum Progress {
    Tool(Call),
    Text(String),
    Done(ChatResponse),
    Failed(Value),
}

impl Progress {
    pub fn event(self) -> Event {
        let (name, data) = match self {
            Self::Tool(call) => ("tool", json!(call)),
            Self::Text(text) => ("delta", json!({ "text": text })),
            Self::Done(response) => ("done", json!(response)),
            Self::Failed(error) => ("error", error),
        };
        Event::default().event(name).data(data.to_string())
    }
}

pub struct Follower {
    reports: mpsc::Sender<Progress>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    said: String,
    length: usize,
    /// White space that is only worth telling when words come after it.
    gap: String,
    /// Where the current paragraph begins in `said`.
    begun: usize,
    /// Nothing was said in it yet.
    is_at_start: bool,
    /// Not yet taken by the reader.
    kept: VecDeque<Progress>,
}

impl Follower {
    /// And where its reports arrive; it does not mind when nobody reads them.
    pub fn new() -> (Self, mpsc::Receiver<Progress>) {
        let (reports, receiver) = mpsc::channel(QUEUE);
        (Self { reports, told: Mutex::default() }, receiver)
    }

    /// The next words of the reply.
    pub fn say(&self, text: &str) {
        let mut told = self.told();
        let piece = told.next_piece(text);
        if !piece.is_empty() {
            told.keep(Progress::Text(piece));
            self.tell(&mut told);
        }
    }

    /// A text that was not told while it came: in words, or in longer pieces when it has many.
    pub fn say_whole(&self, text: &str) {
        let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
        let size = words.len().div_ceil(PIECES_MAX).max(1);
        for piece in words.chunks(size) {
            self.say(&piece.concat());
        }
    }

    /// What is said next stands apart from what was said before.
    pub fn begin_paragraph(&self) {
        let mut told = self.told();
        told.begun = told.said.len();
        told.is_at_start = true;
        told.gap = if told.said.is_empty() { String::new() } else { "\n\n".to_owned() };
    }

    pub fn has_said_nothing(&self) -> bool {
        let told = self.told();
        told.said.len() == told.begun
    }

    pub fn said(&self) -> String {
        self.told().said.clone()
    }

    pub fn tool(&self, call: Call) {
        let mut told = self.told();
        told.keep(Progress::Tool(call));
        self.tell(&mut told);
    }

    /// The end, with all that the reader could not take before; waits for a slow one, but not for ever.
    pub async fn end(self, last: Progress) {
        let mut kept = std::mem::take(&mut self.told().kept);
        kept.push_back(last);
        let telling = async {
            for report in kept {
                if self.reports.send(report).await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(LINGER, telling).await.is_err() {
            tracing::info!("a reply was not read to its end");
        }
    }

    fn tell(&self, told: &mut Told) {
        while let Some(report) = told.kept.pop_front() {
            match self.reports.try_send(report) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(report)) => return told.kept.push_front(report),
                // Nobody reads; the answer tells it all again.
                Err(mpsc::error::TrySendError::Closed(_)) => return told.kept.clear(),
            }
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Told {
    /// What of `text` is to be told now: up to its last word, within the bound.
    fn next_piece(&mut self, text: &str) -> String {
        let is_at_start = self.is_at_start || self.said.is_empty();
        let text = if is_at_start { text.trim_start() } else { text };
        let words = text.trim_end();
        let gap_after = &text[words.len()..];
        if words.is_empty() {
            self.gap.push_str(gap_after);
            return String::new();
        }
        self.is_at_start = false;
        let gap = std::mem::replace(&mut self.gap, gap_after.to_owned());
        let room = REPLY_MAX.saturating_sub(self.length);
        let piece: String = gap.chars().chain(words.chars()).take(room).collect();
        self.length += piece.chars().count();
        self.said.push_str(&piece);
        piece
    }

    fn keep(&mut self, report: Progress) {
        match (self.kept.back_mut(), report) {
            (Some(Progress::Text(before)), Progress::Text(text)) => before.push_str(&text),
            (_, report) => self.kept.push_back(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(reports: &mut mpsc::Receiver<Progress>) -> Vec<String> {
        let mut texts = Vec::new();
        while let Ok(Progress::Text(text)) = reports.try_recv() {
            texts.push(text);
        }
        texts
    }

    #[test]
    fn a_text_comes_in_pieces_that_make_it_up_again() {
        for text in ["", "Done.", "two words", "a\nlist\n of  lines", &"word ".repeat(1_000)] {
            let (follower, mut reports) = Follower::new();
            follower.say_whole(text);
            let told = texts(&mut reports);
            assert!(told.len() <= PIECES_MAX);
            assert_eq!(told.concat(), text.trim_end());
            assert_eq!(follower.said(), text.trim_end());
        }
    }

    #[test]
    fn paragraphs_stand_apart_and_have_no_white_space_around_them() {
        let (follower, mut reports) = Follower::new();
        follower.begin_paragraph();
        for piece in ["\n ", "Let", " me ", "see. ", "\n"] {
            follower.say(piece);
        }
        follower.begin_paragraph();
        assert!(follower.has_said_nothing());
        follower.begin_paragraph();
        follower.say(" ");
        follower.say(" Done.");
        assert_eq!(follower.said(), "Let me see.\n\nDone.");
        assert_eq!(texts(&mut reports).concat(), follower.said());
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_and_a_fast_talker_is_bounded() {
        let (follower, mut reports) = Follower::new();
        for at in 0..3 * QUEUE {
            follower.say(&format!("{at} "));
        }
        let said = follower.said();
        let reading = tokio::spawn(async move {
            let mut told = String::new();
            while let Some(Progress::Text(text)) = reports.recv().await {
                told.push_str(&text);
            }
            told
        });
        follower.end(Progress::Failed(Value::Null)).await;
        assert_eq!(reading.await.unwrap(), said);
        let (follower, _reports) = Follower::new();
        for _ in 0..REPLY_MAX {
            follower.say("words ");
        }
        assert_eq!(follower.said().chars().count(), REPLY_MAX);
    }
}
