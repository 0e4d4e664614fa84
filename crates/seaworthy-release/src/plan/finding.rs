//! Something a plan found, in words that say what to do.

use std::fmt;

use crate::manifest::Object;

/// A problem and the object it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `Deployment/web`.
    pub object: String,
    /// `shop/templates/web.yaml:1`.
    pub place: String,
    pub problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A field changes that the API lets nobody change.
    Immutable {
        message: String,
    },
    NoSuchKind {
        kind: String,
        api_version: String,
    },
    NoNamespace {
        namespace: String,
    },
    Owned {
        owner: String,
    },
    /// Other managers own fields that the chart sets otherwise.
    Conflict {
        message: String,
    },
    /// A quota says no, now.
    Quota {
        message: String,
    },
    /// A quota will say no to the pods.
    QuotaOfPods {
        quota: String,
        resource: String,
        needed: String,
        left: String,
    },
    /// No node is large enough.
    TooLarge {
        resource: String,
        needed: String,
        largest: String,
    },
    /// The nodes together have less room than the new pods ask for.
    Full {
        resource: String,
        needed: String,
        left: String,
    },
    /// The number of replicas stays, because an autoscaler decides it.
    Autoscaled {
        chart: i64,
        kept: i64,
    },
    /// A definition in the cluster is not the chart's.
    DefinitionDiffers,
    Refused {
        code: u16,
        message: String,
    },
}

impl Finding {
    pub(crate) fn about(object: &Object, problem: Problem) -> Self {
        Self { object: object.title(), place: object.place(), problem }
    }

    /// Whether an operation would certainly fail of it.
    pub fn stops(&self) -> bool {
        match &self.problem {
            Problem::Immutable { .. }
            | Problem::NoSuchKind { .. }
            | Problem::NoNamespace { .. }
            | Problem::Owned { .. }
            | Problem::Conflict { .. }
            | Problem::Quota { .. } => true,
            // A value of the wrong type is answered with 500, as if the server were at fault.
            Problem::Refused { code, message } => {
                matches!(code, 400 | 422) || message.starts_with("failed to create typed patch object")
            }
            Problem::QuotaOfPods { .. }
            | Problem::TooLarge { .. }
            | Problem::Full { .. }
            | Problem::Autoscaled { .. }
            | Problem::DefinitionDiffers => false,
        }
    }

    /// What to do about it, where there is something to be done.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.problem {
            Problem::Immutable { .. } => {
                "`--recreate` deletes the object and creates it anew (pods of a StatefulSet are kept)"
                    .to_owned()
            }
            Problem::NoSuchKind { .. } => {
                "install what brings this kind first, or switch it off in the chart's values".to_owned()
            }
            Problem::NoNamespace { .. } => "`--create-namespace` makes it".to_owned(),
            Problem::Owned { .. } => {
                "`--take-ownership` adopts it; or choose another release name, or remove it there".to_owned()
            }
            Problem::Conflict { .. } => "`--force-conflicts` takes the fields over".to_owned(),
            Problem::DefinitionDiffers => "`--crds=apply` brings it up to date".to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.object)?;
        if !self.place.is_empty() {
            write!(f, " ({})", self.place)?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Immutable { message } => write!(f, "changes what cannot be changed: {message}"),
            Problem::NoSuchKind { kind, api_version } => {
                write!(f, "the cluster has no kind `{kind}` in `{api_version}`")
            }
            Problem::NoNamespace { namespace } => write!(f, "there is no namespace `{namespace}`"),
            Problem::Owned { owner } => write!(f, "exists and belongs to {owner}"),
            Problem::Conflict { message } | Problem::Quota { message } | Problem::Refused { message, .. } => {
                f.write_str(message)
            }
            Problem::QuotaOfPods { quota, resource, needed, left } => write!(
                f,
                "its pods ask for {needed} more of `{resource}`, and quota `{quota}` has {left} left"
            ),
            Problem::TooLarge { resource, needed, largest } => {
                write!(f, "a pod asks for {needed} of `{resource}`, and the largest node has {largest}")
            }
            Problem::Full { resource, needed, left } => {
                write!(
                    f,
                    "the new pods ask for {needed} of `{resource}`, and all nodes together have {left} left"
                )
            }
            Problem::Autoscaled { chart, kept } => {
                write!(f, "keeps its {kept} replicas, which an autoscaler decides (the chart says {chart})")
            }
            Problem::DefinitionDiffers => {
                f.write_str("differs from the chart's `crds/` and is left as it is")
            }
        }
    }
}
