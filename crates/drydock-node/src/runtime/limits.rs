//! Resource limits of one process: rlimits and how soon the kernel kills it when memory runs out.

use std::io;

use super::{Doing, Error};
use crate::protocol::{Resources, Rlimit};

const NAMES: [(&str, u32); 16] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// Sets the rlimits. A hard limit that only a mightier node could raise is lowered to what is possible.
pub fn apply_rlimits(resources: &Resources) -> Result<(), Error> {
    resources.rlimits.iter().try_for_each(apply)
}

fn apply(limit: &Rlimit) -> Result<(), Error> {
    let resource = number(&limit.name)?;
    if limit.soft > limit.hard {
        return Err(Error::Invalid(format!("rlimit `{}` has its soft limit above the hard one", limit.name)));
    }
    match set(resource, limit.soft, limit.hard) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            let hard = current_hard(resource).doing(|| format!("read rlimit `{}`", limit.name))?;
            set(resource, limit.soft.min(hard), limit.hard.min(hard))
        }
        other => other,
    }
    .doing(|| format!("set rlimit `{}`", limit.name))
}

fn number(name: &str) -> Result<u32, Error> {
    let lower = name.to_ascii_lowercase();
    let short = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    let found = NAMES.iter().find(|(known, _)| *known == short);
    found.map(|(_, number)| *number).ok_or_else(|| Error::Invalid(format!("unknown rlimit `{name}`")))
}

fn set(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the struct outlives the call, which only reads it.
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn current_hard(resource: u32) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct outlives the call, which only writes it.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(limit.rlim_max) }
}

/// Best effort: lowering it takes a capability that a node need not have.
pub fn apply_oom_score(resources: &Resources) {
    if let Some(score) = resources.oom_score_adj {
        let _ = std::fs::write("/proc/self/oom_score_adj", score.clamp(-999, 1000).to_string());
    }
}
