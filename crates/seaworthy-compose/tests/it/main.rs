//! Compose files on disk, and what becomes of them: the model, the report, the errors as people see them.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

mod errors;
mod model;
mod oracle;
mod todo;

use std::path::Path;

use seaworthy_compose::{Error, Loaded, Request, load};

/// A folder of the files in `text`: each begins with a line `== name`; what comes before the first is compose.yaml.
pub fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("shop").tempdir().expect("a temporary folder");
    let mut parts = text.split("\n== ");
    let main = parts.next().unwrap_or_default();
    std::fs::write(folder.path().join("compose.yaml"), main.trim_start_matches('\n')).expect("written");
    for part in parts {
        let (name, content) = part.split_once('\n').unwrap_or((part, ""));
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        std::fs::write(path, format!("{content}\n")).expect("written");
    }
    folder
}

/// Loads `text` as the app `shop`, with `HOME=/root` and `SET=yes` in the environment.
pub fn try_load(text: &str) -> Result<Loaded, Error> {
    load_from(folder(text).path())
}

pub fn load_from(folder: &Path) -> Result<Loaded, Error> {
    let environment = [("HOME", "/root"), ("SET", "yes")].map(|(name, value)| (name.into(), value.into()));
    let request = Request {
        folder: folder.to_owned(),
        name: Some("shop".into()),
        environment: environment.into(),
        ..Request::default()
    };
    load(&request)
}

#[track_caller]
pub fn loaded(text: &str) -> Loaded {
    try_load(text).unwrap_or_else(|error| panic!("{}\nin\n{text}", error.explain()))
}
