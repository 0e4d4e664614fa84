//! Automation for people who work on Seaworthy. One subcommand, one file.

use anyhow::bail;

mod bench;
mod codegen;
mod crash;
mod goldens;
mod standin;
mod test;
mod tidy;
mod todo;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  todo      build Seaworthy, see to the images, and run examples/todo
  standins  make redis:7-alpine and postgres:16-alpine from Debian's packages
  test      run every test
  bench     measure the figures we promise and print them beside their aims
  helm-goldens DIR  replay the golden renders of a checkout of charts, with helm beside where it is
  crash     kill the store's process at 1,000 random points; nothing acknowledged may be lost
  tidy      check crate arrows, file headers, and what ARCHITECTURE.md names
  codegen   make the schemas of crates/drydock-kinds anew from Kubernetes' own";

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    match command.as_deref() {
        Some("bench") => bench::run(&args.collect::<Vec<_>>()),
        Some("codegen") => codegen::run(),
        Some("crash") => crash::run(&args.collect::<Vec<_>>()),
        Some("helm-goldens") => goldens::run(&args.collect::<Vec<_>>()),
        Some("standins") => standin::run(&args.collect::<Vec<_>>()),
        Some("test") => test::run(),
        Some("tidy") => tidy::run(),
        Some("todo") => todo::run(&args.collect::<Vec<_>>()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => bail!("there is no command `{other}`\n\n{USAGE}"),
        None => bail!("{USAGE}"),
    }
}

/// The root of the repository.
fn root() -> std::path::PathBuf {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
