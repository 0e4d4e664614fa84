//! Gives a stopped engine another key for its sealed Secrets, and rids its files of the former one.
//!
//! Killed at any moment, the engine starts as if nothing had happened: every step leaves a store and keys that belong
//! together. What a kill leaves behind is two keys, which `doctor` tells and the next run of this clears away.
//!
//! Start at [`rotate_key`].

use std::io;
use std::path::{Path, PathBuf};

use drydock_api::{Keyring, PkiError, Rotation};
use drydock_store::OpenError;

use crate::folder::Folder;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("drydock is running, and seals with the present key")]
    Running,
    #[error("`{}` holds no key yet; the first start makes one", folder.display())]
    NoKey { folder: PathBuf },
    #[error("cannot use `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write the store under another key; it is as it was, and so is the key")]
    Store(#[from] OpenError),
    #[error("cannot put the resealed store into its place; both keys are kept, and nothing is lost")]
    Place(#[source] io::Error),
    #[error("cannot read or write the keys")]
    Keys(#[from] PkiError),
}

/// Seals every Secret of the engine in `folder` with a new key, and forgets the former ones. Returns how many values
/// were sealed anew. The folder is held meanwhile, so no engine starts in it.
pub fn rotate_key(folder: &Path) -> Result<usize, Error> {
    let paths = Folder::new(folder);
    if !paths.pki().join(Keyring::FILE).exists() {
        return Err(Error::NoKey { folder: folder.to_owned() });
    }
    let held = paths.take().map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    let _held = held.ok_or(Error::Running)?;
    let rotation = Rotation::begin(&paths.pki())?;
    let staged = drydock_store::stage(&paths.store(), rotation.keyring())?;
    let resealed = staged.resealed();
    rotation.keep_both()?;
    staged.commit().map_err(Error::Place)?;
    rotation.forget_former()?;
    Ok(resealed)
}
