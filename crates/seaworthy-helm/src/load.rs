//! Reads the files of a chart folder within bounds, in the order Helm walks them.

use std::fs;
use std::path::Path;

use crate::chart::{Error, File};
use crate::ignore::Rules;

/// Largest chart that is read, in bytes and in files.
pub(crate) const MAX_BYTES: usize = 100 << 20;
pub(crate) const MAX_FILES: usize = 10_000;
/// Deepest folder; symbolic links can form circles.
const MAX_DEPTH: usize = 64;

pub(crate) fn read_folder(folder: &Path) -> Result<Vec<File>, Error> {
    let read_error = |source| Error::Read { path: folder.display().to_string(), source };
    let rules = match fs::read(folder.join(".helmignore")) {
        Ok(text) => Rules::parse(&String::from_utf8_lossy(&text))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Rules::parse("")?,
        Err(error) => return Err(read_error(error)),
    };
    let mut walk = Walk { rules, files: Vec::new(), bytes: 0 };
    walk.folder(folder, "", 0)?;
    Ok(walk.files)
}

struct Walk {
    rules: Rules,
    files: Vec<File>,
    bytes: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooLarge { what: "levels of folders", limit: MAX_DEPTH });
        }
        let read_error = |source| Error::Read { path: folder.display().to_string(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(read_error)? {
            names.push(entry.map_err(read_error)?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        for name in names {
            self.entry(&folder.join(&name), &format!("{prefix}{name}"), depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), Error> {
        let read_error = |source| Error::Read { path: path.display().to_string(), source };
        let info = fs::metadata(path).map_err(read_error)?;
        if self.rules.ignores(name, info.is_dir()) {
            return Ok(());
        }
        if info.is_dir() {
            return self.folder(path, &format!("{name}/"), depth + 1);
        }
        if !info.is_file() {
            return Err(Error::Irregular(name.to_owned()));
        }
        self.bytes = self.bytes.saturating_add(usize::try_from(info.len()).unwrap_or(usize::MAX));
        if self.bytes > MAX_BYTES {
            return Err(Error::TooLarge { what: "bytes", limit: MAX_BYTES });
        }
        if self.files.len() >= MAX_FILES {
            return Err(Error::TooLarge { what: "files", limit: MAX_FILES });
        }
        let mut data = fs::read(path).map_err(read_error)?;
        if data.starts_with(b"\xef\xbb\xbf") {
            data.drain(..3);
        }
        self.files.push(File { name: name.to_owned(), data });
        Ok(())
    }
}

/// Reads a packed chart, which is never larger than an unpacked one may be.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let read_error = |source| Error::Read { path: path.display().to_string(), source };
    let size = fs::metadata(path).map_err(read_error)?.len();
    if size > MAX_BYTES as u64 {
        return Err(Error::TooLarge { what: "bytes", limit: MAX_BYTES });
    }
    fs::read(path).map_err(read_error)
}
