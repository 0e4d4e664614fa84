//! `seaworthy drydock rotate-key`: another key for what the stopped engine keeps sealed.

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};

pub fn run(cx: &mut Cx) -> Outcome {
    let folder = cx.home.drydock();
    cx.progress.live("sealing Secrets with a new key");
    match drydock::rotate_key(&folder) {
        Ok(resealed) => {
            cx.progress.step("key", format!("{resealed} objects sealed with a new one; the former is gone"));
            let told = "backups of the folder from before open with the key they contain, and with no other";
            cx.progress.step("", told);
            Ok(())
        }
        Err(error) => {
            let hint = match &error {
                drydock::RotateError::Running => "`seaworthy drydock stop` first; it keeps every object",
                drydock::RotateError::NoKey { .. } => "`seaworthy drydock start`",
                _ => "`seaworthy drydock doctor` looks for the cause; then run this again",
            };
            let error = anyhow::Error::new(error).context("cannot change the key of Secrets");
            Err(Failure::new(Kind::Cluster, error).hint(hint))
        }
    }
}
