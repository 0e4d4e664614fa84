//! A layer's archive into a folder that overlayfs can stack.
//!
//! Whiteouts become overlay's own marks. Archives come from outside: no entry may leave its
//! folder, and size and count are bounded.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use oci_spec::image::MediaType;
use rustix::fs::{FileType, Mode, XattrFlags};
use tar::{Archive, Entry};

use crate::error::{At, Error, Result};
use crate::store::{Image, ImageStore, Layer};

/// More than any image people run, and less than what fills a disk by surprise.
const MAX_UNPACKED_BYTES: u64 = 32 << 30;
const MAX_ENTRIES: u64 = 2_000_000;
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Unpacks one layer below `unpacked` unless it is there; returns its folder.
pub(crate) fn layer(store: &ImageStore, unpacked: &Path, image: &Image, layer: &Layer) -> Result<PathBuf> {
    let folder = unpacked.join(layer.diff_id.trim_start_matches("sha256:"));
    if folder.exists() {
        return Ok(folder);
    }
    let refuse =
        |reason: String| Error::Unpack { image: image.name.clone(), digest: layer.digest.clone(), reason };
    let staging =
        tempfile::Builder::new().prefix("unpack-").tempdir_in(unpacked).at("create a folder in", unpacked)?;
    fs::set_permissions(staging.path(), PermissionsOf(0o755).into()).at("change", staging.path())?;
    let blob = store.blob_path(&layer.digest);
    let file = BufReader::new(File::open(&blob).at("open", &blob)?);
    let reader: Box<dyn Read> = match &layer.media_type {
        MediaType::ImageLayer => Box::new(file),
        MediaType::ImageLayerGzip => Box::new(MultiGzDecoder::new(file)),
        MediaType::Other(name) if name.ends_with("tar.gzip") => Box::new(MultiGzDecoder::new(file)),
        other => return Err(refuse(format!("media type `{other}` is not supported"))),
    };
    archive(reader.take(MAX_UNPACKED_BYTES), staging.path()).map_err(|error| refuse(error.to_string()))?;
    match fs::rename(staging.keep(), &folder) {
        // Another process was faster: its folder is as good as ours.
        Err(_) if folder.exists() => Ok(folder),
        moved => moved.at("create", &folder).map(|()| folder),
    }
}

fn archive(reader: impl Read, folder: &Path) -> std::io::Result<()> {
    let mut archive = Archive::new(reader);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(rustix::process::geteuid().is_root());
    archive.set_overwrite(true);
    for (count, entry) in archive.entries()?.enumerate() {
        if count as u64 >= MAX_ENTRIES {
            return Err(std::io::Error::other("it has too many entries"));
        }
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        match path.file_name().and_then(|name| name.to_str()) {
            Some(OPAQUE) => opaque(&inside(folder, path.parent())?)?,
            Some(name) if name.starts_with(WHITEOUT) => {
                let parent = inside(folder, path.parent())?;
                whiteout(&parent.join(&name[WHITEOUT.len()..]))?;
            }
            _ => unpack_entry(&mut entry, folder, &path)?,
        }
    }
    Ok(())
}

fn unpack_entry(entry: &mut Entry<'_, impl Read>, folder: &Path, path: &Path) -> std::io::Result<()> {
    match entry.unpack_in(folder)? {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("entry `{}` leaves the image", path.display()))),
    }
}

/// `parent` below `folder`, made of plain names only, and not through a symlink.
fn inside(folder: &Path, parent: Option<&Path>) -> std::io::Result<PathBuf> {
    let mut path = folder.to_owned();
    for part in parent.into_iter().flat_map(Path::components) {
        match part {
            Component::CurDir => continue,
            Component::Normal(name) => path.push(name),
            _ => return Err(std::io::Error::other("a whiteout leaves the image")),
        }
        if path.is_symlink() {
            return Err(std::io::Error::other("a whiteout goes through a symbolic link"));
        }
    }
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Overlay's mark for "deleted here": a character device 0:0.
fn whiteout(path: &Path) -> std::io::Result<()> {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::empty(), 0)?;
    Ok(())
}

/// Overlay's mark for "nothing of the layers below shows through".
fn opaque(folder: &Path) -> std::io::Result<()> {
    let name =
        if rustix::process::geteuid().is_root() { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    rustix::fs::lsetxattr(folder, name, b"y", XattrFlags::empty())?;
    Ok(())
}

struct PermissionsOf(u32);

impl From<PermissionsOf> for fs::Permissions {
    fn from(mode: PermissionsOf) -> Self {
        std::os::unix::fs::PermissionsExt::from_mode(mode.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileTypeExt;

    fn tar_with(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // Written as raw bytes: the library itself refuses to build a hostile name.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn an_entry_outside_the_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = archive(&tar_with(&[("../evil", "x")])[..], &folder.path().join("in")).unwrap_err();
        assert!(error.to_string().contains("leaves the image"), "{error}");
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn a_whiteout_becomes_a_device_that_overlay_understands() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not run: making a device node needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        archive(&tar_with(&[("etc/.wh.passwd", "")])[..], folder.path()).unwrap();
        let kind = fs::symlink_metadata(folder.path().join("etc/passwd")).unwrap().file_type();
        assert!(kind.is_char_device());
    }

    #[test]
    fn a_whiteout_outside_the_image_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(archive(&tar_with(&[("../.wh.x", "")])[..], folder.path()).is_err());
    }
}
