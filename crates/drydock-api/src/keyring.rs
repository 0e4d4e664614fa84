//! Seals Secrets before they reach the store's file.
//!
//! AES-256-GCM with a key that lies outside the store, in `secrets.key` of the certificates' folder (mode 0600, one
//! key per line in base64). The first line seals; every line opens: there are several only while the key is being
//! changed, see [`Rotation`]. A value is bound to its place: moved under another name it does not open. Losing the file
//! loses the Secrets, and nothing but them.
//!
//! Start at [`Keyring::open`]; [`SEALED`] is the list of kinds.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_store::{Options, Seal, SealError};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::pki::{PkiError, write_private};
use crate::stored;

/// The kinds that are sealed unless the engine is told more: `PLURAL` or `PLURAL.GROUP`.
pub const SEALED: &[&str] = &["secrets"];

/// Begins every sealed value. JSON never starts like this, so plain values are told apart.
const MARK: &[u8] = b"\0sealed\x01";
const ID_LEN: usize = 8;
const KEY_LEN: usize = 32;
const FILE: &str = "secrets.key";

type Id = [u8; ID_LEN];

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(
        "it was sealed with key `{id}`, which `{}` does not hold; put the file that holds it back", file.display()
    )]
    UnknownKey { id: String, file: PathBuf },
    #[error("the sealed value does not belong to this name, or was changed")]
    Forged,
    #[error("no random numbers are to be had")]
    Random,
}

struct Key {
    id: Id,
    cipher: LessSafeKey,
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?);
        let mut id = Id::default();
        id.copy_from_slice(&digest(&SHA256, bytes).as_ref()[..ID_LEN]);
        Some(Self { id, cipher })
    }
}

/// The keys of a cluster, the one that seals first.
pub struct Keyring {
    file: PathBuf,
    keys: Vec<Key>,
    prefixes: Vec<String>,
    random: SystemRandom,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Where the keys lie in the certificates' folder.
    pub const FILE: &str = FILE;

    /// Reads the keys from `folder`, making the first one when there is none, and seals `kinds` with them.
    pub fn open(folder: &Path, kinds: &[impl AsRef<str>]) -> Result<Self, PkiError> {
        let file = folder.join(FILE);
        let at = |source| PkiError::File { path: file.clone(), source };
        fs::create_dir_all(folder).map_err(at)?;
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let line = new_line()?;
                write_private(&file, &line)?;
                line
            }
            Err(error) => return Err(at(error)),
        };
        let keys = keys_in(&file, &text)?;
        Ok(Self::of(file, keys, kinds))
    }

    fn of(file: PathBuf, keys: Vec<Key>, kinds: &[impl AsRef<str>]) -> Self {
        let prefixes = kinds.iter().map(|kind| prefix(kind.as_ref())).collect();
        Self { file, keys, prefixes, random: SystemRandom::new() }
    }

    /// How to open a store of objects whose Secrets are sealed by these keys.
    pub fn store_options(self) -> Options {
        Options { seal: Some(Arc::new(self)), words: stored::WORDS, ..Options::default() }
    }

    /// How many keys `folder` holds; more than one while a change of the key has not come to its end.
    pub fn count(folder: &Path) -> Result<usize, PkiError> {
        Ok(read_keys(&folder.join(FILE))?.1.len())
    }

    fn seal_now(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let Some(current) = self.keys.first() else { return Ok(None) };
        let nonce = self.nonce()?;
        let mut text = value.to_vec();
        let sealed = current.cipher.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(key.as_bytes()),
            &mut text,
        );
        sealed.map_err(|_| Error::Forged)?;
        Ok(Some([MARK, &current.id, &nonce, &text].concat()))
    }

    fn nonce(&self) -> Result<[u8; NONCE_LEN], Error> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Random)?;
        Ok(nonce)
    }
}

