//! Variables: where they come from, and what `${...}` in a Compose file stands for.
//!
//! A variable that is secret is not written into the tree. Where the cluster can fill it in, a [`placeholder`] takes
//! its place and the value goes into [`Variables::secrets`]; elsewhere a generated one is an error, because nobody
//! knows it yet.
//!
//! Start at [`Variables::expand`].

use std::collections::{BTreeMap, BTreeSet};

use seaworthy_app::{SecretSource, SecretText, looks_secret};

use crate::error::Problem;

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';
const MAX_NESTING: usize = 16;

/// What stands in the tree for the value of the secret variable `name`.
pub fn placeholder(name: &str) -> String {
    format!("{OPEN}{name}{CLOSE}")
}

/// The variable, when `text` is a placeholder and nothing else.
pub fn only_placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
    (!name.contains([OPEN, CLOSE])).then_some(name)
}

pub fn has_placeholder(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// `text` with every placeholder replaced by what `write` makes of its name, and the text between by `plain`.
pub fn rewrite(text: &str, plain: impl Fn(&str) -> String, write: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    for (number, part) in text.split(OPEN).enumerate() {
        match part.split_once(CLOSE).filter(|_| number > 0) {
            Some((name, rest)) => out.push_str(&(write(name) + &plain(rest))),
            None => out.push_str(&plain(part)),
        }
    }
    out
}

/// Names of the placeholders in `text`.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split(OPEN).skip(1).filter_map(|part| part.split_once(CLOSE)).map(|(name, _)| name)
}

/// Text with placeholders as a secret template: `${NAME}` for them, `$$` for a dollar sign.
pub fn as_template(text: &str) -> String {
    rewrite(text, |plain| plain.replace('$', "$$"), |name| format!("${{{name}}}"))
}

/// Known variables. Values of secret ones are kept apart.
#[derive(Debug, Default)]
pub struct Variables {
    values: BTreeMap<String, String>,
    /// Names listed under `x-seaworthy: generate`.
    pub generate: BTreeSet<String>,
    /// Secret variables that were used, with where their values come from.
    pub secrets: BTreeMap<String, SecretSource>,
}

/// A bad reference, and where in the text it stands (in characters).
#[derive(Debug)]
pub struct Bad {
    pub problem: Problem,
    pub offset: usize,
    pub width: usize,
    pub hint: Option<String>,
}

/// Where a text stands decides what happens to secret variables in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Secrets can be referred to here: a placeholder stands for them.
    Hiding,
    /// The text must be whole.
    Plain,
}

impl Variables {
    pub fn new(values: BTreeMap<String, String>) -> Self {
        Variables { values, ..Variables::default() }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Whether `name` has no value yet and is to get a random one.
    pub fn is_generated(&self, name: &str) -> bool {
        self.generate.contains(name) && self.get(name).is_none_or(str::is_empty)
    }

    /// `text` with its references replaced.
    pub fn expand(&mut self, text: &str, place: Place) -> Result<String, Bad> {
        self.expand_at(text, place, 0, 0)
    }

    fn expand_at(&mut self, text: &str, place: Place, base: usize, nesting: usize) -> Result<String, Bad> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let offset = base + text[..text.len() - rest.len()].chars().count();
            if let Some(after) = rest.strip_prefix("$$") {
                out.push('$');
                rest = after;
                continue;
            }
            let Some((reference, length)) = Reference::parse(rest).filter(|_| nesting < MAX_NESTING) else {
                return Err(bad_reference(rest, offset));
            };
            let spot = Spot { place, offset, width: rest[..length].chars().count(), nesting };
            out.push_str(&self.resolve(&reference, spot)?);
            rest = &rest[length..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn resolve(&mut self, reference: &Reference<'_>, spot: Spot) -> Result<String, Bad> {
        let Reference { name, operator, word, word_at } = *reference;
        let value = self.get(name).map(str::to_owned);
        let set = value.filter(|value| !value.is_empty() || !operator.starts_with(':'));
        let nested = spot.offset + word_at;
        let generated = self.is_generated(name);
        if operator.ends_with('+') {
            let wanted = set.is_some() || generated;
            return if wanted {
                self.expand_at(word, spot.place, nested, spot.nesting + 1)
            } else {
                Ok(String::new())
            };
        }
        if generated {
            return self.generated(name, spot);
        }
        let found = match (set, operator.chars().last()) {
            (Some(value), _) => value,
            (None, Some('-')) => self.expand_at(word, spot.place, nested, spot.nesting + 1)?,
            (None, _) => return Err(self.missing(name, word, spot)),
        };
        Ok(self.hide(name, found, spot.place))
    }

    fn generated(&mut self, name: &str, spot: Spot) -> Result<String, Bad> {
        if spot.place == Place::Hiding {
            self.secrets.insert(name.to_owned(), SecretSource::Generate);
            return Ok(placeholder(name));
        }
        let hint =
            "use it in `environment`, `command`, `healthcheck` or the `content` of a config".to_owned();
        Err(spot.bad(Problem::GeneratedElsewhere { name: name.to_owned() }, Some(hint)))
    }

    /// Keeps a secret value out of the tree. A variable that stands for a second value, through another default, gets
    /// a second name.
    fn hide(&mut self, name: &str, value: String, place: Place) -> String {
        let secret = self.generate.contains(name) || looks_secret(name, &value).is_some();
        if place == Place::Plain || has_placeholder(&value) || !secret {
            return value;
        }
        let source = SecretSource::Given(SecretText::new(value));
        let mut key = name.to_owned();
        let mut number = 2;
        while self.secrets.get(&key).is_some_and(|known| *known != source) {
            key = format!("{name}-{number}");
            number += 1;
        }
        self.secrets.insert(key.clone(), source);
        placeholder(&key)
    }

    fn missing(&self, name: &str, message: &str, spot: Spot) -> Bad {
        let set_it = "set it in `.env` or in the environment";
        let hint = match looks_secret(name, "") {
            Some(_) => format!("{set_it}, or list it under `x-seaworthy: generate` for a random value"),
            None => set_it.to_owned(),
        };
        let problem = Problem::MissingVariable { name: name.to_owned(), message: message.to_owned() };
        spot.bad(problem, Some(hint))
    }
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    place: Place,
    offset: usize,
    width: usize,
    nesting: usize,
}

impl Spot {
    fn bad(self, problem: Problem, hint: Option<String>) -> Bad {
        Bad { problem, offset: self.offset, width: self.width, hint }
    }
}

fn bad_reference(rest: &str, offset: usize) -> Bad {
    let text: String = rest.chars().take_while(|c| !c.is_whitespace()).take(40).collect();
    let hint = "write `${NAME}` for a variable and `$$` for a dollar sign".to_owned();
    let width = text.chars().count();
    Bad { problem: Problem::BadInterpolation { text }, offset, width, hint: Some(hint) }
}

/// `${NAME<operator><word>}` taken apart.
#[derive(Debug)]
struct Reference<'a> {
    name: &'a str,
    operator: &'a str,
    word: &'a str,
    /// Where the word begins, in characters from the dollar sign.
    word_at: usize,
}

impl<'a> Reference<'a> {
    /// The reference at the start of `text` and its length in bytes.
    fn parse(text: &'a str) -> Option<(Self, usize)> {
        let body = text.strip_prefix('$')?;
        let Some(braced) = body.strip_prefix('{') else {
            let name = name_at(body)?;
            return Some((Reference { name, operator: "", word: "", word_at: 0 }, 1 + name.len()));
        };
        let name = name_at(braced)?;
        let rest = &braced[name.len()..];
        let operator = [":-", ":?", ":+", "-", "?", "+", ""].into_iter().find(|op| rest.starts_with(op))?;
        let word = &rest[operator.len()..];
        let end = closing_brace(word)?;
        if operator.is_empty() && end != 0 {
            return None;
        }
        let word_at = 2 + name.len() + operator.len();
        let operator = &rest[..operator.len()];
        Some((Reference { name, operator, word: &word[..end], word_at }, word_at + end + 1))
    }
}

fn name_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(name)
}

fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let values = [("A", "a"), ("EMPTY", ""), ("DB_PASSWORD", "hunter2")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut variables = Variables::new(values.into());
        variables.generate.insert("NEW_SECRET".to_owned());
        variables
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let shown = match variables().expand(text, Place::Hiding) {
            Ok(text) => text.replace(OPEN, "<").replace(CLOSE, ">"),
            Err(bad) => format!("{} at {}+{}", bad.problem, bad.offset, bad.width),
        };
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn every_form_of_compose_is_understood() {
        check("$A-${A}", "a-a");
        check("${NO:-x}${NO-y}${EMPTY:-z}${EMPTY-w}", "xyz");
        check("${A:?needed}${A?needed}", "aa");
        check("${A:+set}${NO:+set}${EMPTY:+set}${EMPTY+set}", "setset");
        check("${NO:-${A}-${NO:-deep}}", "a-deep");
        check("costs $$5 and $${A}", "costs $5 and ${A}");
    }

    #[test]
    fn a_missing_variable_is_named_with_its_message_and_its_place() {
        check("x ${NO}", "the variable `NO` is not set at 2+5");
        check("${NO:?set it please}", "the variable `NO` is not set: set it please at 0+20");
        check("${EMPTY:?no}", "the variable `EMPTY` is not set: no at 0+12");
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        check("pay $ 5", "`$` is not a reference to a variable at 4+1");
        check("${A", "`${A` is not a reference to a variable at 0+3");
        check("${A b}", "`${A` is not a reference to a variable at 0+3");
        check("${1}", "`${1}` is not a reference to a variable at 0+4");
    }

    #[test]
    fn secret_variables_leave_a_placeholder_in_the_environment() {
        check("postgres://u:${DB_PASSWORD}@db", "postgres://u:<DB_PASSWORD>@db");
        check("${NEW_SECRET:-dev}", "<NEW_SECRET>");
        check("${OTHER_SECRET:-dev}", "<OTHER_SECRET>");
    }

    #[test]
    fn two_defaults_of_one_secret_are_two_secrets() {
        check("${X_TOKEN:-one}${X_TOKEN:-two}${X_TOKEN:-one}", "<X_TOKEN><X_TOKEN-2><X_TOKEN>");
    }

    #[test]
    fn a_generated_variable_cannot_stand_where_the_text_must_be_whole() {
        let bad = variables().expand("run ${NEW_SECRET}", Place::Plain).unwrap_err();
        assert!(matches!(bad.problem, Problem::GeneratedElsewhere { .. }));
    }

    #[test]
    fn endless_nesting_is_refused() {
        let text = format!("{}x{}", "${NO:-".repeat(20), "}".repeat(20));
        let bad = variables().expand(&text, Place::Plain).unwrap_err();
        assert!(matches!(bad.problem, Problem::BadInterpolation { .. }));
    }
}
