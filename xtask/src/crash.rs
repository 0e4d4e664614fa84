//! `cargo xtask crash [--points N]`: the store's process is killed at N random points (1,000 unless said otherwise),
//! and nothing acknowledged may be lost or torn.

use std::process::Command;

use anyhow::{Context, bail};

const POINTS: &str = "1000";

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let points = match args {
        [] => POINTS,
        [flag, points] if flag == "--points" => points,
        _ => bail!("usage: cargo xtask crash [--points N]"),
    };
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = "crash::every_acknowledged_write_survives_being_killed";
    let status = Command::new(program)
        .args(["test", "-p", "drydock-store", "--test", "it", "--", "--exact", test, "--nocapture"])
        .env("DRYDOCK_CRASH_POINTS", points)
        .current_dir(crate::root())
        .status()
        .context("cannot run cargo")?;
    match status.success() {
        true => Ok(()),
        false => bail!("a write was lost or torn; the seed above finds it again"),
    }
}
