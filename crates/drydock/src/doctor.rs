//! Looks whether an engine can run here, and whether its folder is whole. Changes nothing.
//!
//! Each check is a function that returns one [`Check`]: fine, a warning, or a failure with the next thing to do.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use drydock_api::Keyring;

use crate::Config;
use crate::control::{self, Status};
use crate::export;
use crate::folder::Folder;

/// Less than this is worth a warning, a tenth of it a failure.
const FREE_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    Warn,
    Fail,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub state: State,
    pub found: String,
    /// What to do about it.
    pub next: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), next: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, state: State::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { name, state: State::Fail, found: found.into(), next: Some(next.into()) }
    }
}

/// All checks, in the order in which a problem explains the ones after it.
pub fn doctor(config: &Config) -> Vec<Check> {
    let folder = &config.folder;
    let running = matches!(control::status(folder), Ok(Status::Starting | Status::Running { .. }));
    let mut checks = vec![engine(folder), permissions(folder), space(folder)];
    checks.push(store(folder, running));
    checks.push(sealing_key(folder));
    checks.push(certificates(folder));
    checks.push(kubeconfig(folder));
    if !running {
        checks.push(port("api port", config.api_port));
        checks.push(port("http port", config.http_port));
    }
    checks.extend([privileges(), cgroups(), overlay(), packet_filter(), namespaces()]);
    checks
}

fn engine(folder: &Path) -> Check {
    let name = "engine";
    match control::status(folder) {
        Ok(Status::Stopped) => Check::ok(name, "not running"),
        Ok(Status::Starting) => Check::warn(name, "still starting", "seaworthy drydock status"),
        Ok(Status::Running { pid, api_url, .. }) => {
            let address = api_url.trim_start_matches("https://").to_owned();
            match TcpStream::connect(&address) {
                Ok(_) => Check::ok(name, format!("running as process {pid}, its API answers at {api_url}")),
                Err(error) => Check::fail(
                    name,
                    format!("running as process {pid}, but {api_url} does not answer: {error}"),
                    "seaworthy drydock stop && seaworthy drydock start",
                ),
            }
        }
        Err(error) => Check::fail(name, told(&error), format!("ls -la {}", folder.display())),
    }
}

