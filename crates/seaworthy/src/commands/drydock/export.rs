//! `seaworthy drydock export`: the objects of a stopped engine as a file that `kubectl apply -f` reads.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::cx::Cx;
use crate::failure::{Kind, Or, Outcome};

/// Write all objects of the stopped engine to a file for `kubectl apply -f`, damaged or not
///
/// Secrets are written readable: the file is yours alone (mode 0600), keep it so.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Where to; standard output without it
    file: Option<PathBuf>,

    /// Everything as it is stored, with identities, status and what controllers made
    #[arg(long)]
    raw: bool,
}

impl Export {
    pub fn run(self, cx: &mut Cx) -> Outcome {
        let folder = cx.home.drydock();
        if drydock::is_running(&folder).or_fail(Kind::Cluster, "cannot tell whether drydock runs")? {
            let error = anyhow::anyhow!("drydock is running, and its files are in motion");
            return Err(crate::failure::Failure::new(Kind::Cluster, error)
                .hint("`seaworthy drydock stop` first; it keeps every object"));
        }
        let mut out = self.open().or_fail(Kind::Input, "cannot write the export")?;
        let exported = drydock::export(&folder, self.raw, &mut out)
            .or_fail(Kind::Cluster, "cannot export drydock's objects")?;
        cx.progress.step("export", format!("{} objects", exported.objects));
        if exported.derived > 0 {
            let told =
                format!("{} more that controllers make again; `--raw` writes them too", exported.derived);
            cx.progress.step("", told);
        }
        for problem in &exported.problems {
            cx.progress.step("lost", problem);
        }
        Ok(())
    }

    fn open(&self) -> std::io::Result<Box<dyn Write>> {
        Ok(match &self.file {
            None => Box::new(std::io::stdout().lock()),
            Some(path) => {
                let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
                Box::new(BufWriter::new(file))
            }
        })
    }
}
