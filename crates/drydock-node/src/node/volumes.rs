//! Volumes that only the node can write: its private memory, and directories whose owners it maps.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use nix::mount::{MntFlags, umount2};
use nix::unistd::{ForkResult, fork};

use super::asks::{Answer, Asker, done, failed, refuse};
use super::serve::Node;
use crate::protocol::{DirSpec, Refusal, RefusalKind, Reply, VolumeContent, VolumeFile};
use crate::runtime::mount_api::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, attach, new_fs, path_fd};
use crate::system;

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// A forked process that does slow file work, and who waits for it.
#[derive(Debug)]
pub(super) struct Worker {
    asker: Asker,
    doing: String,
}

impl Node {
    pub(super) fn write_volume(&mut self, content: &VolumeContent) -> Answer {
        let dir = self.volume_dir(&content.volume)?;
        for file in &content.files {
            check_relative(&file.path)?;
        }
        replace_files(&dir, content).map_err(failed(&format!("write volume `{}`", content.volume)))?;
        Ok((Reply::Path(dir), Vec::new()))
    }

    pub(super) fn make_tmpfs(
        &mut self,
        volume: &str,
        size_bytes: Option<u64>,
        fs_group: Option<u32>,
    ) -> Answer {
        let dir = self.volume_dir(volume)?;
        // A second wish for the same volume is fulfilled already.
        if !dir.exists() {
            mount_tmpfs(&dir, size_bytes, fs_group).map_err(failed(&format!("make volume `{volume}`")))?;
        }
        Ok((Reply::Path(dir), Vec::new()))
    }

