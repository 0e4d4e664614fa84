//! Puts the files of one image together: what a recipe names, the libraries those load, a shell, accounts.
//!
//! Only named files go in; documentation, other languages and package databases never do. Owners are kept beside
//! the files, because an ordinary user cannot give files away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use seaworthy_image::layer::Owner;

use super::elf;

pub struct Rootfs {
    /// Where the packages' files lie.
    source: PathBuf,
    /// Where the image's files go.
    target: PathBuf,
    /// Name of each shared library in the packages, and where it lies.
    libraries: BTreeMap<String, PathBuf>,
    owners: BTreeMap<PathBuf, Owner>,
}

impl Rootfs {
    pub fn new(source: PathBuf, target: &Path) -> anyhow::Result<Self> {
        let mut libraries = BTreeMap::new();
        find_libraries(&source, &mut libraries)?;
        Ok(Self { source, target: target.to_owned(), libraries, owners: BTreeMap::new() })
    }

    /// Owners other than root, by path in the image.
    pub fn owners(&self) -> BTreeMap<PathBuf, Owner> {
        self.owners.clone()
    }

    /// Folders, a shell with the usual programs, time zones' default, and the C.UTF-8 locale.
    pub fn base(&mut self) -> anyhow::Result<()> {
        for folder in [
            "usr/bin",
            "usr/sbin",
            "usr/lib",
            "usr/lib64",
            "usr/local/bin",
            "etc",
            "proc",
            "sys",
            "dev",
            "run",
        ] {
            self.folder(folder, 0o755)?;
        }
        self.folder("tmp", 0o1777)?;
        self.folder("root", 0o700)?;
        for name in ["bin", "sbin", "lib", "lib64"] {
            self.link(name, &format!("usr/{name}"))?;
        }
        self.folder("var", 0o755)?;
        self.link("var/run", "../run")?;
        self.copy("bin/busybox")?;
        self.busybox_programs()?;
        self.copy_tree("usr/lib/locale/C.utf8", &[])?;
        self.copy("usr/bin/setpriv")?;
        self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)
    }

    /// `/etc/passwd` and `/etc/group` with these accounts besides root and nobody.
    pub fn accounts(&mut self, accounts: &[(&str, u32, u32, &str)]) -> anyhow::Result<()> {
        let mut passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n".to_owned();
        let mut group = "root:x:0:\nnogroup:x:65534:\n".to_owned();
        for (name, uid, gid, home) in accounts {
            passwd.push_str(&format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n"));
            group.push_str(&format!("{name}:x:{gid}:\n"));
        }
        self.write("etc/passwd", &passwd, 0o644)?;
        self.write("etc/group", &group, 0o644)
    }

    pub fn folder(&mut self, path: &str, mode: u32) -> anyhow::Result<()> {
        let folder = self.target.join(path);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        Ok(fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?)
    }

    pub fn owned_folder(&mut self, path: &str, mode: u32, uid: u32, gid: u32) -> anyhow::Result<()> {
        self.owners.insert(PathBuf::from(path), Owner { uid, gid });
        self.folder(path, mode)
    }

    pub fn write(&mut self, path: &str, content: &str, mode: u32) -> anyhow::Result<()> {
        let file = self.prepare(path)?;
        fs::write(&file, content).with_context(|| format!("cannot write `{}`", file.display()))?;
        Ok(fs::set_permissions(&file, fs::Permissions::from_mode(mode))?)
    }

    pub fn link(&mut self, path: &str, to: &str) -> anyhow::Result<()> {
        let link = self.prepare(path)?;
        symlink(to, &link).with_context(|| format!("cannot link `{}`", link.display()))
    }

    /// Copies a program or library and all libraries it loads.
    pub fn copy(&mut self, path: &str) -> anyhow::Result<()> {
        let source = self.source.join(path);
        let content = fs::read(&source).with_context(|| format!("no package has `/{path}`"))?;
        let mode = fs::metadata(&source)?.permissions().mode();
        let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let target = self.prepare(&merged(path))?;
        if target.exists() {
            return Ok(());
        }
        fs::write(&target, &content)?;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        if let Some(loader) = elf::interpreter(&content) {
            self.loader(&loader)?;
        }
        for library in elf::needed(&content) {
            self.library(&library).with_context(|| format!("`/{path}` needs `{library}`"))?;
        }
        Ok(())
    }

    /// Copies everything below a folder, except entries with one of the names in `without`.
    pub fn copy_tree(&mut self, path: &str, without: &[&str]) -> anyhow::Result<()> {
        let folder = self.source.join(path);
        let entries = fs::read_dir(&folder).with_context(|| format!("no package has `/{path}`"))?;
        let names: BTreeSet<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        self.folder(&merged(path), 0o755)?;
        for name in names.iter().filter(|name| !without.contains(&name.as_str())) {
            let child = format!("{path}/{name}");
            let kind = fs::symlink_metadata(self.source.join(&child))?.file_type();
            if kind.is_dir() {
                self.copy_tree(&child, without)?;
            } else if kind.is_symlink() {
                let to = fs::read_link(self.source.join(&child))?;
                self.link(&merged(&child), &to.to_string_lossy())?;
            } else {
                self.copy(&child)?;
            }
        }
        Ok(())
    }

    /// Copies a shared library under the name by which it is loaded.
    pub fn library(&mut self, name: &str) -> anyhow::Result<()> {
        let path =
            self.libraries.get(name).cloned().with_context(|| format!("no package has library `{name}`"))?;
        self.copy(&path.to_string_lossy())
    }

    fn loader(&mut self, path: &str) -> anyhow::Result<()> {
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let known = self.libraries.get(&name).with_context(|| format!("no package has loader `{name}`"))?;
        let content = fs::read(self.source.join(known))?;
        let target = self.prepare(&merged(path.trim_start_matches('/')))?;
        fs::write(&target, content)?;
        Ok(fs::set_permissions(&target, fs::Permissions::from_mode(0o755))?)
    }

    fn busybox_programs(&mut self) -> anyhow::Result<()> {
        let list = Command::new(self.source.join("bin/busybox")).arg("--list").output();
        let list = list.context("busybox does not run on this machine")?;
        if !list.status.success() {
            bail!("busybox cannot list its programs");
        }
        for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| *name != "busybox") {
            // Debian's own packages bring a better one.
            if name != "setpriv" {
                self.link(&format!("usr/bin/{name}"), "busybox")?;
            }
        }
        Ok(())
    }

    fn prepare(&self, path: &str) -> anyhow::Result<PathBuf> {
        let target = self.target.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        Ok(target)
    }
}

/// `/bin`, `/sbin`, `/lib` and `/lib64` are links into `/usr` in the image, as on Debian.
fn merged(path: &str) -> String {
    match path.split('/').next() {
        Some("bin" | "sbin" | "lib" | "lib64") => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

/// Files and links named `*.so*` in the library folders, by name; a link is followed when it is read.
fn find_libraries(root: &Path, found: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    for folder in ["lib", "lib64", "usr/lib"] {
        let places = [root.join(folder)].into_iter().chain(folders(&root.join(folder)));
        for place in places {
            for entry in fs::read_dir(&place).into_iter().flatten() {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                // A link to an absolute path points out of the packages.
                if name.contains(".so") && fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file())
                {
                    let relative = entry.path().strip_prefix(root).unwrap_or(&entry.path()).to_owned();
                    found.entry(name).or_insert(relative);
                }
            }
        }
    }
    Ok(())
}

fn folders(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
