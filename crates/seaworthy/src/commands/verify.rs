//! `seaworthy verify`: whether a packed chart is what its author signed.

use std::path::PathBuf;

use crate::chart_args::SourceArgs;
use crate::failure::{Kind, Or, Outcome};

/// Check the signature beside a packed chart; needs `gpg`
///
///   seaworthy verify web-1.2.3.tgz --keyring keys.gpg
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Verify {
    /// Archive of a chart, with its .prov beside it
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Public keys [default: ~/.gnupg/pubring.gpg]
    #[arg(long, value_name = "FILE")]
    keyring: Option<PathBuf>,
}

impl Verify {
    pub async fn run(self) -> Outcome {
        let source = SourceArgs { verify: true, keyring: self.keyring, ..SourceArgs::default() };
        let limits = source.limits.limits()?;
        let archive = seaworthy_repo::Archive::read(&self.path, &limits)
            .or_fail(Kind::Input, format!("cannot verify `{}`", self.path.display()))?;
        if let Some(verified) = source.verify(&archive).await? {
            print!("{verified}");
        }
        Ok(())
    }
}
