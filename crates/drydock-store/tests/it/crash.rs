//! A process that is killed in the middle of writing loses nothing it acknowledged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use drydock_store::{Expect, Options, Store, Txn};

use crate::{folder, open};

const STORE: &str = "DRYDOCK_STORE_CRASH_TEST";

/// Not a test of its own: the process that [`every_acknowledged_write_survives_being_killed`] kills.
#[tokio::test(flavor = "multi_thread")]
async fn the_victim_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(STORE) else { return };
    let store = Store::open_with(path, Options { keep_events: 50, ..Options::default() }).unwrap();
    let start = store.revision();
    let writers = (0..8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in start.. {
                let (key, value) = (format!("{writer}/{n}"), format!("{n}-").repeat(200));
                let revision = store.write(Txn::new().put(&*key, value, Expect::Anything)).await.unwrap();
                let line = format!("\nack {key} {revision}\n");
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(writers.collect::<Vec<_>>()).await;
}

#[test]
fn every_acknowledged_write_survives_being_killed() {
    let folder = folder();
    let path = folder.path().join("store.redb");
    let mut acknowledged: Vec<(String, u64)> = Vec::new();
    for round in 0..6 {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::the_victim_writes_until_it_is_killed", "--nocapture"])
            .env(STORE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
        let enough = 40 + round * 37;
        acknowledged.extend(lines.by_ref().filter_map(|line| parse(&line)).take(enough));
        victim.kill().unwrap();
        acknowledged.extend(lines.filter_map(|line| parse(&line)));
        victim.wait().unwrap();
    }
    assert!(acknowledged.len() > 6 * 40);
    let store = open(&folder, Options::default());
    for (key, revision) in &acknowledged {
        let entry =
            store.get(key).unwrap_or_else(|| panic!("`{key}` was acknowledged at {revision} and is gone"));
        let n = key.split('/').nth(1).unwrap();
        assert_eq!(entry.value, format!("{n}-").repeat(200));
        assert!(store.revision() >= *revision);
    }
}

/// A last line cut short by the kill is no acknowledgement.
fn parse(line: &str) -> Option<(String, u64)> {
    let mut words = line.strip_prefix("ack ")?.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}