/// Keys and Secrets lie in the folder: nobody else may read it.
fn permissions(folder: &Path) -> Check {
    let name = "permissions";
    let paths = Folder::new(folder);
    let own = [folder.to_owned(), paths.store(), paths.pki(), paths.kubeconfig()];
    let keys = fs::read_dir(paths.pki()).into_iter().flatten().flatten().map(|entry| entry.path());
    let keys = keys.filter(|path| path.extension().is_some_and(|end| end == "key"));
    let mut open_to_others: Vec<PathBuf> = Vec::new();
    for path in own.into_iter().skip(1).chain(keys) {
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            open_to_others.push(path);
        }
    }
    let uid = rustix::process::geteuid().as_raw();
    match (fs::metadata(folder), open_to_others.first()) {
        (Err(_), _) => Check::ok(name, format!("`{}` is made by the first start", folder.display())),
        (Ok(metadata), _) if metadata.uid() != uid && uid != 0 => Check::fail(
            name,
            format!("`{}` belongs to user {}", folder.display(), metadata.uid()),
            format!("sudo chown -R {uid} {}", folder.display()),
        ),
        (_, Some(path)) => Check::warn(
            name,
            format!("others on this machine can read `{}`", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        _ => Check::ok(name, format!("only you can read the keys in `{}`", folder.display())),
    }
}

fn space(folder: &Path) -> Check {
    let name = "disk";
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(folder);
    let free = match rustix::fs::statvfs(there) {
        Ok(found) => found.f_bavail.saturating_mul(found.f_frsize),
        Err(error) => return Check::warn(name, format!("cannot tell how much is free: {error}"), "df -h"),
    };
    let told = format!("{} MiB free", free >> 20);
    let next = "seaworthy image prune, or free space elsewhere";
    match free {
        free if free < FREE_BYTES / 10 => Check::fail(name, told, next),
        free if free < FREE_BYTES => Check::warn(name, told, next),
        _ => Check::ok(name, told),
    }
}

fn store(folder: &Path, running: bool) -> Check {
    let name = "store";
    if running {
        return Check::ok(name, "in use by the running engine, which has checked it");
    }
    let found = match export::look(folder) {
        Ok(found) => found,
        Err(error) => return Check::fail(name, told(&error), format!("ls -la {}", folder.display())),
    };
    let size = found.size_bytes >> 10;
    match found.problems.split_first() {
        None if found.revision == 0 => Check::ok(name, "empty"),
        None => Check::ok(
            name,
            format!("{} objects at revision {}, {size} KiB", found.objects.len(), found.revision),
        ),
        Some((first, others)) => {
            let more = if others.is_empty() { String::new() } else { format!(", and {} more", others.len()) };
            let left = found.objects.len() + found.fragments.len();
            Check::fail(
                name,
                format!("damaged: {first}{more}; {left} objects can be read"),
                "seaworthy drydock export saved.json && seaworthy drydock reset && seaworthy drydock start && kubectl apply -f saved.json",
            )
        }
    }
}

/// One key, or several while a change of it has not come to its end.
fn sealing_key(folder: &Path) -> Check {
    let name = "secrets key";
    let pki = Folder::new(folder).pki();
    if !pki.join(Keyring::FILE).exists() {
        return match Folder::new(folder).store().exists() {
            false => Check::ok(name, "made by the first start"),
            true => Check::warn(
                name,
                format!(
                    "`{}` is gone; Secrets that it sealed cannot be read",
                    pki.join(Keyring::FILE).display()
                ),
                "bring the file back from a backup before the next start",
            ),
        };
    }
    match Keyring::count(&pki) {
        Ok(1) => Check::ok(name, "one, and nothing needs a former one"),
        Ok(several) => Check::warn(
            name,
            format!("{several}: a change of the key was interrupted; all of them open Secrets"),
            "seaworthy drydock stop && seaworthy drydock rotate-key",
        ),
        Err(error) => Check::fail(name, told(&error), "bring the file back from a backup"),
    }
}

fn certificates(folder: &Path) -> Check {
    let name = "certificates";
    let pki = Folder::new(folder).pki();
    if !pki.exists() {
        return Check::ok(name, "made by the first start");
    }
    let missing: Vec<&str> =
        ["ca.crt", "ca.key", "sa.key"].into_iter().filter(|file| !pki.join(file).is_file()).collect();
    match missing.as_slice() {
        [] => Check::ok(name, format!("complete in `{}`", pki.display())),
        missing => Check::fail(
            name,
            format!(
                "`{}` lacks {}; old tokens and kubeconfigs stop working",
                pki.display(),
                missing.join(", ")
            ),
            "bring the files back from a backup, or seaworthy drydock reset",
        ),
    }
}

fn kubeconfig(folder: &Path) -> Check {
    let path = Folder::new(folder).kubeconfig();
    match path.exists() {
        true => Check::ok("kubeconfig", format!("`{}`", path.display())),
        false => Check::ok("kubeconfig", "written by the next start"),
    }
}

fn port(name: &'static str, port: u16) -> Check {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Check::ok(name, format!("{port} is free")),
        Err(error) => Check::warn(
            name,
            format!("{port} cannot be used ({error}); the engine takes a free one instead"),
            format!("ss -ltnp 'sport = :{port}'"),
        ),
    }
}

fn privileges() -> Check {
    let name = "privileges";
    match rustix::process::geteuid().is_root() {
        true => Check::ok(name, "root"),
        false => Check::warn(
            name,
            "not root: the API works, containers do not start",
            "sudo seaworthy drydock start",
        ),
    }
}

/// Version 2 in one hierarchy, or version 1 with one for each controller: the node uses either.
fn cgroups() -> Check {
    let name = "cgroups";
    let root = Path::new("/sys/fs/cgroup");
    let unified = fs::read_to_string(root.join("cgroup.controllers"));
    let has = |controller: &str| match &unified {
        Ok(text) => text.split_whitespace().any(|found| found == controller),
        Err(_) => root.join(controller).join("cgroup.procs").exists(),
    };
    let missing: Vec<&str> =
        ["cpu", "memory", "pids"].into_iter().filter(|controller| !has(controller)).collect();
    let version = if unified.is_ok() { 2 } else { 1 };
    match missing.as_slice() {
        [] => Check::ok(name, format!("version {version} with cpu, memory and pids")),
        missing => Check::warn(
            name,
            format!("without {}: limits of that sort are not enforced", missing.join(", ")),
            "ls /sys/fs/cgroup",
        ),
    }
}

