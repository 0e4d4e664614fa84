//! Slash-separated paths, Go's `path` package.

use super::{Function, f, string, text, yes};
use crate::value::Param::Str;

pub const TABLE: &[Function] = &[
    f("base", &[Str], |_, a| string(base(&text(&a[0])))),
    f("dir", &[Str], |_, a| string(dir(&text(&a[0])))),
    f("clean", &[Str], |_, a| string(clean(&text(&a[0])))),
    f("ext", &[Str], |_, a| string(ext(&text(&a[0])))),
    f("isAbs", &[Str], |_, a| yes(text(&a[0]).starts_with('/'))),
    f("osBase", &[Str], |_, a| string(base(&text(&a[0])))),
    f("osDir", &[Str], |_, a| string(dir(&text(&a[0])))),
    f("osClean", &[Str], |_, a| string(clean(&text(&a[0])))),
    f("osExt", &[Str], |_, a| string(ext(&text(&a[0])))),
    f("osIsAbs", &[Str], |_, a| yes(text(&a[0]).starts_with('/'))),
];

/// The last element; `.` for nothing, `/` for only slashes.
pub fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    match path.trim_end_matches('/') {
        "" => "/".into(),
        trimmed => trimmed.rsplit('/').next().unwrap_or(trimmed).into(),
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn ext(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or(String::new(), |at| name[at..].to_owned())
}

/// Resolves `.`, `..` and doubled slashes without touching a file system.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}
