//! Semantic versions and constraints, by the rules of Masterminds/semver.

use std::rc::Rc;

use super::{Function, f, text, yes};
use crate::value::Param::{self, Str};
use crate::value::{Object, Value};

pub const TABLE: &[Function] = &[
    f("semver", &[Str], |_, a| {
        let version = text(&a[0]);
        Version::parse(&version)
            .map(|version| Value::Object(Rc::new(version)))
            .ok_or_else(|| refusal(&version).into())
    }),
    f("semverCompare", &[Str, Str], |_, a| {
        let groups = Constraint::parse(&text(&a[0]))
            .map_err(|group| format!("improper constraint: {}", crate::gofmt::quote(group.as_bytes())))?;
        let version = Version::parse(&text(&a[1])).ok_or("invalid semantic version")?;
        yes(groups.matches(&version))
    }),
];

/// Masterminds' sentence for what is no version.
fn refusal(text: &str) -> &'static str {
    let suffix = text.split_once('-').map_or("", |(_, rest)| rest.split('+').next().unwrap_or_default());
    let padded =
        |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
    if suffix.split('.').any(padded) { "version segment starts with 0" } else { "invalid semantic version" }
}

/// Whether `version` lies in `constraint`; `None` when either cannot be read.
pub fn matches(constraint: &str, version: &str) -> Option<bool> {
    Some(Constraint::parse(constraint).ok()?.matches(&Version::parse(version)?))
}

/// The order of two versions by precedence; `None` when either cannot be read.
pub fn compare(a: &str, b: &str) -> Option<std::cmp::Ordering> {
    Some(Version::parse(a)?.parsed.cmp_precedence(&Version::parse(b)?.parsed))
}

/// Whether a constraint can be read at all.
pub fn is_constraint(text: &str) -> bool {
    Constraint::parse(text).is_ok()
}

/// A version as written and as compared; missing parts are zero.
#[derive(Clone)]
struct Version {
    original: String,
    parsed: semver::Version,
}

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let body = text.strip_prefix('v').unwrap_or(text);
        let end = body.find(['-', '+']).unwrap_or(body.len());
        let (core, suffix) = body.split_at(end);
        let mut numbers: Vec<u64> = Vec::new();
        for part in core.split('.') {
            numbers.push(part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))?);
        }
        if numbers.len() > 3 {
            return None;
        }
        numbers.resize(3, 0);
        let parsed = format!("{}.{}.{}{suffix}", numbers[0], numbers[1], numbers[2]).parse().ok()?;
        Some(Version { original: text.to_owned(), parsed })
    }
}

impl Version {
    /// A new version with one part counted up or replaced.
    fn changed(&self, name: &str, argument: &str) -> super::Returned {
        let v = &self.parsed;
        let release = v.pre.is_empty();
        let text = match name {
            "IncMajor" => format!("{}.0.0", v.major + 1),
            "IncMinor" => format!("{}.{}.0", v.major, v.minor + 1),
            // A pre-release of a version comes before it: counting up arrives there.
            "IncPatch" => format!("{}.{}.{}", v.major, v.minor, v.patch + u64::from(release)),
            "SetPrerelease" => {
                let build = if v.build.is_empty() { String::new() } else { format!("+{}", v.build) };
                format!("{}.{}.{}-{argument}{build}", v.major, v.minor, v.patch)
            }
            _ => format!("{}+{argument}", v.to_string().split('+').next().unwrap_or_default()),
        };
        let prefix = if self.original.starts_with('v') { "v" } else { "" };
        Version::parse(&format!("{prefix}{text}"))
            .map(|version| Value::Object(Rc::new(version)))
            .ok_or_else(|| "invalid semantic version".into())
    }
}