/// The change of the key in three steps, each of which a kill may follow: draw a new key, which is nowhere yet; put it
/// beside the former ones; forget those.
pub struct Rotation {
    keyring: Keyring,
    new: String,
    former: String,
}

impl Rotation {
    /// Draws a new key for the cluster whose keys lie in `folder`. Changes nothing there.
    pub fn begin(folder: &Path) -> Result<Self, PkiError> {
        let file = folder.join(FILE);
        let (former, mut keys) = read_keys(&file)?;
        let new = new_line()?;
        keys.splice(0..0, keys_in(&file, &new)?);
        Ok(Self { keyring: Keyring::of(file, keys, SEALED), new, former })
    }

    /// Seals with the new key and opens with all of them.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Makes the new key durable beside the former ones. To be done before anything is kept that it sealed.
    pub fn keep_both(&self) -> Result<(), PkiError> {
        write_private(&self.keyring.file, &(self.new.clone() + &self.former))
    }

    /// Forgets the former keys. To be done when nothing needs them any more.
    pub fn forget_former(self) -> Result<(), PkiError> {
        let file = &self.keyring.file;
        write_private(file, &self.new)?;
        remove_drafts(file).map_err(|source| PkiError::File { path: file.clone(), source })
    }
}

/// A process that was killed while it wrote `file` left the former keys in a file beside it.
fn remove_drafts(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(FILE) && name.ends_with(".new") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn read_keys(file: &Path) -> Result<(String, Vec<Key>), PkiError> {
    let text = fs::read_to_string(file);
    let text = text.map_err(|source| PkiError::File { path: file.to_owned(), source })?;
    let keys = keys_in(file, &text)?;
    Ok((text, keys))
}

/// One key per line of `text`, which is what `file` holds.
fn keys_in(file: &Path, text: &str) -> Result<Vec<Key>, PkiError> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Vec<Key>> = lines.map(|line| Key::new(&STANDARD.decode(line).ok()?)).collect();
    let unusable = || PkiError::SealingKey { path: file.to_owned() };
    keys.filter(|keys| !keys.is_empty()).ok_or_else(unusable)
}

fn new_line() -> Result<String, PkiError> {
    let mut key = [0; KEY_LEN];
    SystemRandom::new().fill(&mut key).map_err(|_| PkiError::Random)?;
    Ok(STANDARD.encode(key) + "\n")
}

fn prefix(kind: &str) -> String {
    match kind.split_once('.') {
        Some((plural, group)) => format!("{group}/{plural}/"),
        None => format!("core/{kind}/"),
    }
}

impl Seal for Keyring {
    fn seal(&self, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        match self.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
            true => self.seal_now(key, value),
            false => Ok(None),
        }
    }

    /// Whatever is sealed stays sealed, also of kinds that this keyring was not told to seal.
    fn reseal(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        match self.open(key, stored)? {
            Some(_) if self.keys.first().is_some_and(|key| stored[MARK.len()..].starts_with(&key.id)) => {
                Ok(None)
            }
            Some(value) => self.seal_now(key, &value),
            None => self.seal(key, stored),
        }
    }

    fn open(&self, key: &str, stored: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let Some(rest) = stored.strip_prefix(MARK) else { return Ok(None) };
        let (id, rest) = rest.split_first_chunk::<ID_LEN>().ok_or(Error::Forged)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::Forged)?;
        let unknown = || Error::UnknownKey { id: hex(id), file: self.file.clone() };
        let used = self.keys.iter().find(|key| key.id == *id).ok_or_else(unknown)?;
        let mut text = text.to_vec();
        let (nonce, place) = (Nonce::assume_unique_for_key(*nonce), Aad::from(key.as_bytes()));
        let opened = used.cipher.open_in_place(nonce, place, &mut text).map_err(|_| Error::Forged)?.len();
        text.truncate(opened);
        Ok(Some(text))
    }
}

