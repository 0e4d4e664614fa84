//! Reads the files of a chart folder within bounds, in the order Helm walks them.

use std::fs::{self, FileType};
use std::io::Read as _;
use std::path::Path;

use crate::chart::{Error, File};
use crate::ignore::Rules;
use crate::limits::Limits;

pub(crate) fn read_folder(folder: &Path, limits: &Limits) -> Result<Vec<File>, Error> {
    let read_error = |source| Error::Read { path: folder.display().to_string(), source };
    let rules = match fs::read(folder.join(".helmignore")) {
        Ok(text) => Rules::parse(&String::from_utf8_lossy(&text))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Rules::parse("")?,
        Err(error) => return Err(read_error(error)),
    };
    let mut walk = Walk { rules, files: Vec::new(), budget: Budget::new(limits), depth: limits.folder_depth };
    walk.folder(folder, "", 0)?;
    Ok(walk.files)
}

/// What is left of the bounds of one chart, its subcharts included.
pub(crate) struct Budget<'l> {
    limits: &'l Limits,
    bytes: usize,
    files: usize,
}

impl<'l> Budget<'l> {
    pub fn new(limits: &'l Limits) -> Budget<'l> {
        Budget { limits, bytes: 0, files: 0 }
    }

    /// How much an archive may unpack to, with the headers that tar adds to each file.
    pub fn archive_bytes(&self) -> u64 {
        (self.limits.chart_bytes.saturating_add(self.limits.chart_files.saturating_mul(4096))) as u64 + 1
    }

    /// Takes a file of `size` bytes, before it is read.
    pub fn take(&mut self, size: u64) -> Result<(), Error> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        if self.bytes > self.limits.chart_bytes {
            return Err(Error::TooLarge {
                what: "bytes",
                limit: self.limits.chart_bytes,
                name: "chart-bytes",
            });
        }
        if self.files > self.limits.chart_files {
            return Err(Error::TooLarge {
                what: "files",
                limit: self.limits.chart_files,
                name: "chart-files",
            });
        }
        Ok(())
    }
}

struct Walk<'l> {
    rules: Rules,
    files: Vec<File>,
    budget: Budget<'l>,
    /// Deepest folder; symbolic links can form circles.
    depth: usize,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), Error> {
        if depth > self.depth {
            return Err(Error::TooLarge {
                what: "levels of folders",
                limit: self.depth,
                name: "folder-depth",
            });
        }
        let read_error = |source| Error::Read { path: folder.display().to_string(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(read_error)? {
            let entry = entry.map_err(read_error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push((name, entry.file_type().map_err(read_error)?));
        }
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, kind) in entries {
            self.entry(&folder.join(&name), &format!("{prefix}{name}"), kind, depth)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &str, kind: FileType, depth: usize) -> Result<(), Error> {
        let read_error = |source| Error::Read { path: path.display().to_string(), source };
        // The folder's list says what most entries are; only links have to be followed.
        let kind = match kind.is_symlink() {
            true => fs::metadata(path).map_err(read_error)?.file_type(),
            false => kind,
        };
        if self.rules.ignores(name, kind.is_dir()) {
            return Ok(());
        }
        if kind.is_dir() {
            return self.folder(path, &format!("{name}/"), depth + 1);
        }
        if !kind.is_file() {
            return Err(Error::Irregular(name.to_owned()));
        }
        let mut data = self.read(path)?;
        if data.starts_with(b"\xef\xbb\xbf") {
            data.drain(..3);
        }
        self.files.push(File { name: name.to_owned(), data });
        Ok(())
    }

    /// Reads a file in one piece; one that grows meanwhile is read as it was when it was opened.
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let read_error = |source| Error::Read { path: path.display().to_string(), source };
        let file = fs::File::open(path).map_err(read_error)?;
        let size = file.metadata().map_err(read_error)?.len();
        self.budget.take(size)?;
        let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(size).read_to_end(&mut data).map_err(read_error)?;
        Ok(data)
    }
}

/// Reads a packed chart.
pub(crate) fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, Error> {
    let read_error = |source| Error::Read { path: path.display().to_string(), source };
    let size = fs::metadata(path).map_err(read_error)?.len();
    if size > limits.download_bytes as u64 {
        return Err(Error::TooLarge { what: "bytes", limit: limits.download_bytes, name: "download-bytes" });
    }
    fs::read(path).map_err(read_error)
}
