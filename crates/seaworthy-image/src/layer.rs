//! Reproducible layers: the same files give the same digest, whenever and wherever they are packed.
//!
//! Entries are written in the order given, with modification time 0; [`LayerBuilder::tree`] sorts.
//! Layers stay uncompressed in the store: unpacking them is what happens most often.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

use crate::error::{At, Result};

/// Owner of an entry, as numbers: names mean nothing outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// A finished layer, still in a temporary file; [`crate::ImageStore::add`] moves it into the store.
#[derive(Debug)]
pub struct LayerTar {
    pub(crate) file: NamedTempFile,
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// Writes one layer. Paths are relative to the image's root.
pub struct LayerBuilder {
    tar: Builder<HashingFile>,
    path: PathBuf,
}

impl LayerBuilder {
    /// Starts a layer in a temporary file inside `scratch`, which should be on the store's disk.
    pub fn new(scratch: &Path) -> Result<Self> {
        fs::create_dir_all(scratch).at("create", scratch)?;
        let file = NamedTempFile::new_in(scratch).at("create a file in", scratch)?;
        let path = file.path().to_owned();
        Ok(Self { tar: Builder::new(HashingFile { file, hash: Sha256::new(), size: 0 }), path })
    }

    pub fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> Result<()> {
        let mut header = header(EntryType::Directory, mode, owner, 0);
        self.tar.append_data(&mut header, path, io::empty()).at("write", &self.path)
    }

    pub fn symlink(&mut self, path: &str, target: &str, owner: Owner) -> Result<()> {
        let mut header = header(EntryType::Symlink, 0o777, owner, 0);
        self.tar.append_link(&mut header, path, target).at("write", &self.path)
    }

    pub fn bytes(&mut self, path: &str, content: &[u8], mode: u32, owner: Owner) -> Result<()> {
        let mut header = header(EntryType::Regular, mode, owner, content.len() as u64);
        self.tar.append_data(&mut header, path, content).at("write", &self.path)
    }

    pub fn file(&mut self, path: &str, source: &Path, mode: u32, owner: Owner) -> Result<()> {
        let file = File::open(source).at("open", source)?;
        let size = file.metadata().at("read", source)?.len();
        let mut header = header(EntryType::Regular, mode, owner, size);
        self.tar.append_data(&mut header, path, file).at("write", &self.path)
    }

    /// Packs everything below `root` in sorted order, keeping modes and symlinks.
    /// `owner` decides who owns each path (relative to `root`). Sockets, pipes and devices are left out.
    pub fn tree(&mut self, root: &Path, owner: impl Fn(&Path) -> Owner) -> Result<()> {
        let mut pending = vec![PathBuf::new()];
        while let Some(relative) = pending.pop() {
            let mut children = BTreeMap::new();
            let directory = root.join(&relative);
            for entry in fs::read_dir(&directory).at("read", &directory)? {
                let entry = entry.at("read", &directory)?;
                children.insert(relative.join(entry.file_name()), entry.path());
            }
            for (child, source) in &children {
                self.entry(child, source, owner(child))?;
            }
            let folders = children.iter().filter(|(_, source)| is_real_directory(source));
            pending.extend(folders.map(|(child, _)| child.clone()).rev());
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, source: &Path, owner: Owner) -> Result<()> {
        let metadata = fs::symlink_metadata(source).at("read", source)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let name = path.to_string_lossy();
        if metadata.is_dir() {
            self.directory(&name, mode, owner)
        } else if metadata.is_symlink() {
            let target = fs::read_link(source).at("read", source)?;
            self.symlink(&name, &target.to_string_lossy(), owner)
        } else if metadata.is_file() && metadata.nlink() > 0 {
            self.file(&name, source, mode, owner)
        } else {
            Ok(())
        }
    }

    pub fn finish(self) -> Result<LayerTar> {
        let HashingFile { mut file, hash, size } = self.tar.into_inner().at("write", &self.path)?;
        file.flush().at("write", &self.path)?;
        Ok(LayerTar { file, digest: digest_text(hash), size })
    }
}

pub(crate) fn digest_text(hash: Sha256) -> String {
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn is_real_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

fn header(kind: EntryType, mode: u32, owner: Owner, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_mtime(0);
    header.set_size(size);
    header
}

struct HashingFile {
    file: NamedTempFile,
    hash: Sha256,
    size: u64,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(scratch: &Path, root: &Path) -> String {
        let mut layer = LayerBuilder::new(scratch).unwrap();
        layer.tree(root, |_| Owner::default()).unwrap();
        layer.finish().unwrap().digest
    }

    #[test]
    fn the_same_tree_packed_twice_has_one_digest() {
        let scratch = tempfile::tempdir().unwrap();
        let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (root, names) in [(&one, ["a", "b"]), (&two, ["b", "a"])] {
            for name in names {
                fs::create_dir_all(root.path().join("d")).unwrap();
                fs::write(root.path().join("d").join(name), name).unwrap();
            }
        }
        assert_eq!(pack(scratch.path(), one.path()), pack(scratch.path(), two.path()));
    }

    #[test]
    fn a_changed_byte_changes_the_digest() {
        let scratch = tempfile::tempdir().unwrap();
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("f"), "1").unwrap();
        let before = pack(scratch.path(), root.path());
        fs::write(root.path().join("f"), "2").unwrap();
        assert_ne!(before, pack(scratch.path(), root.path()));
    }
}
