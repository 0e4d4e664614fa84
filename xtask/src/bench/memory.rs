//! What the engine weighs while the app runs and nobody asks it anything: its own processes, not the app's.
//!
//! PSS, so that pages which the daemon, the node and its shims share are counted once.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;

use super::table::{Aim, Table};
use super::world::World;

const AIM: Aim = Aim::below(60.0, "MB");
const IDLE: Duration = Duration::from_secs(30);

/// One process of the engine, in bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Weight {
    pss: u64,
    anonymous: u64,
}

pub fn measure(world: &World, table: &mut Table) -> anyhow::Result<()> {
    world.run(&["up"])?;
    eprintln!("waiting {} s before weighing", IDLE.as_secs());
    sleep(IDLE);
    let engine = world.engine();
    let daemon = weigh(daemon(&engine)?)?;
    let (node, shims) = node_and_shims(&engine.join("node"))?;
    let weights = |pids: &[u32]| pids.iter().map(|pid| weigh(*pid)).collect::<anyhow::Result<Vec<_>>>();
    let (node, shims) = (weights(&node)?, weights(&shims)?);
    let sum = |weights: &[Weight]| weights.iter().map(|weight| weight.pss).sum::<u64>();
    let all = daemon.pss + sum(&node) + sum(&shims);
    table.add("idle memory of the engine, the app deployed", Some(AIM), &[megabytes(all)]);
    table.add_in("  the daemon", "MB", &[megabytes(daemon.pss)]);
    table.add_in("    of which its own data", "MB", &[megabytes(daemon.anonymous)]);
    table.add_in("  the node", "MB", &[megabytes(sum(&node))]);
    table.add_in(&format!("  {} shims together", shims.len()), "MB", &[megabytes(sum(&shims))]);
    Ok(())
}

fn daemon(engine: &Path) -> anyhow::Result<u32> {
    let text = fs::read(engine.join("daemon.json")).context("the daemon has not announced itself")?;
    let announced: serde_json::Value = serde_json::from_slice(&text)?;
    let pid = announced["pid"].as_u64().context("the daemon announced no process id")?;
    Ok(u32::try_from(pid)?)
}

/// Shims are forked from the node and never executed, so all have one command line; the parent tells them apart.
fn node_and_shims(folder: &Path) -> anyhow::Result<(Vec<u32>, Vec<u32>)> {
    let folder = folder.to_str().context("the state folder's path is no text")?;
    let ours: Vec<u32> = processes()?.into_iter().filter(|pid| is_node(*pid, folder)).collect();
    let (shims, node): (Vec<u32>, Vec<u32>) =
        ours.iter().partition(|pid| parent(**pid).is_some_and(|parent| ours.contains(&parent)));
    if node.is_empty() {
        anyhow::bail!("no node runs in `{folder}`");
    }
    Ok((node, shims))
}

fn processes() -> anyhow::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("cannot list processes")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Processes end while one looks at them: what cannot be read is not ours.
fn is_node(pid: u32, folder: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words.windows(2).any(|pair| pair == [b"drydock-node", folder.as_bytes()])
}

fn parent(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn weigh(pid: u32) -> anyhow::Result<Weight> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    let bytes = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let pss = bytes("Pss:").with_context(|| format!("`{path}` tells no PSS"))?;
    Ok(Weight { pss, anonymous: bytes("Pss_Anon:").unwrap_or_default() })
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
