//! Mutated templates and documents, from the cases that are compared with Helm.
//!
//! `FUZZ_ROUNDS=100000 FUZZ_SEED=7 cargo test -p seaworthy-template --test it fuzz` runs longer and elsewhere.

use std::panic::{AssertUnwindSafe, catch_unwind};

use seaworthy_template::{Limits, Options, Templates, Value, json, with_deep_stack, yaml};

const CORPUS: [&str; 4] = [
    include_str!("../../../seaworthy-helm/tests/oracle/cases/language.txt"),
    include_str!("../../../seaworthy-helm/tests/oracle/cases/strings.txt"),
    include_str!("../../../seaworthy-helm/tests/oracle/cases/collections.txt"),
    include_str!("../../../seaworthy-helm/tests/oracle/cases/encoders.txt"),
];

/// Pieces that break things where they do not belong.
const PIECES: [&str; 28] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "(",
    ")",
    "|",
    "$",
    "$x",
    ".",
    ".Values",
    "nil",
    "\"",
    "`",
    "\\",
    "\u{0}",
    "é",
    "😀",
    "end",
    "range",
    "else",
    " := ",
    "-1",
    "9223372036854775807",
    "1e308",
    "{{ end }}",
    "\t",
    "\n",
];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Marsaglia's xorshift: enough to choose, the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn place(&mut self, text: &str) -> usize {
        let at = self.below(text.len() + 1);
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    }

    fn mutated(&mut self, corpus: &[&str]) -> String {
        let mut text = corpus[self.below(corpus.len())].to_owned();
        for _ in 0..1 + self.below(4) {
            let (a, b) = (self.place(&text), self.place(&text));
            let (from, to) = (a.min(b), a.max(b));
            match self.below(5) {
                0 => text.replace_range(from..to, ""),
                1 => text.insert_str(from, PIECES[self.below(PIECES.len())]),
                2 => {
                    let copy = text[from..to].to_owned();
                    text.insert_str(to, &copy);
                }
                3 => {
                    let other = corpus[self.below(corpus.len())];
                    let cut = self.place(other);
                    text.insert_str(from, &other[cut..]);
                }
                _ => text.replace_range(from..to, PIECES[self.below(PIECES.len())]),
            }
            text.truncate(
                (0..=text.len().min(2_000)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0),
            );
        }
        text
    }
}

/// Gives `work` many mutated texts; one that makes it panic is shown.
fn fuzz(rounds: u64, work: impl Fn(&str) + Sync) {
    let cases: Vec<&str> =
        CORPUS.iter().flat_map(|text| text.lines()).filter(|line| !line.is_empty()).collect();
    let mut chance = Chance(number("FUZZ_SEED", 0x9e37_79b9_7f4a_7c15) | 1);
    with_deep_stack(|| {
        for _ in 0..number("FUZZ_ROUNDS", rounds) {
            let text = chance.mutated(&cases);
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&text)));
            assert!(outcome.is_ok(), "this makes it panic: {text:?}");
        }
    })
    .unwrap();
}

fn limits() -> Limits {
    Limits { steps: 20_000, output_bytes: 1 << 20, depth: 50, value_size: 1 << 20 }
}

#[test]
fn no_template_makes_the_engine_panic() {
    fuzz(1_500, |text| {
        // These take long by design.
        if ["gen", "crypt", "derive", "htpasswd"].iter().any(|slow| text.contains(slow)) {
            return;
        }
        let mut templates = Templates::new(Options { limits: limits(), ..Options::default() });
        if templates.parse("t", text).is_ok() {
            let values = Value::map([("text", Value::str("t")), ("list", Value::strings(["a", "b"]))]);
            let _ = templates.render("t", Value::map([("Values", values)]));
        }
    });
}

#[test]
fn no_document_makes_the_readers_panic() {
    fuzz(1_500, |text| {
        let _ = json::read(text.as_bytes());
        if let Ok(value) = yaml::read(text)
            && let Ok(written) = yaml::write_json(&value)
        {
            // Lists and maps come back as they were; numbers as the floats that Helm makes of them.
            let read = yaml::read(&written).unwrap_or_else(|error| panic!("{error}: {written:?}"));
            assert!(Value::from_json(&read).deep_equal(&Value::from_json(&value)), "{written:?}");
        }
    });
}

#[test]
fn no_toml_makes_its_reader_panic() {
    fuzz(1_500, |text| {
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let mut templates = Templates::new(Options { limits: limits(), ..Options::default() });
        if templates.parse("t", &format!("{{{{ fromToml {quoted} | toToml }}}}")).is_ok() {
            let _ = templates.render("t", Value::Nil);
        }
    });
}
