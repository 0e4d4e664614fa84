//! Debian packages without installing anything: `apt-get download` with lists of its own, `dpkg-deb` into a folder.
//!
//! Uses the machine's own sources and keys, so a configured mirror or proxy is honoured, but never the machine's
//! package lists or database: works without root and leaves the system untouched.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Libraries that packages name and our files never load: a compiler for queries, and an init system.
const LEFT_OUT: &[&str] = &["libllvm14", "libelogind0", "libc-l10n"];

/// Packages, downloaded and unpacked into one folder.
pub struct Packages {
    folder: PathBuf,
    /// Name to version.
    versions: BTreeMap<String, String>,
}

impl Packages {
    /// Fetches `names` and the libraries they need, below `folder`, which also keeps downloads for the next time.
    pub fn fetch(folder: &Path, names: &[&str]) -> anyhow::Result<Self> {
        let apt = Apt::new(folder)?;
        eprintln!("reading Debian's package lists");
        apt.run("apt-get", &["update", "--quiet"]).context("cannot read Debian's package lists")?;
        let closure = apt.closure(names)?;
        let wanted: Vec<&str> = closure.iter().map(String::as_str).collect();
        eprintln!("fetching {} packages", wanted.len());
        let archives = apt.download(&wanted)?;
        let root = folder.join("root");
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("cannot remove `{}`", root.display()))?;
        }
        fs::create_dir_all(&root)?;
        let mut versions = BTreeMap::new();
        for archive in &archives {
            let (name, version) = unpack(archive, &root)?;
            versions.insert(name, version);
        }
        Ok(Self { folder: folder.to_owned(), versions })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the packages' files lie.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    pub fn version(&self, package: &str) -> anyhow::Result<String> {
        self.versions.get(package).cloned().with_context(|| format!("package `{package}` was not fetched"))
    }
}

struct Apt {
    folder: PathBuf,
    archives: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> anyhow::Result<Self> {
        let archives = folder.join("debs");
        for each in [&archives, &folder.join("lists/partial"), &folder.join("cache/archives/partial")] {
            fs::create_dir_all(each).with_context(|| format!("cannot create `{}`", each.display()))?;
        }
        let status = folder.join("status");
        fs::write(&status, "").with_context(|| format!("cannot write `{}`", status.display()))?;
        Ok(Self { folder: folder.to_owned(), archives })
    }

    /// Runs an apt program on our own folders and returns what it printed.
    fn run(&self, program: &str, args: &[&str]) -> anyhow::Result<String> {
        let option = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
        let output = Command::new(program)
            .args(["-o", &option("Dir::State::lists", "lists"), "-o", &option("Dir::Cache", "cache")])
            .args(["-o", &option("Dir::State::status", "status")])
            // Root would drop to a user that cannot write here.
            .args([
                "-o",
                "APT::Sandbox::User=root",
                "-o",
                "Acquire::Retries=2",
                "-o",
                "Acquire::Languages=none",
            ])
            .args(args)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(&self.archives)
            .output()
            .with_context(|| {
                format!("cannot run `{program}`; stand-ins are made on Debian or its relatives")
            })?;
        if !output.status.success() {
            bail!(
                "`{program} {}` failed:\n{}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `names` and, through any number of steps, the library packages they depend on.
    fn closure(&self, names: &[&str]) -> anyhow::Result<BTreeSet<String>> {
        let mut known: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut pending: Vec<String> = known.iter().cloned().collect();
        while !pending.is_empty() {
            let mut args =
                vec!["depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks"];
            args.extend(["--no-replaces", "--no-enhances"]);
            args.extend(pending.iter().map(String::as_str));
            let listing = self.run("apt-cache", &args)?;
            pending = libraries(&listing).filter(|name| known.insert(name.clone())).collect();
        }
        Ok(known)
    }

    fn download(&self, names: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
        let mut args = vec!["download", "--quiet"];
        args.extend(names);
        self.run("apt-get", &args).context("cannot fetch packages")?;
        let archives = fs::read_dir(&self.archives)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        newest_of_each(names, archives)
    }
}

/// The library packages named in the output of `apt-cache depends`.
fn libraries(listing: &str) -> impl Iterator<Item = String> {
    listing
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches('|').split_once("epends: "))
        .map(|(_, name)| name.split(':').next().unwrap_or(name).to_owned())
        .filter(|name| (name.starts_with("lib") || name == "zlib1g") && !LEFT_OUT.contains(&name.as_str()))
}

/// One archive per package; what else lies there is from an earlier time and goes.
fn newest_of_each(names: &[&str], archives: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut newest: BTreeMap<String, (std::time::SystemTime, PathBuf)> = BTreeMap::new();
    for archive in archives {
        let file = archive.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let package = file.split('_').next().unwrap_or_default().to_owned();
        let written = fs::metadata(&archive)?.modified()?;
        match newest.get(&package) {
            Some((known, _)) if *known >= written => fs::remove_file(&archive)?,
            _ => {
                if let Some((_, old)) = newest.insert(package, (written, archive)) {
                    fs::remove_file(old)?;
                }
            }
        }
    }
    let found = names.iter().map(|name| {
        let archive = newest.get(*name).map(|(_, archive)| archive.clone());
        archive.with_context(|| format!("package `{name}` was not downloaded"))
    });
    found.collect()
}

/// Unpacks an archive and gives its name and version.
fn unpack(archive: &Path, root: &Path) -> anyhow::Result<(String, String)> {
    let status = Command::new("dpkg-deb").arg("--extract").arg(archive).arg(root).status();
    if !status.context("cannot run `dpkg-deb`")?.success() {
        bail!("cannot unpack `{}`", archive.display());
    }
    let fields =
        Command::new("dpkg-deb").arg("--show").arg(archive).output().context("cannot run `dpkg-deb`")?;
    let fields = String::from_utf8_lossy(&fields.stdout).into_owned();
    let (name, version) =
        fields.trim().split_once('\t').with_context(|| format!("`{}` has no version", archive.display()))?;
    Ok((name.split(':').next().unwrap_or(name).to_owned(), version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_libraries_are_followed_and_the_left_out_stay_out() {
        let listing = "postgresql-15\n |Depends: locales\n  Depends: locales-all\n  PreDepends: libc6\n  Depends: <libfoo>\n  Depends: libllvm14\n  Depends: libpq5:amd64\n";
        assert_eq!(libraries(listing).collect::<Vec<_>>(), ["libc6", "libpq5"]);
    }
}
