//! Seals Secrets before they reach the store's file.
//!
//! AES-256-GCM with a key that lies outside the store, in `secrets.key` of the certificates' folder (mode 0600, one
//! key per line in base64). The first line seals; every line opens, so a rotated key still reads what it sealed, and
//! what is written again is sealed with the new one. A value is bound to its place: moved under another name it does
//! not open. Losing the file loses the Secrets, and nothing but them.
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
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<Key>> = lines.map(|line| Key::new(&STANDARD.decode(line).ok()?)).collect();
        let unusable = || PkiError::SealingKey { path: file.clone() };
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(unusable)?;
        let prefixes = kinds.iter().map(|kind| prefix(kind.as_ref())).collect();
        Ok(Self { file, keys, prefixes, random: SystemRandom::new() })
    }

    /// How to open a store of objects whose Secrets are sealed by these keys.
    pub fn store_options(self) -> Options {
        Options { seal: Some(Arc::new(self)), words: stored::WORDS, ..Options::default() }
    }

    /// Puts a new key in front of those in `folder`; the next opening seals with it and opens with all.
    pub fn rotate(folder: &Path) -> Result<(), PkiError> {
        let file = folder.join(FILE);
        let old =
            fs::read_to_string(&file).map_err(|source| PkiError::File { path: file.clone(), source })?;
        write_private(&file, &(new_line()? + &old))
    }

    fn nonce(&self) -> Result<[u8; NONCE_LEN], Error> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Random)?;
        Ok(nonce)
    }
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
        if !self.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
            return Ok(None);
        }
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
    fn a_rotated_key_still_opens_what_it_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let old = sealed(&keyring(&folder));
        Keyring::rotate(folder.path()).unwrap();
        let rotated = keyring(&folder);
        assert!(rotated.open(PLACE, &old).unwrap().is_some());
        assert_ne!(sealed(&rotated)[..MARK.len() + ID_LEN], old[..MARK.len() + ID_LEN]);
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
