//! Pods' shared part: namespaces, network, and the files all containers of a pod see.
//!
//! The node makes a pod's namespaces by going there itself: it unshares, keeps descriptors of what it got,
//! and returns home. The descriptors keep the namespaces alive; there is no pause process unless the pod
//! shares its process ids.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::unistd::{ForkResult, Pid, fork};

use super::asks::{Answer, Asker, check_name, done, failed, refuse};
use super::network::write_sysctl;
use super::serve::Node;
use crate::netlink::Socket;
use crate::protocol::{NODE_IP, Refusal, RefusalKind, Reply, SandboxSpec, SandboxStatus};
use crate::runtime::mount_api::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, attach, new_fs, path_fd};
use crate::runtime::process::Namespaces;
use crate::system;

const SHM_BYTES: &str = "67108864";

/// Every pod may use low ports and ping, as container engines have it. A courtesy: a user namespace with
/// few groups cannot grant the second.
const SYSCTLS: [(&str, &str); 2] =
    [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];

/// The node's own namespaces, to come back to.
#[derive(Debug)]
pub(super) struct Home {
    network: OwnedFd,
    ipc: OwnedFd,
    host_name: OwnedFd,
    processes: OwnedFd,
}

impl Home {
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            network: namespace("net")?,
            ipc: namespace("ipc")?,
            host_name: namespace("uts")?,
            processes: namespace("pid")?,
        })
    }

    /// Does something while away. A node that cannot come home would do harm: it ends, and all in it.
    pub fn away<T>(&self, flags: CloneFlags, go: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let result = go();
        let places = [
            (CloneFlags::CLONE_NEWNET, &self.network),
            (CloneFlags::CLONE_NEWIPC, &self.ipc),
            (CloneFlags::CLONE_NEWUTS, &self.host_name),
            (CloneFlags::CLONE_NEWPID, &self.processes),
        ];
        for (flag, place) in places.into_iter().filter(|(flag, _)| flags.contains(*flag)) {
            if setns(place, flag).is_err() {
                eprintln!("cannot return to the node's own namespaces");
                system::exit_now(1);
            }
        }
        result
    }
}

fn namespace(name: &str) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/self/ns/{name}"))?.into())
}

#[derive(Debug)]
pub(super) struct Sandbox {
    pub status: SandboxStatus,
    pub hostname: String,
    pub namespaces: Namespaces,
    /// The first process of a pod that shares its process ids.
    pub first: Option<First>,
    /// Whether `status.ip` is the pod's own.
    own_network: bool,
    /// Waiting until its containers are gone.
    pub removers: Vec<Asker>,
}

/// A process that only holds a pid namespace and collects its orphans.
#[derive(Debug)]
pub(super) struct First {
    pid: Pid,
    pub handle: OwnedFd,
}

impl Node {
    pub(super) fn create_sandbox(&mut self, spec: SandboxSpec) -> Answer {
        check_name(&spec.id)?;
        if let Some(known) = self.sandboxes.get(&spec.id) {
            let message = format!("sandbox `{}` exists", known.status.id);
            return Err(refuse(RefusalKind::AlreadyExists, message));
        }
        let ip = if spec.host_network { NODE_IP } else { self.address(spec.ip)? };
        match self.build_sandbox(&spec, ip) {
            Ok(sandbox) => {
                let status = sandbox.status.clone();
                self.sandboxes.insert(spec.id, sandbox);
                Ok((Reply::Sandbox(status), Vec::new()))
            }
            Err(error) => {
                self.network.free_address(ip);
                remove_files(&self.private.join("sandboxes").join(&spec.id));
                Err(failed("make the sandbox")(error))
            }
        }
    }

