//! `snakecase`, `kebabcase` and `camelcase`, by the rules of the library that Sprig uses.
//!
//! A text is cut into words by what its letters are; where a number belongs (`http_2xx`, `bld4_floor`) is what the
//! rules are about.

use super::strings::{lower, upper};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// Letters of scripts without upper and lower case stand for themselves.
fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c)
        || matches!(c, '§' | '¶' | '·' | '¿' | '¡' | '«' | '»' | '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3003}')
}

fn kind(c: char) -> Kind {
    match c {
        c if is_connector(c) => Kind::Connector,
        c if is_punctuation(c) => Kind::Punctuation,
        c if c.is_uppercase() => Kind::Upper,
        c if is_letter(c) => Kind::Letters,
        c if c.is_numeric() => Kind::Number,
        _ => Kind::Other,
    }
}

type Word = (Kind, String);

fn words(text: &str) -> Vec<Word> {
    let chars: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let kind = kind(chars[at]);
        let end = word_end(&chars, at, kind);
        words.push((kind, chars[at..end].iter().collect()));
        at = end;
    }
    words
}

fn word_end(chars: &[char], start: usize, first: Kind) -> usize {
    let run =
        |from: usize, wanted: Kind| from + chars[from..].iter().take_while(|c| kind(**c) == wanted).count();
    if first != Kind::Upper {
        return run(start + 1, first);
    }
    match chars.get(start + 1).map(|c| kind(*c)) {
        Some(Kind::Letters) => run(start + 1, Kind::Letters),
        Some(Kind::Upper) => {
            let end = run(start + 1, Kind::Upper);
            // The last capital of `HTTPStatus` begins the next word.
            if chars.get(end).is_some_and(|c| kind(*c) == Kind::Letters) { end - 1 } else { end }
        }
        _ => start + 1,
    }
}

/// `HTTPServer v2` becomes `http_server_v2`.
pub fn delimited(text: &str, connector: char) -> String {
    let words = words(text);
    let mut joined = Joined { words: &words, at: 0, connector, out: String::new() };
    while joined.at < words.len() {
        joined.step();
    }
    joined.out
}

struct Joined<'w> {
    words: &'w [Word],
    at: usize,
    connector: char,
    out: String,
}

impl Joined<'_> {
    fn kind(&self) -> Option<Kind> {
        self.words.get(self.at).map(|(kind, _)| *kind)
    }

    fn is_last(&self) -> bool {
        self.at + 1 >= self.words.len()
    }

    fn write(&mut self) {
        let Some((_, word)) = self.words.get(self.at) else { return };
        self.out.extend(word.chars().map(|c| if is_connector(c) { self.connector } else { lower(c) }));
        self.at += 1;
    }

    /// A separator, unless the text ends here or separates itself.
    fn separate(&mut self) {
        if !matches!(self.kind(), None | Some(Kind::Connector | Kind::Punctuation)) {
            self.out.push(self.connector);
        }
    }

    fn number_and_letters(&mut self) {
        while matches!(self.kind(), Some(Kind::Letters | Kind::Number)) {
            self.write();
        }
        self.separate();
    }

    fn step(&mut self) {
        let kind = self.kind();
        self.write();
        match kind {
            Some(Kind::Connector | Kind::Punctuation) | None => {}
            Some(Kind::Number) => self.number_and_letters(),
            Some(_) if self.kind() != Some(Kind::Number) => self.separate(),
            // A number at the end belongs to its word.
            Some(_) if self.is_last() => {}
            Some(_) => match self.words.get(self.at + 1) {
                Some((Kind::Letters, _)) => {
                    self.out.push(self.connector);
                    self.number_and_letters();
                }
                _ => {
                    self.write();
                    self.separate();
                }
            },
        }
    }
}

/// `http_server` becomes `HttpServer`; connectors at the edges and doubled ones stay.
pub fn pascal(text: &str) -> String {
    let leading: String = text.chars().take_while(|c| is_connector(*c)).collect();
    let mut rest = text[leading.len()..].chars();
    let Some(first) = rest.next() else {
        // The library writes the last of nothing but connectors twice.
        return text.chars().chain(text.chars().last()).collect();
    };
    let mut out = leading;
    let (mut current, mut after_capital) = (upper(first), first.is_uppercase());
    for next in rest {
        let previous = std::mem::replace(&mut current, next);
        match (is_connector(next), is_connector(previous)) {
            (true, true) => out.push(previous),
            (false, true) => {
                after_capital = next.is_uppercase();
                current = upper(next);
            }
            _ => {
                if after_capital && next.is_uppercase() {
                    current = lower(next);
                } else {
                    after_capital = false;
                }
                out.push(previous);
            }
        }
    }
    out.push(current);
    out
}
