//! The key of sealed Secrets is changed, again and again, by a process that is killed at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drydock_api::{Keyring, SEALED};
use drydock_store::{Expect, List, Store, Txn};

use crate::world::SOON;

const FOLDER: &str = "DRYDOCK_ROTATION_TEST";
const POINTS: usize = 40;
const SECRETS: usize = 300;
const MARK: &[u8] = b"\0sealed\x01";

/// Not a test of its own: the process that [`a_change_of_the_key_that_is_killed_loses_no_secret`] kills.
#[test]
fn the_victim_changes_the_key_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    loop {
        say("changing");
        drydock::rotate_key(Path::new(&folder)).unwrap();
        say("changed");
    }
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn a_change_of_the_key_that_is_killed_loses_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let (mut changed, mut interrupted) = (0, 0);
    let mut keys = BTreeSet::new();
    let mut whole = Duration::ZERO;
    for point in 0..POINTS {
        // Between the kills the engine runs: it writes a Secret and reads all of them.
        let store = open(folder.path());
        write(&store, point).await;
        read(&store, point);
        store.close();
        if point == 0 {
            let since = Instant::now();
            drydock::rotate_key(folder.path()).unwrap();
            whole = since.elapsed();
        }
        // From the beginning of one change into the middle of the next, whatever one takes on this machine.
        let share = u32::try_from(point * 1500 / POINTS).unwrap();
        changed += rotate_and_kill(folder.path(), whole * share / 1000);
        interrupted += usize::from(keys_of(folder.path()).len() > 1);
        keys.extend(keys_of(folder.path()));
    }
    println!("{changed} changes, {} keys, {interrupted} kills between two keys", keys.len());
    drydock::rotate_key(folder.path()).unwrap();
    read(&open(folder.path()), POINTS - 1);
    assert_eq!(sealed_with(folder.path()).len(), 1, "keys that the store needs");
    let present = keys_of(folder.path());
    let former: Vec<&String> = keys.difference(&present).collect();
    assert!(present.len() == 1 && !former.is_empty(), "{} keys now", present.len());
    for file in fs::read_dir(folder.path().join("pki")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!former.iter().any(|key| text.contains(*key)), "a former key was left behind");
    }
}

fn open(folder: &Path) -> Store {
    let keyring = Keyring::open(&folder.join("pki"), SEALED).unwrap();
    Store::open_with(folder.join("store.redb"), keyring.store_options()).unwrap()
}

async fn write(store: &Store, point: usize) {
    let news = if point == 0 { 0..SECRETS } else { SECRETS + point - 1..SECRETS + point };
    let put = |txn: Txn, n: usize| txn.put(place(n), text(n), Expect::Absent);
    store.write(news.fold(Txn::new(), put)).await.unwrap();
}

fn read(store: &Store, point: usize) {
    assert_eq!(store.list(List::default()).unwrap().items.len(), SECRETS + point);
    for n in 0..SECRETS + point {
        let found = store.get(&place(n));
        assert!(found.is_some_and(|entry| entry.value == *text(n).as_bytes()), "{n} at point {point}");
    }
}

fn place(n: usize) -> String {
    format!("core/secrets/default/{n}")
}

fn text(n: usize) -> String {
    format!("{{\"secret\":\"{}\"}}", format!("hunter-{n}-").repeat(20))
}

/// Returns how many changes came to their end first.
fn rotate_and_kill(folder: &Path, delay: Duration) -> usize {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rotating::the_victim_changes_the_key_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "changing"), "the victim ended by itself");
    std::thread::sleep(delay);
    victim.kill().unwrap();
    victim.wait().unwrap();
    lines.filter(|line| line == "changed").count()
}

fn keys_of(folder: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join("pki").join(Keyring::FILE)).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Names of the keys that anything in the store's files was sealed with.
fn sealed_with(folder: &Path) -> BTreeSet<Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let bytes: Vec<u8> = files.flat_map(|file| fs::read(file).unwrap()).collect();
    let length = MARK.len() + 8;
    bytes.windows(length).filter(|window| window.starts_with(MARK)).map(<[u8]>::to_vec).collect()
}

#[test]
fn the_key_of_an_engine_that_never_ran_or_runs_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let error = drydock::rotate_key(folder.path()).unwrap_err();
    assert!(matches!(error, drydock::RotateError::NoKey { .. }), "{error:?}");
    Keyring::open(&folder.path().join("pki"), SEALED).unwrap();
    let before = keys_of(folder.path());
    let lock = fs::File::create(folder.path().join("drydock.lock")).unwrap();
    let held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    let error = drydock::rotate_key(folder.path()).unwrap_err();
    assert!(matches!(error, drydock::RotateError::Running), "{error:?}");
    assert_eq!(keys_of(folder.path()), before);
    drop(held);
    assert_eq!(drydock::rotate_key(folder.path()).unwrap(), 0, "a store with nothing in it");
    assert_ne!(keys_of(folder.path()), before);
}

#[tokio::test]
async fn an_engine_that_was_stopped_leaves_its_store_to_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    let engine = folder.path().join("engine");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args([&engine, &folder.path().join("images")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !drydock::is_ready(&engine) {
        assert!(begun.elapsed() < SOON, "the engine should start");
        assert!(daemon.try_wait().unwrap().is_none(), "the engine ended by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(drydock::stop(&engine, SOON).await.unwrap());
    drydock::rotate_key(&engine).unwrap();
    assert!(daemon.wait().unwrap().success());
}
