//! The seccomp profile `RuntimeDefault`.
//!
//! Two filters: an allow-list whose "no" is EPERM, and over it a small one that answers ENOSYS for `clone3`
//! (whose flags a filter cannot see) and for calls younger than the list, so that C libraries fall back.
//! 32-bit programs are killed: the list speaks of one architecture only.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    sock_filter,
};

use super::Error;
use super::capabilities::Set;
use super::seccomp_list::{ALWAYS, ARCHITECTURE, NEWEST, WITH_CAPABILITY};

/// The flags of `clone` that make namespaces.
const CLONE_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u64;

/// Personalities that only change how a program is laid out or what kernel version it sees.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Compiled programs, in the order in which they are installed.
#[derive(Debug)]
pub struct Profile([BpfProgram; 2]);

/// Compiles the default profile for a container that holds `capabilities`.
pub fn runtime_default(capabilities: Set) -> Result<Profile, Error> {
    let unusable = |error| Error::Unsupported(format!("no seccomp profile on this machine: {error}"));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALWAYS.iter().chain(ARCHITECTURE).map(|&call| (call, Vec::new())).collect();
    partly_allowed(&mut rules).map_err(unusable)?;
    for (capability, calls) in WITH_CAPABILITY {
        if capabilities.has(capability) {
            // An empty list of rules allows the call whatever its arguments.
            rules.extend(calls.iter().map(|&call| (call, Vec::new())));
        }
    }
    let architecture = std::env::consts::ARCH.try_into().map_err(unusable)?;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture).map_err(unusable)?;
    Ok(Profile([filter.try_into().map_err(unusable)?, not_implemented()]))
}

fn partly_allowed(rules: &mut BTreeMap<i64, Vec<SeccompRule>>) -> Result<(), seccompiler::BackendError> {
    let rule = |argument, operation, value| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value)?;
        SeccompRule::new(vec![condition])
    };
    rules.insert(libc::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(CLONE_NAMESPACES), 0)?]);
    // Virtual machine sockets would reach past the network namespace.
    rules.insert(libc::SYS_socket, vec![rule(0, SeccompCmpOp::Ne, libc::AF_VSOCK as u64)?]);
    let personality: Result<Vec<_>, _> =
        PERSONALITIES.iter().map(|&value| rule(0, SeccompCmpOp::Eq, value)).collect();
    rules.insert(libc::SYS_personality, personality?);
    Ok(())
}

/// `if nr == clone3 || nr > NEWEST { ENOSYS } else { allow }`; x32 numbers are above NEWEST too.
fn not_implemented() -> BpfProgram {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0),
        step(EQUAL, 1, 0, libc::SYS_clone3 as u32),
        step(GREATER, 0, 1, NEWEST),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}

/// Installs the profile for the rest of this process. Needs SYS_ADMIN or `no_new_privs`.
pub fn install(profile: &Profile) -> io::Result<()> {
    profile.0.iter().try_for_each(|program| {
        let description = libc::sock_fprog {
            len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            filter: program.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the program outlives the call, its length is true, and seccompiler's `sock_filter` has
        // the kernel's layout.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const description)
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Security;

    fn length(add: &[&str]) -> usize {
        let add_capabilities = add.iter().map(|&name| name.to_owned()).collect();
        let set = Set::asked(&Security { add_capabilities, ..Default::default() }).unwrap();
        runtime_default(set).unwrap().0[0].len()
    }

    #[test]
    fn the_profile_compiles_and_fits_the_kernels_limit() {
        assert!((300..4096).contains(&length(&[])));
    }

    #[test]
    fn a_capability_brings_its_system_calls() {
        assert!(length(&["SYS_ADMIN"]) > length(&[]));
    }
}
