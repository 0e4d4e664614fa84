//! Finds and reads the files, within bounds.
//!
//! What was read is kept as a [`Source`] for excerpts; files of variables are kept without their text, so that no
//! excerpt can show a secret.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::Request;
use crate::error::{Fault, Problem, Result};
use crate::node::Source;

const MAIN_NAMES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// A Compose file, `.env` file or mounted file larger than this is refused.
pub const MAX_BYTES: u64 = 1 << 20;

/// The files to lay over each other, in order.
pub fn to_load(request: &Request) -> Result<Vec<PathBuf>> {
    if !request.files.is_empty() {
        return Ok(request.files.iter().map(|file| request.folder.join(file)).collect());
    }
    if let Some(list) = request.environment.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        return Ok(list.split(':').map(|file| request.folder.join(file)).collect());
    }
    let Some(main) = MAIN_NAMES.iter().map(|name| request.folder.join(name)).find(|path| path.is_file())
    else {
        let names = MAIN_NAMES.join("`, `");
        let hint = format!("it would be called `{names}`; `-f FILE` names another");
        return Err(Fault::nowhere(Problem::NoFile { folder: request.folder.clone() }, Some(hint)));
    };
    let stem = main.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let overrides = ["yaml", "yml"].map(|end| request.folder.join(format!("{stem}.override.{end}")));
    Ok(std::iter::once(main).chain(overrides.into_iter().find(|path| path.is_file())).collect())
}

/// The text of `path`, at most [`MAX_BYTES`] long.
pub fn read(path: &Path) -> Result<String> {
    let failed = |source| Fault::nowhere(Problem::Read { path: path.to_owned(), source }, None);
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Fault::nowhere(
            Problem::TooLarge { path: path.to_owned(), limit_bytes: MAX_BYTES },
            None,
        ));
    }
    Ok(text)
}

/// Registers a Compose file that was read and returns its number.
pub fn register(sources: &mut Vec<Source>, folder: &Path, path: &Path, text: &str) -> usize {
    let shown = path.strip_prefix(folder).unwrap_or(path).to_owned();
    sources.push(Source { path: shown, text: text.to_owned() });
    sources.len() - 1
}

/// `path` without `.` and, where possible, without `..`. Purely by its text.
pub fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
