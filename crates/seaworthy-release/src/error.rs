//! What can stop a release, and what is known about it by then.

use crate::plan::Finding;
use crate::wait::NotReady;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {tried}")]
    Cluster { tried: String, source: Box<Answer> },

    #[error("the manifest of release `{release}` cannot be read: {reason}")]
    Manifest { release: String, reason: String },

    #[error("the cluster has no kind `{kind}` in `{api_version}`, which {place} needs")]
    NoSuchKind { kind: String, api_version: String, place: String },

    #[error("{object} exists and belongs to {owner}, so release `{release}` cannot take it")]
    Owned { object: String, owner: String, release: String },

    #[error("{object} ({place}) was refused by the cluster")]
    Refused { object: String, place: String, source: Box<Answer> },

    /// Found before anything was changed.
    #[error("release `{release}` would fail, so nothing was changed:{}", findings(found))]
    Blocked { release: String, found: Vec<Finding> },

    #[error("{}", not_ready(objects, *waited_s, *gave_up))]
    NotReady { objects: Vec<NotReady>, waited_s: u64, gave_up: bool },

    #[error("{event} hook {object} ({place}) did not succeed: {why}")]
    Hook { event: String, object: String, place: String, why: String },

    #[error("release `{release}` revision {revision} failed; {outcome}")]
    Failed { release: String, revision: u64, outcome: String, source: Box<Error> },

    #[error("there is no release `{release}` in namespace `{namespace}`")]
    NoRelease { release: String, namespace: String },

    #[error("release `{release}` has no revision {revision}")]
    NoRevision { release: String, revision: u64 },

    #[error("release `{release}` has no earlier revision to go back to")]
    NoEarlierRevision { release: String },

    #[error("the name `{release}` is in use in namespace `{namespace}`: revision {revision} is {status}")]
    NameInUse { release: String, namespace: String, revision: u64, status: &'static str },

    #[error("release `{release}` is uninstalled already")]
    AlreadyUninstalled { release: String },

    #[error("the label `{label}` is Helm's own; a release cannot be given it")]
    SystemLabel { label: String },

    #[error("there is no namespace `{namespace}`")]
    NoNamespace { namespace: String },

    #[error("{holder} is working on release `{release}` right now")]
    Busy { release: String, holder: String },

    #[error("a stored revision of release `{release}` cannot be read: {reason}")]
    Record { release: String, reason: String },

    #[error(
        "release `{release}` takes {bytes} bytes when stored, more than the {limit} the cluster allows; what \
         `.helmignore` leaves out is not stored"
    )]
    TooLarge { release: String, bytes: usize, limit: usize },
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// What a cluster answered when it did not do it: its own sentence, without the frame that the library puts around it.
#[derive(Debug)]
pub struct Answer(kube::Error);

impl Answer {
    /// The HTTP status, 0 when there was no answer.
    pub fn code(&self) -> u16 {
        match &self.0 {
            kube::Error::Api(status) => status.code,
            _ => 0,
        }
    }
}

impl From<kube::Error> for Answer {
    fn from(error: kube::Error) -> Self {
        Answer(error)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            kube::Error::Api(status) => f.write_str(&status.message),
            other => other.fmt(f),
        }
    }
}

impl std::error::Error for Answer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            kube::Error::Api(_) => None,
            other => other.source(),
        }
    }
}

/// Says what was asked of the cluster when it did not do it.
pub(crate) trait Tried<T> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Tried<T> for std::result::Result<T, kube::Error> {
    fn tried(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Cluster { tried: what(), source: Box::new(source.into()) })
    }
}

fn findings(found: &[Finding]) -> String {
    found.iter().fold(String::new(), |text, finding| format!("{text}\n    {finding}"))
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
