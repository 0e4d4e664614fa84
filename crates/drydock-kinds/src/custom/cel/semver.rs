//! Semantic versions, compared as semver.org says.

use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Semver {
    pub major: i64,
    pub minor: i64,
    pub patch: i64,
    pre: Vec<String>,
}

impl Semver {
    /// A full version; with `lenient` also `v1.2` and leading zeros.
    pub fn parse(text: &str, lenient: bool) -> Option<Self> {
        let text = if lenient { text.strip_prefix('v').unwrap_or(text) } else { text };
        let (text, _build) = text.split_once('+').unwrap_or((text, ""));
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut parts = core.split('.');
        let mut number = |required: bool| match parts.next() {
            Some(part) if part.bytes().all(|b| b.is_ascii_digit()) => {
                let plain = lenient || part == "0" || !part.starts_with('0');
                part.parse::<i64>().ok().filter(|_| plain)
            }
            Some(_) => None,
            None => (!required).then_some(0),
        };
        let (major, minor, patch) = (number(true)?, number(!lenient)?, number(!lenient)?);
        let is_word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let pre: Vec<String> = pre.map(|pre| pre.split('.').map(str::to_owned).collect()).unwrap_or_default();
        (parts.next().is_none() && pre.iter().all(|word| is_word(word))).then_some(Self {
            major,
            minor,
            patch,
            pre,
        })
    }

    pub fn order(&self, other: &Self) -> Ordering {
        let core = |v: &Self| (v.major, v.minor, v.patch);
        core(self).cmp(&core(other)).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let words = self.pre.iter().zip(&other.pre).map(|(a, b)| word_order(a, b));
                words.into_iter().find(|order| order.is_ne()).unwrap_or(self.pre.len().cmp(&other.pre.len()))
            }
        })
    }
}

fn word_order(a: &str, b: &str) -> Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        _ => a.cmp(b),
    }
}