    fn address(&mut self, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr, Refusal> {
        self.network.take_address(wanted).ok_or_else(|| match wanted {
            Some(ip) => refuse(RefusalKind::Invalid, format!("address {ip} is taken or not the pods'")),
            None => refuse(RefusalKind::Failed, "all pod addresses are taken"),
        })
    }

    fn build_sandbox(&mut self, spec: &SandboxSpec, ip: Ipv4Addr) -> io::Result<Sandbox> {
        write_files(&self.private.join("sandboxes").join(&spec.id), spec, ip)?;
        let (namespaces, socket) = self.make_namespaces(spec)?;
        if let (Some(network), Some(mut socket)) = (&namespaces.network, socket) {
            self.network.connect(ip, network.as_fd(), &mut socket)?;
        }
        let first = if spec.share_pid { Some(self.make_first()?) } else { None };
        Ok(Sandbox {
            status: SandboxStatus {
                id: spec.id.clone(),
                ip,
                created_unix_ms: system::now_unix_ms(),
                labels: spec.labels.clone(),
            },
            hostname: spec.hostname.clone(),
            namespaces,
            first,
            own_network: !spec.host_network,
            removers: Vec::new(),
        })
    }

    fn make_namespaces(&self, spec: &SandboxSpec) -> io::Result<(Namespaces, Option<Socket>)> {
        let mut flags = CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        if !spec.host_network {
            flags |= CloneFlags::CLONE_NEWNET;
        }
        self.home.away(flags, || {
            unshare(flags)?;
            nix::unistd::sethostname(&spec.hostname)?;
            let own_network = !spec.host_network;
            if own_network {
                SYSCTLS.iter().for_each(|(name, value)| drop(write_sysctl(name, value)));
            }
            for (name, value) in &spec.sysctls {
                write_sysctl(&safe_sysctl(name, own_network)?, value)?;
            }
            let socket = if own_network { Some(Socket::route()?) } else { None };
            let network = if own_network { Some(namespace("net")?) } else { None };
            Ok((Namespaces { network, ipc: namespace("ipc")?, host_name: namespace("uts")? }, socket))
        })
    }

    fn make_first(&self) -> io::Result<First> {
        let pid = self.home.away(CloneFlags::CLONE_NEWPID, || {
            unshare(CloneFlags::CLONE_NEWPID)?;
            // SAFETY: the node has one thread, so the child may do whatever its parent could.
            match unsafe { fork() }? {
                ForkResult::Parent { child } => Ok(child),
                ForkResult::Child => hold(),
            }
        })?;
        Ok(First { pid, handle: super::containers::process_handle(pid.as_raw())? })
    }

    /// Removes its containers first; the last of them to end finishes the removal.
    pub(super) fn remove_sandbox(&mut self, asker: Asker, id: &str) -> Option<Answer> {
        let Some(sandbox) = self.sandboxes.get_mut(id) else { return Some(done()) };
        sandbox.removers.push(asker);
        let members: Vec<String> = self
            .containers
            .iter()
            .filter(|(_, container)| container.status.sandbox == id)
            .map(|(id, _)| id.clone())
            .collect();
        for container in members {
            self.discard_container(&container);
        }
        self.finish_sandbox(id);
        None
    }

    /// Takes the sandbox down if that was asked for and no container of it is left.
    pub(super) fn finish_sandbox(&mut self, id: &str) {
        let in_use = self.containers.values().any(|container| container.status.sandbox == id);
        if in_use || self.sandboxes.get(id).is_none_or(|sandbox| sandbox.removers.is_empty()) {
            return;
        }
        let Some(sandbox) = self.sandboxes.remove(id) else { return };
        if let Some(first) = &sandbox.first {
            let _ = kill(first.pid, Signal::SIGKILL);
        }
        if sandbox.own_network {
            self.network.disconnect(sandbox.status.ip);
            self.network.free_address(sandbox.status.ip);
        }
        remove_files(&self.private.join("sandboxes").join(id));
        for asker in sandbox.removers {
            self.answer(asker, done());
        }
    }
}

/// The life of a first process: nothing, until it is killed. Orphans that end vanish by themselves.
fn hold() -> ! {
    system::close_all_but(&[]);
    system::name_process("drydock-pod");
    // SAFETY: ignoring a signal runs no code of ours.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) };
    loop {
        nix::unistd::pause();
    }
}

/// Settings that belong to the pod's own namespaces, as a path below `/proc/sys`.
fn safe_sysctl(name: &str, own_network: bool) -> io::Result<String> {
    const IPC: [&str; 4] = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
    let namespaced =
        (own_network && name.starts_with("net.")) || IPC.iter().any(|prefix| name.starts_with(prefix));
    if !namespaced || name.contains("..") || name.contains('/') {
        let message = format!("sysctl `{name}` does not belong to a pod");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(name.replace('.', "/"))
}

fn write_files(dir: &Path, spec: &SandboxSpec, ip: Ipv4Addr) -> io::Result<()> {
    fs::create_dir_all(dir.join("shm"))?;
    let files = [
        ("hosts", hosts(spec, ip)),
        ("hostname", format!("{}\n", spec.hostname)),
        ("resolv.conf", resolv_conf(spec)),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    let options = [("mode", Some("1777")), ("size", Some(SHM_BYTES))];
    let shm = new_fs("tmpfs", &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)?;
    attach(shm.as_fd(), path_fd(&dir.join("shm"))?.as_fd())
}

fn remove_files(dir: &Path) {
    let _ = umount2(&dir.join("shm"), MntFlags::MNT_DETACH);
    let _ = fs::remove_dir_all(dir);
}

fn hosts(spec: &SandboxSpec, ip: Ipv4Addr) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let own: Vec<&str> = spec.own_names.iter().map(String::as_str).chain([spec.hostname.as_str()]).collect();
    text.push_str(&format!("{ip}\t{}\n", own.join("\t")));
    for entry in &spec.hosts {
        text.push_str(&format!("{}\t{}\n", entry.ip, entry.names.join("\t")));
    }
    text
}

fn resolv_conf(spec: &SandboxSpec) -> String {
    let mut text = String::new();
    for server in &spec.dns.nameservers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    for (word, values) in [("search", &spec.dns.searches), ("options", &spec.dns.options)] {
        if !values.is_empty() {
            text.push_str(&format!("{word} {}\n", values.join(" ")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{DnsConfig, HostEntry};

    #[test]
    fn a_pods_hosts_name_itself_and_its_aliases() {
        let spec = SandboxSpec {
            hostname: "web-0".to_owned(),
            own_names: vec!["web-0.web.default.svc.cluster.local".to_owned()],
            hosts: vec![HostEntry { ip: Ipv4Addr::new(1, 2, 3, 4).into(), names: vec!["db".to_owned()] }],
            ..Default::default()
        };
        let text = hosts(&spec, Ipv4Addr::new(10, 244, 0, 2));
        assert!(text.contains("10.244.0.2\tweb-0.web.default.svc.cluster.local\tweb-0\n"), "{text}");
        assert!(text.ends_with("1.2.3.4\tdb\n"), "{text}");
    }

    #[test]
    fn resolv_conf_has_only_what_was_given() {
        let dns = DnsConfig {
            nameservers: vec![Ipv4Addr::new(10, 96, 0, 10)],
            searches: vec!["a.svc".to_owned(), "svc".to_owned()],
            options: Vec::new(),
        };
        let text = resolv_conf(&SandboxSpec { dns, ..Default::default() });
        assert_eq!(text, "nameserver 10.96.0.10\nsearch a.svc svc\n");
    }

    #[test]
    fn only_the_pods_own_settings_may_be_changed() {
        assert_eq!(safe_sysctl("net.core.somaxconn", true).unwrap(), "net/core/somaxconn");
        assert!(safe_sysctl("net.core.somaxconn", false).is_err());
        assert!(safe_sysctl("kernel.core_pattern", true).is_err());
        assert!(safe_sysctl("net.../../kernel/core_pattern", true).is_err());
    }
}