impl Object for Version {
    fn type_name(&self) -> &'static str {
        "*semver.Version"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn method(&self, name: &str) -> Option<&'static [Param]> {
        match name {
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "Original" | "String" => Some(&[]),
            "IncMajor" | "IncMinor" | "IncPatch" => Some(&[]),
            "Compare" | "Equal" | "LessThan" | "GreaterThan" | "LessThanEqual" | "GreaterThanEqual" => {
                Some(&[Param::Object("*semver.Version")])
            }
            "SetPrerelease" | "SetMetadata" => Some(&[Param::Str]),
            _ => None,
        }
    }

    fn call(&self, name: &str, args: &[Value]) -> super::Returned {
        let v = &self.parsed;
        let other = || -> Result<Version, crate::error::Failure> {
            let text = args.first().map(|arg| text(&arg.plain()).into_owned()).unwrap_or_default();
            Version::parse(&text).ok_or_else(|| "invalid semantic version".into())
        };
        Ok(match name {
            "Major" => Value::Int64(v.major as i64),
            "Minor" => Value::Int64(v.minor as i64),
            "Patch" => Value::Int64(v.patch as i64),
            "Prerelease" => Value::str(v.pre.as_str()),
            "Metadata" => Value::str(v.build.as_str()),
            "Original" => Value::str(&self.original),
            "Compare" => Value::Int(v.cmp_precedence(&other()?.parsed) as i64),
            "Equal" => Value::Bool(v.cmp_precedence(&other()?.parsed).is_eq()),
            "LessThan" => Value::Bool(v.cmp_precedence(&other()?.parsed).is_lt()),
            "GreaterThan" => Value::Bool(v.cmp_precedence(&other()?.parsed).is_gt()),
            "LessThanEqual" => Value::Bool(v.cmp_precedence(&other()?.parsed).is_le()),
            "GreaterThanEqual" => Value::Bool(v.cmp_precedence(&other()?.parsed).is_ge()),
            "String" => Value::str(v.to_string()),
            _ => self.changed(name, &args.first().map(text).unwrap_or_default())?,
        })
    }

    fn plain(&self) -> Value {
        Value::str(self.parsed.to_string())
    }

    fn text(&self) -> Option<String> {
        Some(self.parsed.to_string())
    }
}

/// Alternatives (`||`) of comparisons that must all hold.
struct Constraint {
    groups: Vec<Vec<Comparison>>,
}

struct Comparison {
    operator: String,
    version: semver::Version,
    any_minor: bool,
    any_patch: bool,
    /// Some part was left open.
    open: bool,
}

const OPERATORS: [&str; 11] = [">=", "=>", "<=", "=<", "!=", "~>", ">", "<", "=", "~", "^"];

impl Constraint {
    /// The constraint, or the alternative that is none.
    fn parse(text: &str) -> Result<Constraint, &str> {
        let groups = text.split("||").map(|group| parse_group(group).ok_or(group));
        Ok(Constraint { groups: groups.collect::<Result<_, _>>()? })
    }

    fn matches(&self, version: &Version) -> bool {
        self.groups.iter().any(|group| {
            let wants_prerelease = group.iter().any(|comparison| !comparison.version.pre.is_empty());
            let allowed = version.parsed.pre.is_empty() || wants_prerelease;
            allowed && group.iter().all(|comparison| comparison.holds(&version.parsed))
        })
    }
}

fn parse_group(text: &str) -> Option<Vec<Comparison>> {
    if let Some((low, high)) = text.split_once(" - ") {
        return Some(vec![
            Comparison::parse(&format!(">={}", low.trim()))?,
            Comparison::parse(&format!("<={}", high.trim()))?,
        ]);
    }
    let spaced = text.replace(',', " ");
    let mut words: Vec<String> = Vec::new();
    for word in spaced.split_whitespace() {
        match words.last_mut().filter(|last| OPERATORS.contains(&last.as_str())) {
            Some(operator) => operator.push_str(word),
            None => words.push(word.to_owned()),
        }
    }
    if words.is_empty() {
        return None;
    }
    let mut group = Vec::new();
    for word in words {
        // Comparisons may stand together without a space: `>=1.2<2`.
        let cuts: Vec<usize> = word
            .char_indices()
            .filter(|(i, c)| {
                *i > 0
                    && "<>=!~^".contains(*c)
                    && !"<>=!~^".contains(&word[..*i].chars().last().map(String::from).unwrap_or_default())
            })
            .map(|(i, _)| i)
            .chain([word.len()])
            .collect();
        let mut start = 0;
        for cut in cuts {
            group.push(Comparison::parse(&word[start..cut])?);
            start = cut;
        }
    }
    Some(group)
}

