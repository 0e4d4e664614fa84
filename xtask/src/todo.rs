//! `cargo xtask todo`: the whole chain on a machine with nothing but a Rust toolchain.
//!
//! Builds Seaworthy, sees to the images of redis and postgres (from their registry, or as stand-ins where none can
//! be reached), then runs `seaworthy up` in `examples/todo`. Further arguments go to `up`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};
use seaworthy_image::{Image, ImageStore, STAND_IN_LABEL};

use crate::standin;

/// What `examples/todo/compose.yaml` names and does not build.
const IMAGES: &[&str] = &["redis:7-alpine", "postgres:16-alpine"];

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let root = crate::root();
    let seaworthy = build(&root)?;
    see_to_images(&seaworthy)?;
    let status =
        Command::new(&seaworthy).arg("up").args(args).current_dir(root.join("examples/todo")).status();
    match status.context("cannot run seaworthy")?.code() {
        Some(0) => Ok(()),
        code => bail!(
            "`seaworthy up` ended with {}",
            code.map_or("a signal".into(), |code| format!("code {code}"))
        ),
    }
}

/// Builds the release binary and returns its path.
pub fn build(root: &std::path::Path) -> anyhow::Result<PathBuf> {
    eprintln!("building seaworthy (release)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status =
        Command::new(cargo).args(["build", "--release", "--package", "seaworthy"]).current_dir(root).status();
    if !status.context("cannot run cargo")?.success() {
        bail!("seaworthy does not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/seaworthy"))
}

/// Pulls what the app names and does not build, or prepares stand-ins.
pub fn see_to_images(seaworthy: &std::path::Path) -> anyhow::Result<()> {
    let store = ImageStore::open(standin::images_folder()?)?;
    for name in IMAGES {
        match store.resolve(name)? {
            // Made anew when its recipe has changed since.
            Some(image) if is_stand_in(&image) => return standin::run(&[]),
            Some(_) => continue,
            None => {}
        }
        let pulled =
            Command::new(seaworthy).args(["image", "pull", name]).output().context("cannot run seaworthy")?;
        if pulled.status.success() {
            eprintln!("pulled {name}");
            continue;
        }
        eprintln!("{name} cannot be pulled here:\n{}", String::from_utf8_lossy(&pulled.stderr).trim_end());
        eprintln!(
            "preparing stand-ins from Debian's packages instead; they hold Debian's versions of Redis and PostgreSQL"
        );
        return standin::run(&[]);
    }
    Ok(())
}

fn is_stand_in(image: &Image) -> bool {
    image.config.labels().as_ref().is_some_and(|labels| labels.contains_key(STAND_IN_LABEL))
}
