//! Signatures of charts (`.prov`): clear-signed texts that hold the chart's digest.
//!
//! OpenPGP itself is left to `gpg`, which must be installed: it runs in a folder of its own, with the keys of one
//! keyring and no others, and only what it says was signed is believed. Start at [`verify`] and [`sign`].

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use seaworthy_helm::{Metadata, save, yaml};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::cache;

const TIMEOUT: Duration = Duration::from_secs(120);
/// Where a provenance file's metadata ends and its digests begin.
const BORDER: &str = "\n...\n";

/// Who signed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Names and addresses of the key's owner.
    pub signed_by: Vec<String>,
    /// Of the primary key, in capital hexadecimal.
    pub fingerprint: String,
    /// `sha256:...` of the chart.
    pub hash: String,
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.signed_by.iter().try_for_each(|name| writeln!(f, "Signed by: {name}"))?;
        writeln!(f, "Using Key With Fingerprint: {}", self.fingerprint)?;
        writeln!(f, "Chart Hash Verified: {}", self.hash)
    }
}

/// Why a chart cannot be trusted, or not be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not load provenance file {0}")]
    Missing(String),
    #[error("`gpg` is needed for signatures and cannot be run; install GnuPG")]
    NoGpg { source: std::io::Error },
    #[error("`gpg` did not end in time")]
    Slow,
    #[error("cannot read `{path}`")]
    Read { path: String, source: std::io::Error },
    #[error("cannot prepare a folder for `gpg`")]
    Folder { source: std::io::Error },
    #[error("no keys in the keyring `{keyring}`: {said}")]
    Keyring { keyring: String, said: String },
    #[error("the signature is not good: {0}")]
    Signature(String),
    #[error("message block must have at least two parts")]
    Parts,
    #[error("the provenance's digests are not YAML")]
    Yaml(#[from] yaml::Error),
    #[error("provenance does not contain a SHA for a file named {0:?}")]
    NoDigest(String),
    #[error("sha256 sum does not match for {file}: {wanted:?} != {found:?}")]
    Digest { file: String, wanted: String, found: String },
    #[error("cannot sign with key `{key}`: {said}")]
    Sign { key: String, said: String },
}

/// Whether `archive`, under its file's name, is what the owner of a key in `keyring` signed.
pub async fn verify(
    archive: &[u8],
    file_name: &str,
    provenance: &[u8],
    keyring: &Path,
) -> Result<Verification, Error> {
    let gpg = Gpg::with_keys(keyring).await?;
    let signed = gpg.file("signed.prov", provenance)?;
    let text = gpg.folder.path().join("signed.txt");
    let arguments = ["--status-fd", "1", "--trust-model", "always", "--yes", "--output"];
    let ran =
        gpg.run(&arguments, &[text.as_os_str(), "--decrypt".as_ref(), signed.as_os_str()], None).await?;
    let fingerprint = signer(&ran.out).ok_or_else(|| Error::Signature(ran.last_words()))?;
    let read = |source| Error::Read { path: text.display().to_string(), source };
    let text = std::fs::read_to_string(&text).map_err(read)?;
    let wanted = signed_digest(&text, file_name)?;
    let found = format!("sha256:{}", cache::digest(archive));
    if wanted != found {
        return Err(Error::Digest { file: file_name.to_owned(), wanted, found });
    }
    let listed = gpg.run(&["--with-colons", "--list-keys"], &[fingerprint.as_ref()], None).await?;
    Ok(Verification { signed_by: owners(&listed.out), fingerprint, hash: found })
}

/// The provenance file of a chart, signed by `key`, a name or address in `keyring` or else in the person's own.
pub async fn sign(
    archive: &[u8],
    metadata: &Metadata,
    key: &str,
    keyring: Option<&Path>,
    passphrase: Option<&str>,
) -> Result<String, Error> {
    let gpg = match keyring {
        Some(keyring) => Gpg::with_keys(keyring).await?,
        None => Gpg::own()?,
    };
    let document = serde_json::to_value(metadata).unwrap_or_default();
    let sums = serde_json::json!({"files": {save::file_name(metadata): format!("sha256:{}", cache::digest(archive))}});
    let write = |value| yaml::write_json(value).unwrap_or_default();
    let message = gpg.file("message", format!("{}{BORDER}{}", write(&document), write(&sums)).as_bytes())?;
    let mut arguments = vec!["--yes", "--digest-algo", "SHA512", "--local-user", key];
    if passphrase.is_some() {
        arguments.extend(["--pinentry-mode", "loopback", "--passphrase-fd", "0"]);
    }
    let rest = ["--output".as_ref(), "-".as_ref(), "--clearsign".as_ref(), message.as_os_str()];
    let ran = gpg.run(&arguments, &rest, passphrase).await?;
    match ran.good && ran.out.contains("BEGIN PGP SIGNATURE") {
        true => Ok(ran.out),
        false => Err(Error::Sign { key: key.to_owned(), said: ran.last_words() }),
    }
}

/// The primary key of the one good signature; anything else about the text is no signature to us.
fn signer(status: &str) -> Option<String> {
    let lines = || status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let count = |word: &str| lines().filter(|line| line.split(' ').next() == Some(word)).count();
    if count("GOODSIG") != 1 || count("VALIDSIG") != 1 {
        return None;
    }
    let bad = ["BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG"];
    if bad.iter().any(|word| count(word) > 0) {
        return None;
    }
    let valid = lines().find(|line| line.starts_with("VALIDSIG "))?;
    valid.split(' ').next_back().filter(|print| print.len() >= 40).map(str::to_owned)
}

