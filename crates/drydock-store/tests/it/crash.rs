//! A process that is killed at any moment loses nothing it acknowledged, and tears nothing.
//!
//! The victim writes from several tasks at once, with a journal so small that it turns all the time; it is killed while
//! it opens the store, while it writes, while it brings the database up. `DRYDOCK_CRASH_POINTS` says how often:
//! `cargo xtask crash --points 1000` is the whole of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock_store::{Entry, Expect, List, Options, Store, Txn};
use rand::{RngExt as _, SeedableRng as _};

use crate::folder;

const STORE: &str = "DRYDOCK_STORE_CRASH_TEST";
const POINTS: &str = "DRYDOCK_CRASH_POINTS";
const SEED: &str = "DRYDOCK_CRASH_SEED";
const DEFAULT_POINTS: usize = 100;
const WRITERS: usize = 8;

fn options() -> Options {
    Options { keep_events: 50, journal_bytes: 128 << 10, ..Options::default() }
}

/// Not a test of its own: the process that [`every_acknowledged_write_survives_being_killed`] kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_victim_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(STORE) else { return };
    say("opening");
    let store = Store::open_with(path, options()).unwrap();
    say("open");
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(store.clone(), writer)));
    futures::future::join_all(writers).await;
}

/// Each round writes two keys at once, and every third one removes a third key that the others wrote.
async fn write_for_ever(store: Store, writer: usize) {
    let [left, right, guest] = keys(writer);
    let start = store.get(&left).map_or(0, |entry| round_of(&entry));
    for round in start + 1.. {
        let txn =
            Txn::new().put(&*left, text(round), Expect::Anything).put(&*right, text(round), Expect::Anything);
        let txn = match round % 3 {
            0 => txn.delete(&*guest, Expect::Anything),
            _ => txn.put(&*guest, text(round), Expect::Anything),
        };
        store.write(txn).await.unwrap();
        say(&format!("ack {writer} {round}"));
    }
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

fn keys(writer: usize) -> [String; 3] {
    ["left", "right", "guest"].map(|side| format!("{side}/{writer}"))
}

/// A value that shows if it is another round's, or only part of one; from a few bytes to several blocks.
fn text(round: u64) -> String {
    format!("{round}-").repeat(1 + (round as usize * 37) % 900)
}

fn round_of(entry: &Entry) -> u64 {
    let value = entry.value.plain();
    let text = std::str::from_utf8(&value).unwrap();
    let round = text.split('-').next().unwrap().parse().unwrap();
    assert_eq!(text, self::text(round), "a torn value");
    round
}

#[test]
fn every_acknowledged_write_survives_being_killed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let points = number(POINTS).unwrap_or(DEFAULT_POINTS as u64);
    let seed = number(SEED).unwrap_or_else(|| rand::rng().random());
    println!("{points} points, {SEED}={seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let folder = folder();
    let path = folder.path().join("store.redb");
    let mut acknowledged: BTreeMap<usize, u64> = BTreeMap::new();
    let (mut total, mut while_opening) = (0, 0);
    for point in 0..points {
        let delay = Duration::from_micros(random.random_range(0..25_000));
        // One in ten dies while it opens the store, the others under load.
        let early = random.random_ratio(1, 10);
        let lines = run_and_kill(&path, early, delay);
        while_opening += u64::from(!lines.iter().any(|line| line == "open"));
        for (writer, round) in lines.iter().filter_map(|line| parse(line)) {
            total += 1;
            let last = acknowledged.entry(writer).or_default();
            *last = round.max(*last);
        }
        check(&path, &mut acknowledged, point, seed);
    }
    println!("{total} acknowledged writes, {while_opening} kills while opening");
    assert!(total > 0, "nothing was ever acknowledged");
}

fn run_and_kill(path: &Path, early: bool, delay: Duration) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_victim_writes_until_it_is_killed", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let start = if early { "opening" } else { "open" };
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        let ready = line == start;
        seen.push(line);
        if ready {
            break;
        }
    }
    kill_after(&mut victim, delay);
    seen.extend(lines);
    seen
}

fn kill_after(victim: &mut Child, delay: Duration) {
    std::thread::sleep(delay);
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// What is there is what was acknowledged, or the one round after it that was under way; and all of a round or nothing.
#[track_caller]
fn check(path: &Path, acknowledged: &mut BTreeMap<usize, u64>, point: u64, seed: u64) {
    let store = Store::open_with(path, options())
        .unwrap_or_else(|error| panic!("point {point} of {SEED}={seed}: {error}"));
    for writer in 0..WRITERS {
        let [left, right, guest] = keys(writer).map(|key| store.get(&key).as_ref().map(round_of));
        let last = acknowledged.entry(writer).or_default();
        let found = left.unwrap_or(0);
        let told = format!("writer {writer} at point {point} of {SEED}={seed}: acknowledged {last}");
        assert!(found == *last || found == *last + 1, "{told}, found {found}");
        // What was seen once has to stay, too.
        *last = found;
        assert_eq!(left, right, "{told}, torn");
        assert_eq!(guest, left.filter(|round| round % 3 != 0), "{told}, torn");
    }
    let (floor, revision) = (store.floor(), store.revision());
    for at in [floor, floor.midpoint(revision), revision] {
        let page = store.list(List { at: Some(at), ..List::default() }).unwrap();
        assert!(
            page.items.iter().all(|item| item.entry.revision <= at),
            "a list of the past shows the future"
        );
        page.items.iter().for_each(|item| assert!(round_of(&item.entry) > 0));
    }
}

/// A last line cut short by the kill is no acknowledgement; one that misses only its newline is.
fn parse(line: &str) -> Option<(usize, u64)> {
    let (writer, round) = line.strip_prefix("ack ")?.split_once(' ')?;
    Some((writer.parse().ok()?, round.parse().ok()?))
}
