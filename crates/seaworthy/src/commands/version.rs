//! `seaworthy version`: what this program is, and the Helm whose rules it follows.

use crate::failure::Outcome;

/// The release of Helm that charts and releases are compared with.
const HELM: &str = "v4.3.0";

/// Print the version
#[derive(Debug, clap::Args)]
pub struct Version {
    /// Only the number
    #[arg(long)]
    short: bool,
}

impl Version {
    pub fn run(self) -> Outcome {
        let version = concat!("v", env!("CARGO_PKG_VERSION"));
        match self.short {
            true => println!("{version}"),
            false => println!("seaworthy {version} (charts and releases as Helm {HELM})"),
        }
        Ok(())
    }
}