fn hex(id: &Id) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "core/secrets/default/a";

    fn keyring(folder: &tempfile::TempDir) -> Keyring {
        Keyring::open(folder.path(), SEALED).unwrap()
    }

    fn sealed(keyring: &Keyring) -> Vec<u8> {
        keyring.seal(PLACE, b"{\"a\":1}").unwrap().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_its_name_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring(&folder);
        let stored = sealed(&keyring);
        assert_eq!(keyring.open(PLACE, &stored).unwrap().unwrap(), b"{\"a\":1}");
        let moved = keyring.open("core/secrets/default/b", &stored).unwrap_err().to_string();
        assert!(moved.contains("does not belong to this name"), "{moved}");
    }

    #[test]
    fn no_flipped_or_missing_byte_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = keyring(&folder);
        let stored = sealed(&keyring);
        for at in MARK.len()..stored.len() {
            let mut flipped = stored.clone();
            flipped[at] ^= 1;
            assert!(keyring.open(PLACE, &flipped).is_err(), "byte {at}");
            assert!(keyring.open(PLACE, &stored[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn only_the_listed_kinds_are_sealed_and_plain_values_pass() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::open(folder.path(), &["secrets", "vaults.example.com"]).unwrap();
        assert!(keyring.seal("core/configmaps/default/a", b"{}").unwrap().is_none());
        assert!(keyring.seal("example.com/vaults/default/a", b"{}").unwrap().is_some());
        assert!(keyring.open(PLACE, b"{}").unwrap().is_none());
    }

    #[test]
    fn a_former_key_opens_what_it_sealed_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let old = sealed(&keyring(&folder));
        let rotation = Rotation::begin(folder.path()).unwrap();
        assert_eq!(Keyring::count(folder.path()).unwrap(), 1, "a new key is nowhere at first");
        rotation.keep_both().unwrap();
        let both = keyring(&folder);
        assert!(both.open(PLACE, &old).unwrap().is_some());
        let new = sealed(&both);
        assert_ne!(new[..MARK.len() + ID_LEN], old[..MARK.len() + ID_LEN]);
        rotation.forget_former().unwrap();
        let after = keyring(&folder);
        assert!(after.open(PLACE, &new).unwrap().is_some() && after.open(PLACE, &old).is_err());
    }

    #[test]
    fn resealing_leaves_nothing_to_the_former_key_and_nothing_readable() {
        const VAULT: &str = "example.com/vaults/default/a";
        let folder = tempfile::tempdir().unwrap();
        let vaults = Keyring::open(folder.path(), &["vaults.example.com"]).unwrap();
        let vault = vaults.seal(VAULT, b"{}").unwrap().unwrap();
        let rotation = Rotation::begin(folder.path()).unwrap();
        let new = rotation.keyring();
        let moved = new.reseal(VAULT, &vault).unwrap().expect("a kind that this keyring does not seal");
        assert!(moved[MARK.len()..].starts_with(&new.keys[0].id));
        assert_eq!(new.open(VAULT, &moved).unwrap().unwrap(), b"{}");
        assert!(new.reseal(VAULT, &moved).unwrap().is_none(), "sealed with the new key already");
        assert!(new.reseal(PLACE, b"{}").unwrap().is_some(), "a Secret from before sealing");
        assert!(new.reseal("core/configmaps/default/a", b"{}").unwrap().is_none());
        assert!(new.reseal("example.com/vaults/default/b", &vault).is_err(), "moved under another name");
    }

    #[test]
    fn a_lost_key_is_named_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let old = sealed(&keyring(&folder));
        fs::remove_file(folder.path().join(FILE)).unwrap();
        let error = keyring(&folder).open(PLACE, &old).unwrap_err().to_string();
        assert!(error.contains("secrets.key") && error.contains("put the file"), "{error}");
    }

    #[test]
    fn a_file_that_holds_no_keys_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "not a key\n").unwrap();
        assert!(matches!(Keyring::open(folder.path(), SEALED), Err(PkiError::SealingKey { .. })));
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), "not a key\n");
    }
}
