//! What an operation tells while it works. The command line turns it into lines.

use crate::diagnose::LogLine;
use crate::plan::Finding;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A revision was left unfinished by a process that is gone.
    TookOver {
        revision: u64,
    },
    /// A definition of the chart's `crds/` folder, and what became of it.
    Definition {
        name: String,
        what: &'static str,
    },
    /// Something the plan found that does not stop the operation.
    Found(Finding),
    Applying {
        revision: u64,
        objects: usize,
    },
    /// A hook begins.
    Hook {
        event: String,
        object: String,
    },
    /// What a hook wrote, because its chart asks to show it.
    HookLog {
        object: String,
        lines: Vec<LogLine>,
    },
    /// An object was deleted and created because its fields cannot change.
    Recreated {
        object: String,
    },
    /// An object that left the release stays in the cluster; why.
    Left {
        object: String,
        why: String,
    },
    /// An object became ready.
    Ready {
        object: String,
    },
    /// What is waited for now, with the reason; sent when it changes.
    Waiting {
        objects: Vec<(String, String)>,
    },
    RollingBack {
        to: u64,
    },
}

pub(crate) type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);
