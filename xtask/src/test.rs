//! `cargo xtask test`: every test there is, in the order in which a failure tells most.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

pub fn run() -> anyhow::Result<()> {
    let root = crate::root();
    cargo(&root, &["fmt", "--all", "--check"])?;
    cargo(&root, &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    cargo(&root, &["test", "--workspace", "--no-fail-fast"])?;
    cargo(&root.join("examples/todo"), &["test", "--workspace"])
}

fn cargo(folder: &Path, args: &[&str]) -> anyhow::Result<()> {
    eprintln!("\n$ cargo {}", args.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program).args(args).current_dir(folder).status().context("cannot run cargo")?;
    match status.success() {
        true => Ok(()),
        false => bail!("`cargo {}` failed in `{}`", args.join(" "), folder.display()),
    }
}
