//! `seaworthy completions`: a completion script for a shell.

use crate::failure::Outcome;

/// Print a completion script
///
///   seaworthy completions bash > /etc/bash_completion.d/seaworthy
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, visible_alias = "completion")]
pub struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(self, command: &mut clap::Command) -> Outcome {
        clap_complete::generate(self.shell, command, "seaworthy", &mut std::io::stdout());
        Ok(())
    }
}