impl Comparison {
    fn parse(text: &str) -> Option<Comparison> {
        let operator = OPERATORS.iter().find(|operator| text.starts_with(**operator)).copied().unwrap_or("");
        let body = text[operator.len()..].trim();
        let body = body.strip_prefix('v').unwrap_or(body);
        let end = body.find(['-', '+']).unwrap_or(body.len());
        let (core, suffix) = body.split_at(end);
        let mut parts = core.split('.');
        let mut part = || match parts.next() {
            None | Some("x" | "X" | "*") => Some(None),
            Some(number) => number.parse::<u64>().ok().map(Some),
        };
        let (major, minor, patch) = (part()?, part()?, part()?);
        if parts.next().is_some() || core.is_empty() {
            return None;
        }
        let numbers = match (major, minor) {
            (None, _) => [0, 0, 0],
            (Some(major), None) => [major, 0, 0],
            (Some(major), Some(minor)) => [major, minor, patch.unwrap_or(0)],
        };
        let version = format!("{}.{}.{}{suffix}", numbers[0], numbers[1], numbers[2]).parse().ok()?;
        let any_minor = major.is_some() && minor.is_none();
        let any_patch = minor.is_some() && patch.is_none();
        let open = major.is_none() || any_minor || any_patch;
        Some(Comparison { operator: operator.to_owned(), version, any_minor, any_patch, open })
    }

    fn holds(&self, v: &semver::Version) -> bool {
        let c = &self.version;
        let order = v.cmp_precedence(c);
        match self.operator.as_str() {
            "" | "=" if !self.open => order.is_eq(),
            "" | "=" | "~" | "~>" => self.tilde(v),
            "!=" => self.differs(v),
            ">" if !self.open => order.is_gt(),
            ">" => v.major > c.major || (v.major == c.major && !self.any_minor && v.minor > c.minor),
            "<" => order.is_lt(),
            ">=" | "=>" => order.is_ge(),
            "<=" | "=<" if !self.open => order.is_le(),
            "<=" | "=<" => {
                v.major < c.major || (v.major == c.major && (self.any_minor || v.minor <= c.minor))
            }
            _ => self.caret(v),
        }
    }

    fn differs(&self, v: &semver::Version) -> bool {
        let c = &self.version;
        if !self.open {
            return !v.cmp_precedence(c).is_eq();
        }
        v.major != c.major || (!self.any_minor && v.minor != c.minor) || (self.any_patch && v.pre != c.pre)
    }

    fn tilde(&self, v: &semver::Version) -> bool {
        let c = &self.version;
        if v.cmp_precedence(c).is_lt() {
            return false;
        }
        let anything = (c.major, c.minor, c.patch) == (0, 0, 0) && !self.any_minor && !self.any_patch;
        anything || (v.major == c.major && (self.any_minor || v.minor == c.minor))
    }

    fn caret(&self, v: &semver::Version) -> bool {
        let c = &self.version;
        if v.cmp_precedence(c).is_lt() || v.major != c.major {
            return false;
        }
        if c.major > 0 || self.any_minor {
            return true;
        }
        if v.minor != c.minor {
            return false;
        }
        c.minor > 0 || self.any_patch || v.patch == c.patch
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[track_caller]
    fn check(constraint: &str, inside: &[&str], outside: &[&str]) {
        for version in inside {
            assert_eq!(matches(constraint, version), Some(true), "{version} in {constraint}");
        }
        for version in outside {
            assert_eq!(matches(constraint, version), Some(false), "{version} in {constraint}");
        }
    }

    #[test]
    fn carets_tildes_and_wildcards_bound_as_masterminds_does() {
        check("^1.2", &["1.2.0", "1.9.9"], &["2.0.0", "1.1.9"]);
        check("~1.2.3", &["1.2.3", "1.2.9"], &["1.3.0"]);
        check("1.x", &["1.0.0", "1.9.0"], &["2.0.0"]);
        check(">=1.2 <2 || 3.1.x", &["1.5.0", "3.1.4"], &["2.0.0", "3.2.0"]);
        check("^0.2.3", &["0.2.4"], &["0.3.0"]);
    }

    #[test]
    fn prereleases_match_only_where_they_are_asked_for() {
        check(">=1.19", &[], &["1.22.0-gke.1"]);
        check(">=1.19-0", &["1.22.0-gke.1"], &[]);
    }

    #[test]
    fn what_is_no_version_has_no_answer() {
        assert_eq!(matches(">=1", "latest"), None);
        assert_eq!(matches(">=x.y.z.w", "1.0.0"), None);
    }
}
