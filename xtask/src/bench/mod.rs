//! `cargo xtask bench`: the figures we promise, measured with the release binary and printed beside their aims.
//!
//! Never a test: it succeeds whatever it measured, and fails only where it could not measure. It works in a state
//! folder and on ports of its own, with the images of the real one, and leaves nothing behind.
//!
//! Start at [`run`]. `up` takes times, `api` compares with a real API
//! server, `todo` compares the example with a twin, `template` our rendering with Helm's, `memory` and `sizes` weigh,
//! `cold` begins from a clone, `table` prints.

mod api;
mod cold;
mod memory;
mod sizes;
mod table;
mod template;
mod todo;
mod up;
mod world;

use std::path::PathBuf;

use anyhow::{Context, bail};

use self::table::Table;
use self::world::World;
use crate::todo as example;

const USAGE: &str = "\
usage: cargo xtask bench [--rounds N] [--binary FILE] [--cold]
       cargo xtask bench api [--alone | --reference BINARY]
       cargo xtask bench todo [--binaries FOLDER]
       cargo xtask bench template [--binary FILE]

  --rounds N     how often each time is taken; the median counts (5)
  --binary FILE  measure this program instead of building one
  --cold         also time a fresh clone: build, images, `seaworthy up`";

struct Options {
    rounds: usize,
    binary: Option<PathBuf>,
    cold: bool,
}

pub fn run(args: &[String]) -> anyhow::Result<()> {
    if let Some(("api", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return api::run(rest);
    }
    if let Some(("todo", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return todo::run(rest);
    }
    if let Some(("template", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return template::run(rest);
    }
    let options = parse(args)?;
    let root = crate::root();
    let seaworthy = match &options.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => example::build(&root)?,
    };
    example::see_to_images(&seaworthy)?;
    let world = World::new(seaworthy, root.join("examples/todo"))?;
    let mut table = Table::new();
    table.note(format!("before: {}", machine()?));
    world.warm_up().context("the app does not come up even once")?;
    up::measure(&world, options.rounds, &mut table)?;
    table.note(format!("between: {}", machine()?));
    memory::measure(&world, &mut table)?;
    sizes::measure(&world, &mut table)?;
    drop(world);
    if options.cold {
        cold::measure(&root, &mut table)?;
    }
    table.note(format!("after: {}", machine()?));
    print!("{table}");
    Ok(())
}

fn parse(args: &[String]) -> anyhow::Result<Options> {
    let mut options = Options { rounds: 5, binary: None, cold: false };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => options.rounds = args.next().context(USAGE)?.parse().context(USAGE)?,
            "--binary" => options.binary = Some(PathBuf::from(args.next().context(USAGE)?)),
            "--cold" => options.cold = true,
            other => bail!("unknown argument `{other}`\n{USAGE}"),
        }
    }
    if options.rounds == 0 {
        bail!("no median without a round\n{USAGE}");
    }
    Ok(options)
}

/// What else the machine was doing: a time without it says little.
fn machine() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg").context("cannot read the load")?;
    let load: Vec<&str> = load.split(' ').take(3).collect();
    Ok(format!("{cores} cores, load {}", load.join(" ")))
}