fn signed_digest(text: &str, file_name: &str) -> Result<String, Error> {
    let text = text.replace("\r\n", "\n");
    let (_, sums) = text.split_once(BORDER).ok_or(Error::Parts)?;
    let sums = yaml::read(sums)?;
    let missing = || Error::NoDigest(file_name.to_owned());
    Ok(sums["files"][file_name].as_str().ok_or_else(missing)?.to_owned())
}

/// The `uid` lines of a listing with colons.
fn owners(listing: &str) -> Vec<String> {
    let uid = |line: &str| {
        line.starts_with("uid:").then(|| line.split(':').nth(9).map(|uid| uid.replace("\\x3a", ":")))?
    };
    listing.lines().filter_map(uid).collect()
}

/// `gpg` with a folder for what it keeps.
struct Gpg {
    folder: tempfile::TempDir,
    /// Absent where the person's own keys are used.
    home: Option<PathBuf>,
    keyring: Option<PathBuf>,
}

struct Ran {
    good: bool,
    out: String,
    err: String,
}

impl Ran {
    fn last_words(&self) -> String {
        let line = self.err.lines().rev().find(|line| !line.trim().is_empty());
        line.unwrap_or("gpg says nothing").trim_start_matches("gpg: ").to_owned()
    }
}

impl Gpg {
    fn own() -> Result<Gpg, Error> {
        let folder = tempfile::tempdir().map_err(|source| Error::Folder { source })?;
        Ok(Gpg { folder, home: None, keyring: None })
    }

    /// With the keys of one file: a key box as it is, anything else by import.
    async fn with_keys(keyring: &Path) -> Result<Gpg, Error> {
        let read = |source| Error::Read { path: keyring.display().to_string(), source };
        let data = std::fs::read(keyring).map_err(read)?;
        let mut gpg = Gpg::own()?;
        gpg.home = Some(gpg.folder.path().to_owned());
        if data.get(8..12) == Some(b"KBXf") {
            gpg.keyring = Some(std::path::absolute(keyring).map_err(read)?);
            return Ok(gpg);
        }
        let ran = gpg.run(&["--import"], &[keyring.as_os_str()], None).await?;
        let listed = gpg.run(&["--with-colons", "--list-keys"], &[], None).await?;
        if !listed.out.lines().any(|line| line.starts_with("pub:")) {
            return Err(Error::Keyring { keyring: keyring.display().to_string(), said: ran.last_words() });
        }
        Ok(gpg)
    }

    fn file(&self, name: &str, data: &[u8]) -> Result<PathBuf, Error> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, data).map_err(|source| Error::Folder { source })?;
        Ok(path)
    }

    async fn run(
        &self,
        arguments: &[&str],
        rest: &[&std::ffi::OsStr],
        input: Option<&str>,
    ) -> Result<Ran, Error> {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--no-tty", "--no-auto-key-locate"]);
        if let Some(home) = &self.home {
            command.arg("--homedir").arg(home);
        }
        if let Some(keyring) = &self.keyring {
            command.arg("--no-default-keyring").arg("--keyring").arg(keyring);
        }
        command.args(arguments).args(rest).env("LC_ALL", "C").kill_on_drop(true);
        let input = input.map(|input| format!("{input}\n"));
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let no_gpg = |source| Error::NoGpg { source };
        let mut child = command.spawn().map_err(no_gpg)?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.as_bytes()).await.map_err(no_gpg)?;
        }
        let output = tokio::time::timeout(TIMEOUT, child.wait_with_output()).await;
        let output = output.map_err(|_| Error::Slow)?.map_err(no_gpg)?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Ran { good: output.status.success(), out: text(output.stdout), err: text(output.stderr) })
    }
}

impl Drop for Gpg {
    /// The agent that signing starts would outlive its folder for a while.
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let kill = std::process::Command::new("gpgconf")
                .arg("--homedir")
                .arg(home)
                .args(["--kill", "gpg-agent"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            drop(kill);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[GNUPG:] GOODSIG AB me\n[GNUPG:] VALIDSIG 11 2026 0 0 4 0 1 10 01 0123456789012345678901234567890123456789\n";

    #[test]
    fn only_one_good_signature_counts() {
        assert!(signer(GOOD).unwrap().starts_with("0123"));
        assert_eq!(signer(&format!("{GOOD}{GOOD}")), None);
        assert_eq!(signer(&format!("{GOOD}[GNUPG:] BADSIG AB me\n")), None);
        assert_eq!(signer("[GNUPG:] GOODSIG AB me\n"), None);
        assert_eq!(signer(""), None);
    }

    #[test]
    fn the_digest_is_the_one_of_that_file() {
        let text = "name: web\n\n...\nfiles:\n  web-1.tgz: sha256:abc\n";
        assert_eq!(signed_digest(text, "web-1.tgz").unwrap(), "sha256:abc");
        assert!(signed_digest(text, "api-1.tgz").unwrap_err().to_string().contains("api-1.tgz"));
        assert!(matches!(signed_digest("files: {}\n", "a"), Err(Error::Parts)));
    }
}
