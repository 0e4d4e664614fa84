//! What can stop a release, and what is known about it by then.

use crate::wait::NotReady;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {tried}")]
    Cluster { tried: String, source: Box<kube::Error> },

    #[error("the manifest of release `{release}` cannot be read: {reason}")]
    Manifest { release: String, reason: String },

    #[error("the cluster has no kind `{kind}` in `{api_version}`, which {source_file} needs")]
    NoSuchKind { kind: String, api_version: String, source_file: String },

    #[error("{object} exists and belongs to {owner}, so release `{release}` cannot take it")]
    Owned { object: String, owner: String, release: String },

    #[error("{object} ({source_file}) was refused by the cluster")]
    Refused { object: String, source_file: String, source: Box<kube::Error> },

    #[error("{}", not_ready(objects, *waited_s, *gave_up))]
    NotReady { objects: Vec<NotReady>, waited_s: u64, gave_up: bool },

    #[error("hook {object} did not succeed: {why}")]
    Hook { object: String, why: String },

    #[error("release `{release}` revision {revision} failed; {outcome}")]
    Failed { release: String, revision: u64, outcome: String, source: Box<Error> },

    #[error("there is no release `{release}` in namespace `{namespace}`")]
    NoRelease { release: String, namespace: String },

    #[error("release `{release}` has no revision {revision}")]
    NoRevision { release: String, revision: u64 },

    #[error("release `{release}` has no earlier revision to go back to")]
    NoEarlierRevision { release: String },

    #[error("{holder} is working on release `{release}` right now")]
    Busy { release: String, holder: String },

    #[error("a stored revision of release `{release}` cannot be read: {reason}")]
    Record { release: String, reason: String },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Says what was asked of the cluster when it did not do it.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Tried<T> for std::result::Result<T, kube::Error> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Cluster { tried: what(), source: Box::new(source) })
    }
}

fn not_ready(objects: &[NotReady], waited_s: u64, gave_up: bool) -> String {
    let when = match gave_up {
        true => format!("after {waited_s} s these cannot become ready any more"),
        false => format!("after {waited_s} s these are not ready"),
    };
    let mut text = when;
    for object in objects {
        text.push_str(&format!("\n    {object}"));
    }
    text
}