    pub(super) fn remove_volume(&mut self, volume: &str) -> Answer {
        let dir = self.volume_dir(volume)?;
        let within: Vec<PathBuf> =
            fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        for mounted in within.iter().chain([&dir]) {
            // Most are no mounts, which is what the error then says.
            let _ = umount2(mounted, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        }
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&format!("remove volume `{volume}`"))(error))
            }
            _ => done(),
        }
    }

    pub(super) fn make_dir(&mut self, asker: Asker, spec: DirSpec) -> Option<Answer> {
        let path = match self.own_path(&spec.path) {
            Ok(path) => path,
            Err(refusal) => return Some(Err(refusal)),
        };
        let doing = format!("make `{}`", path.display());
        self.work(asker, doing, move || make_dir(&path, &spec))
    }

    pub(super) fn remove_dir(&mut self, asker: Asker, path: PathBuf) -> Option<Answer> {
        let path = match self.own_path(&path) {
            Ok(path) => path,
            Err(refusal) => return Some(Err(refusal)),
        };
        self.work(asker, format!("remove `{}`", path.display()), move || match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    /// Does something slow in a forked process; its exit code is the error's number.
    fn work(&mut self, asker: Asker, doing: String, work: impl FnOnce() -> io::Result<()>) -> Option<Answer> {
        // SAFETY: the node has one thread, so the child may do whatever its parent could.
        match unsafe { fork() } {
            Err(error) => Some(Err(failed(&doing)(error.into()))),
            Ok(ForkResult::Parent { child }) => {
                self.workers.insert(child.as_raw(), Worker { asker, doing });
                None
            }
            Ok(ForkResult::Child) => {
                system::close_all_but(&[]);
                let code = work().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
                system::exit_now(code)
            }
        }
    }

    /// Whether the process that ended was a worker.
    pub(super) fn worker_ended(&mut self, pid: i32, code: i32) -> bool {
        let Some(worker) = self.workers.remove(&pid) else { return false };
        let answer = match code {
            0 => done(),
            code => Err(failed(&worker.doing)(io::Error::from_raw_os_error(code))),
        };
        self.answer(worker.asker, answer);
        true
    }

    fn volume_dir(&self, volume: &str) -> Result<PathBuf, Refusal> {
        check_relative(volume)?;
        Ok(self.private.join("volumes").join(volume))
    }

    /// A path inside the node's folder, links on the way resolved.
    fn own_path(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let outside = || {
            let message = format!("`{}` is not inside the node's folder", path.display());
            refuse(RefusalKind::Invalid, message)
        };
        // What exists of the path decides where it really is.
        let existing = path.ancestors().find(|ancestor| ancestor.exists()).ok_or_else(outside)?;
        let rest = path.strip_prefix(existing).map_err(|_| outside())?;
        let real = existing.canonicalize().map_err(|_| outside())?;
        let plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        let joined = if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        if plain && joined.starts_with(&self.dir) && joined != self.dir { Ok(joined) } else { Err(outside()) }
    }
}

/// Plain names only: no `..` component, not absolute, not empty.
fn check_relative(path: &str) -> Result<(), Refusal> {
    let parts = Path::new(path).components();
    if !path.is_empty() && parts.clone().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err(refuse(RefusalKind::Invalid, format!("`{path}` is not a path inside a volume")))
}

/// Writes all files beside the old ones, then turns to them with one rename.
fn replace_files(dir: &Path, content: &VolumeContent) -> io::Result<()> {
    make_open_dir(dir)?;
    let old = fs::read_link(dir.join(DATA)).ok();
    if old.as_ref().is_some_and(|old| holds(&dir.join(old), content)) {
        return Ok(());
    }
    let version = format!("..{}", jiff::Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%9f"));
    for file in &content.files {
        write_file(&dir.join(&version), file, content.fs_group)?;
    }
    // An empty volume has a version too.
    make_open_dir(&dir.join(&version))?;
    let new_link = dir.join(NEW_DATA);
    let _ = fs::remove_file(&new_link);
    symlink(&version, &new_link)?;
    fs::rename(new_link, dir.join(DATA))?;
    link_names(dir, content)?;
    old.map_or(Ok(()), |old| fs::remove_dir_all(dir.join(old)))
}

/// Whether a version already has exactly this content, so that watchers see no change where there is none.
fn holds(version: &Path, content: &VolumeContent) -> bool {
    let same = |file: &VolumeFile| fs::read(version.join(&file.path)).is_ok_and(|bytes| bytes == file.bytes);
    content.files.iter().all(same) && count_files(version) == content.files.len()
}

fn count_files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}

fn write_file(version: &Path, file: &VolumeFile, fs_group: Option<u32>) -> io::Result<()> {
    let path = version.join(&file.path);
    if let Some(parent) = path.parent() {
        make_open_dir(parent)?;
    }
    fs::write(&path, &file.bytes)?;
    chown(&path, file.uid, fs_group)?;
    let group_reads = if fs_group.is_some() { 0o040 } else { 0 };
    fs::set_permissions(&path, fs::Permissions::from_mode(file.mode & 0o777 | group_reads))
}

/// One link per name at the top, pointing through `..data`; names no longer there lose theirs.
fn link_names(dir: &Path, content: &VolumeContent) -> io::Result<()> {
    let top = |path: &str| Path::new(path).components().next().map(|part| part.as_os_str().to_owned());
    let wanted: std::collections::BTreeSet<_> =
        content.files.iter().filter_map(|file| top(&file.path)).collect();
    for name in &wanted {
        match symlink(Path::new(DATA).join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A directory (with its parents) that every user may enter, whatever our umask.
fn make_open_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    for path in missing.into_iter().rev() {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn mount_tmpfs(dir: &Path, size_bytes: Option<u64>, fs_group: Option<u32>) -> io::Result<()> {
    make_open_dir(dir)?;
    let size = size_bytes.map(|size| size.to_string());
    let group = fs_group.map(|group| group.to_string());
    // As the kubelet has it: everybody writes, and with a group new files belong to that.
    let mut options = vec![("mode", Some(if fs_group.is_some() { "2777" } else { "0777" }))];
    options.extend(size.as_deref().map(|size| ("size", Some(size))));
    options.extend(group.as_deref().map(|group| ("gid", Some(group))));
    let tmpfs = new_fs("tmpfs", &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)?;
    attach(tmpfs.as_fd(), path_fd(dir)?.as_fd())
}

fn make_dir(path: &Path, spec: &DirSpec) -> io::Result<()> {
    fs::create_dir_all(path)?;
    chown(path, spec.uid, spec.gid)?;
    fs::set_permissions(path, fs::Permissions::from_mode(spec.mode & 0o7777))?;
    spec.fs_group.map_or(Ok(()), |group| give_to_group(path, group))
}

/// Makes a tree the group's, as `fsGroup` asks: readable and writable, directories passing the group on.
/// A root that already is so is taken to say the same of all below it.
fn give_to_group(root: &Path, group: u32) -> io::Result<()> {
    const SHARED_DIR: u32 = 0o2770;
    let about = fs::symlink_metadata(root)?;
    if about.gid() == group && about.mode() & SHARED_DIR == SHARED_DIR {
        return Ok(());
    }
    // The root last: a walk that was cut short must be done again.
    for entry in fs::read_dir(root)? {
        give_below(&entry?.path(), group)?;
    }
    give_one(root, &about, group)
}

fn give_below(path: &Path, group: u32) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            give_below(&entry?.path(), group)?;
        }
    }
    give_one(path, &about, group)
}

fn give_one(path: &Path, about: &fs::Metadata, group: u32) -> io::Result<()> {
    lchown(path, None, Some(group))?;
    if about.is_symlink() {
        return Ok(());
    }
    let more = if about.is_dir() { 0o2770 } else { 0o660 };
    fs::set_permissions(path, fs::Permissions::from_mode(about.mode() & 0o7777 | more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(files: &[(&str, &str)]) -> VolumeContent {
        let file = |&(path, text): &(&str, &str)| VolumeFile {
            path: path.to_owned(),
            mode: 0o644,
            uid: None,
            bytes: text.as_bytes().to_vec(),
        };
        VolumeContent { volume: "v".to_owned(), files: files.iter().map(file).collect(), fs_group: None }
    }

    #[test]
    fn files_change_together_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        replace_files(dir.path(), &content(&[("a", "1"), ("sub/b", "2")])).unwrap();
        replace_files(dir.path(), &content(&[("sub/b", "3")])).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("sub/b")).unwrap(), "3");
        assert!(!dir.path().join("a").exists());
        let versions = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(versions, 3, "one version, one `..data`, one name");
    }

    #[test]
    fn the_same_content_again_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let version = || fs::read_link(dir.path().join(DATA)).unwrap();
        replace_files(dir.path(), &content(&[("a", "1")])).unwrap();
        let before = version();
        replace_files(dir.path(), &content(&[("a", "1")])).unwrap();
        assert_eq!(version(), before);
        replace_files(dir.path(), &content(&[])).unwrap();
        assert_ne!(version(), before);
    }

    #[test]
    fn a_file_cannot_be_written_outside() {
        for path in ["../a", "/a", "", "a/../../b"] {
            assert!(check_relative(path).is_err(), "{path}");
        }
        assert!(check_relative("a/..b").is_ok());
    }
}
