//! What the store costs here: durable writes alone and together, and opening a large one.
//!
//! `cargo run --release -p drydock-store --example measure -- FOLDER [OBJECTS]`; with 0 objects it only opens what is there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drydock_store::{Expect, List, Store, Txn};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: measure FOLDER [OBJECTS]")?);
    let objects: usize = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    let path = folder.join("measure.redb");
    if objects == 0 {
        return opened(&path);
    }
    let store = Store::open(&path)?;
    write_alone(&store, 200).await?;
    for writers in [8, 32, 128] {
        write_together(&store, writers, Duration::from_secs(2)).await?;
    }
    fill(&store, objects).await?;
    write_alone(&store, 200).await?;
    store.close();
    drop(store);
    opened(&path)
}

fn opened(path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (before, start) = (resident_kib(), Instant::now());
    let store = Store::open(path)?;
    println!("opened in {:.0} ms", millis(start));
    let start = Instant::now();
    let page = store.list(List { prefix: "core/configmaps/", ..List::default() })?;
    println!("list of {}: {:.2} ms", page.items.len(), millis(start));
    println!("resident: {} KiB before opening, {} KiB now", before, resident_kib());
    println!("file: {} KiB", std::fs::metadata(path)?.len() >> 10);
    Ok(())
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn value(n: usize) -> String {
    format!("{{\"n\":{n},\"text\":\"{}\"}}", "lorem ipsum dolor sit amet ".repeat(50))
}

async fn write_alone(store: &Store, count: usize) -> Result<(), drydock_store::WriteError> {
    let mut times = Vec::new();
    for n in 0..count {
        let start = Instant::now();
        store.write(Txn::new().put(format!("alone/{n}"), value(n), Expect::Anything)).await?;
        times.push(millis(start));
    }
    times.sort_by(f64::total_cmp);
    println!("alone: p50 {:.2} ms, p99 {:.2} ms", times[count / 2], times[count * 99 / 100]);
    Ok(())
}

async fn write_together(
    store: &Store,
    writers: usize,
    time: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut count = 0;
                while Instant::now() < end {
                    let txn = Txn::new().put(format!("w{writer}/{count}"), value(count), Expect::Anything);
                    store.write(txn).await?;
                    count += 1;
                }
                Ok::<_, drydock_store::WriteError>(count)
            })
        })
        .collect();
    let mut total = 0;
    for task in tasks {
        total += task.await??;
    }
    println!("{writers} writers: {:.0} writes/s", total as f64 / time.as_secs_f64());
    Ok(())
}

async fn fill(store: &Store, objects: usize) -> Result<(), drydock_store::WriteError> {
    let start = Instant::now();
    for first in (0..objects).step_by(500) {
        let writes = (first..objects.min(first + 500)).map(|n| {
            let key = format!("core/configmaps/default/object-{n}");
            store.write(Txn::new().put(key, value(n), Expect::Anything))
        });
        for written in futures::future::join_all(writes).await {
            written?;
        }
    }
    println!("{objects} objects written in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
