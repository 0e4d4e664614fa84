//! From a fresh clone to the running app: everything is compiled, every image made, nothing is reused.
//!
//! What cargo has downloaded is used, though: the speed of a network is not ours.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use super::table::{Aim, Table};

const AIM: Aim = Aim::below(10.0, "min");

pub fn measure(root: &Path, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("seaworthy-cold-").tempdir()?;
    let (clone, home) = (folder.path().join("seaworthy"), folder.path().join("home"));
    succeed(Command::new("git").args(["clone", "--quiet"]).arg(root).arg(&clone))?;
    eprintln!("building a fresh clone; this takes minutes");
    let begun = Instant::now();
    let up = succeed(in_clone(Command::new("cargo").args(["xtask", "todo"]), &clone, &home));
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let mut reset = Command::new(clone.join("target/release/seaworthy"));
    let ended = succeed(in_clone(reset.args(["drydock", "reset", "--yes"]), &clone, &home));
    // Why it did not come up tells more than that there was nothing to end.
    up?;
    ended.context("the engine of the clone did not end")?;
    table.add("cold build and main job from a fresh clone", Some(AIM), &[minutes]);
    Ok(())
}

fn in_clone<'a>(command: &'a mut Command, clone: &Path, home: &Path) -> &'a mut Command {
    command.current_dir(clone).env_remove("CARGO_TARGET_DIR").env("SEAWORTHY_HOME", home)
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    match command.status().with_context(|| format!("cannot run {command:?}"))?.success() {
        true => Ok(()),
        false => bail!("{command:?} failed"),
    }
}
