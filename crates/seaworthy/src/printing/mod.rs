//! Releases as text: for people, and as Helm prints them for scripts.
//!
//! `record` has what a revision is, `plan` what would change, `progress` what happens right now, `go` the notations
//! of Go that Helm's output has.

pub mod go;
pub mod plan;
pub mod progress;
pub mod record;

use serde::Serialize;
use serde_json::Value;

use crate::failure::{Failure, Kind};

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Table,
    Json,
    Yaml,
}

/// `-o`, the same for every command that prints data.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArgs {
    /// Print as a table, JSON or YAML, as Helm does
    #[arg(short, long, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub output: Output,
}

/// A value as JSON on one line, or as YAML; `table` makes the text for people.
pub fn print<T: Serialize>(output: Output, value: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
    let unprintable =
        |error: String| Failure::new(Kind::Unexpected, anyhow::anyhow!("cannot print: {error}"));
    match output {
        Output::Table => print!("{}", table()),
        Output::Json => println!("{}", go::json(value).map_err(unprintable)?),
        Output::Yaml => {
            let value: Value = serde_json::to_value(value).map_err(|error| unprintable(error.to_string()))?;
            print!("{}", seaworthy_helm::yaml::write_json(&value).map_err(unprintable)?);
        }
    }
    Ok(())
}
