//! A sentence as words that remember where they came from, and when two words are a typo apart. Pure.

use super::vocabulary::{NOUNS, Phrases};

/// A word in lower case without the punctuation around it, and its place in the original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub lower: String,
    /// With its punctuation: a title keeps what it was typed with.
    pub start: usize,
    pub end: usize,
    /// Ended with a colon: `task 3: call mom`.
    pub colon: bool,
}

/// Splits at white space; words of punctuation only disappear.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    for piece in text.split_whitespace() {
        let at = piece.as_ptr() as usize - text.as_ptr() as usize;
        let is_edge = |c: char| !c.is_alphanumeric() && c != '#';
        let mut core = piece.trim_matches(is_edge);
        // A number below nothing is not the number above it.
        if core.starts_with(|c: char| c.is_ascii_digit()) && piece.starts_with('-') {
            core = &piece[..core.len() + 1];
        }
        if core.is_empty() {
            continue;
        }
        let lower = core.to_lowercase().replace('\u{2019}', "'");
        found.push(Word { lower, start: at, end: at + piece.len(), colon: piece.ends_with(':') });
    }
    found
}

pub fn lower(words: &[Word]) -> String {
    words.iter().map(|word| word.lower.as_str()).collect::<Vec<_>>().join(" ")
}

pub fn strip_start<'a>(words: &'a [Word], phrase: &str) -> Option<&'a [Word]> {
    let count = phrase.split(' ').count();
    let fits =
        words.len() >= count && phrase.split(' ').zip(words).all(|(wanted, word)| word.lower == wanted);
    fits.then(|| &words[count..])
}

pub fn strip_end<'a>(words: &'a [Word], phrase: &str) -> Option<&'a [Word]> {
    let start = words.len().checked_sub(phrase.split(' ').count())?;
    strip_start(&words[start..], phrase).map(|_| &words[..start])
}

pub fn skip<'a>(words: &'a [Word], set: &Phrases) -> &'a [Word] {
    let count = words.iter().take_while(|word| set.contains(&word.lower)).count();
    &words[count..]
}

pub fn is_noun(word: &Word) -> bool {
    NOUNS.contains(&word.lower)
}

/// Equal, or one typo apart in words of four letters, two in words of eight (letters swapped count once).
pub fn is_near(a: &str, b: &str) -> bool {
    let longer = a.chars().count().max(b.chars().count());
    let allowed = match longer {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    };
    a == b || (allowed > 0 && distance(a, b) <= allowed)
}

/// Optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