fn overlay() -> Check {
    feature("overlayfs", "/proc/filesystems", "overlay", "modprobe overlay")
}

/// Loaded, built in, or loadable when the engine asks for it.
fn packet_filter() -> Check {
    let name = "nftables";
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = Path::new("/lib/modules").join(release.trim());
    let listed =
        |file: &str| fs::read_to_string(modules.join(file)).is_ok_and(|text| text.contains("nf_tables"));
    let built_in = || fs::read_to_string("/proc/kallsyms").is_ok_and(|text| text.contains("nft_do_chain"));
    let present = Path::new("/sys/module/nf_tables").exists()
        || listed("modules.builtin")
        || listed("modules.dep")
        || built_in();
    match present {
        true => Check::ok(name, "nf_tables"),
        false => {
            Check::warn(name, "nf_tables is not known to be there; Services need it", "modprobe nf_tables")
        }
    }
}

fn namespaces() -> Check {
    let name = "namespaces";
    let missing: Vec<&str> = ["net", "pid", "mnt", "ipc", "uts"]
        .into_iter()
        .filter(|kind| !Path::new("/proc/self/ns").join(kind).exists())
        .collect();
    match missing.as_slice() {
        [] => Check::ok(name, "net, pid, mnt, ipc, uts"),
        missing => Check::fail(
            name,
            format!("the kernel lacks {}", missing.join(", ")),
            "use a kernel with namespaces",
        ),
    }
}

fn feature(name: &'static str, file: &str, word: &str, next: &str) -> Check {
    let there = fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|found| found == word));
    match there {
        true => Check::ok(name, "available"),
        false => Check::warn(name, format!("`{file}` does not list {word}"), next),
    }
}

/// An error with its causes on one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path) -> Config {
        Config { api_port: 0, http_port: 0, ..Config::new(folder.to_owned(), folder.join("images")) }
    }

    #[track_caller]
    fn check(folder: &Path, name: &str, state: State, found: &str) {
        let checks = doctor(&config(folder));
        let check = checks.iter().find(|check| check.name == name).unwrap();
        assert!(check.state == state && check.found.contains(found), "{check:?}");
        assert_eq!(check.next.is_some(), state != State::Ok);
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        check(&folder, "store", State::Ok, "empty");
        check(&folder, "certificates", State::Ok, "first start");
        check(&folder, "permissions", State::Ok, "first start");
    }

    #[test]
    fn a_store_that_is_none_is_a_failure_with_a_way_out() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("store.redb"), "not a database".repeat(1000)).unwrap();
        check(folder.path(), "store", State::Fail, "`store.redb` cannot be opened");
    }

    #[test]
    fn a_change_of_the_key_that_was_interrupted_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let pki = folder.path().join("pki");
        check(folder.path(), "secrets key", State::Ok, "first start");
        Keyring::open(&pki, drydock_api::SEALED).unwrap();
        check(folder.path(), "secrets key", State::Ok, "one");
        drydock_api::Rotation::begin(&pki).unwrap().keep_both().unwrap();
        check(folder.path(), "secrets key", State::Warn, "2: a change of the key was interrupted");
        fs::remove_file(pki.join(Keyring::FILE)).unwrap();
        fs::write(folder.path().join("store.redb"), "").unwrap();
        check(folder.path(), "secrets key", State::Warn, "is gone");
    }

    #[test]
    fn keys_that_others_can_read_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("pki")).unwrap();
        let key = folder.path().join("pki/ca.key");
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        check(folder.path(), "permissions", State::Warn, "pki/ca.key");
        check(folder.path(), "certificates", State::Fail, "lacks ca.crt, sa.key");
    }

    #[test]
    fn a_port_in_use_is_a_warning() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let found = port("api port", taken.local_addr().unwrap().port());
        assert_eq!(found.state, State::Warn);
    }
}
