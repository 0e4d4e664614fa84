//! Which of root's powers a container keeps.
//!
//! The default is Docker's set. The bounding set is cut to it, permitted and effective are set to it,
//! inheritable and ambient stay empty: a process that is not root thus has none after `execve`.

use std::io;

use super::Error;
use crate::protocol::Security;

/// By number, from CAP_CHOWN (0) on.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set(u64);

impl Set {
    const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// The set a container asks for: the default, without its drops, with its additions.
    pub fn asked(security: &Security) -> Result<Self, Error> {
        let mut set = DEFAULT.iter().try_fold(0, |set, name| Ok::<_, Error>(set | parse(name)?.0))?;
        for name in &security.drop_capabilities {
            set &= !parse(name)?.0;
        }
        for name in &security.add_capabilities {
            set |= parse(name)?.0;
        }
        Ok(Self(set))
    }

    pub fn has(self, name: &str) -> bool {
        parse(name).is_ok_and(|wanted| self.0 & wanted.0 == wanted.0)
    }
}

fn parse(name: &str) -> Result<Set, Error> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return Ok(Set::ALL);
    }
    let number = NAMES.iter().position(|known| *known == short);
    number
        .map(|number| Set(1 << number))
        .ok_or_else(|| Error::Invalid(format!("unknown capability `{name}`")))
}

/// Cuts the bounding set; must happen while SETPCAP is still there.
pub fn bound(set: Set) -> io::Result<()> {
    for number in 0..64_u64 {
        // SAFETY: plain integers.
        let present = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number, 0, 0, 0) };
        if present < 0 {
            // The kernel's last capability was the one before.
            return Ok(());
        }
        if present == 1 && set.0 & (1 << number) == 0 {
            // SAFETY: plain integers.
            check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) })?;
        }
    }
    Ok(())
}

/// Keeps the permitted set over the coming change of user.
pub fn keep_over_setuid() -> io::Result<()> {
    // SAFETY: plain integers.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })
}

/// Sets permitted and effective to what is both asked for and held, and empties the other two.
pub fn apply(set: Set) -> io::Result<()> {
    let held = held()?;
    // SAFETY: plain integers.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) })?;
    let kept = set.0 & held;
    let half = |shift: u32| (kept >> shift) as u32;
    let mut data = [
        Data { effective: half(0), permitted: half(0), inheritable: 0 },
        Data { effective: half(32), permitted: half(32), inheritable: 0 },
    ];
    call(libc::SYS_capset, &mut data)
}

/// What this process may still use.
fn held() -> io::Result<u64> {
    let mut data = [Data::default(); 2];
    call(libc::SYS_capget, &mut data)?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn call(number: libc::c_long, data: &mut [Data; 2]) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = Header { version: VERSION_3, pid: 0 };
    // SAFETY: version 3 reads or writes exactly two data elements.
    let result = unsafe { libc::syscall(number, &raw mut header, data.as_mut_ptr()) };
    check(result as i32)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(add: &[&str], drop: &[&str], expect: &str) {
        let words = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let security =
            Security { add_capabilities: words(add), drop_capabilities: words(drop), ..Default::default() };
        let said = match Set::asked(&security) {
            Ok(Set(bits)) => format!("{bits:x}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expect);
    }

    #[test]
    fn the_default_is_dockers() {
        check(&[], &[], "a80425fb");
    }

    #[test]
    fn dropping_all_and_adding_one_leaves_one() {
        check(&["CAP_NET_BIND_SERVICE"], &["ALL"], "400");
    }

    #[test]
    fn names_may_be_lower_case() {
        check(&["sys_ptrace"], &["all"], "80000");
    }

    #[test]
    fn a_name_nobody_knows_is_refused() {
        check(&["FLY"], &[], "unknown capability `FLY`");
    }
}
