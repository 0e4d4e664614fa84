//! The node's one thread: wait, serve, reap, again.
//!
//! Nothing here blocks for longer than a few system calls. What takes time (setting up a container, deleting
//! a tree) happens in a forked process, and its asker is answered when that has reported or ended.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::signalfd::SignalFd;
use nix::unistd::Pid;

use super::asks::{Answer, Asker, Peer, done};
use super::containers::Container;
use super::execs::Exec;
use super::network::Network;
use super::sandboxes::{Home, Sandbox};
use super::volumes::Worker;
use super::{Cgroups, Error, SOCKET, Trying};
use crate::protocol::frame;
use crate::protocol::{Envelope, FromNode, Listing, NODE_IP, NodeEvent, NodeInfo, Reply, Request};
use crate::runtime::user::IdMap;
use crate::system;

/// More daemons than this at once are a mistake.
const MAX_PEERS: usize = 64;
/// How long killed processes may take to die before the node ends without them.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Node {
    pub dir: PathBuf,
    /// Memory that only the node and its containers see.
    pub private: PathBuf,
    pub ids: IdMap,
    pub started_unix_ms: i64,
    pub home: Home,
    pub cgroups: Cgroups,
    pub network: Network,
    pub listener: UnixListener,
    pub signals: SignalFd,
    pub peers: BTreeMap<u64, Peer>,
    pub next_peer: u64,
    pub sandboxes: BTreeMap<String, Sandbox>,
    pub containers: BTreeMap<String, Container>,
    pub execs: BTreeMap<u64, Exec>,
    pub next_exec: u64,
    /// Processes that do slow work for an asker.
    pub workers: BTreeMap<i32, Worker>,
    /// Set once the node shall end; the asker, if a daemon wished it, is told last.
    pub ending: Option<Option<Asker>>,
    pub _lock: OwnedFd,
}

/// Who a polled descriptor belongs to.
enum Source {
    Signals,
    Listener,
    Peer(u64),
    Shim(String),
    Exec(u64),
}

impl Node {
    pub fn serve(mut self) -> Result<(), Error> {
        while self.ending.is_none() {
            let (mut polled, sources) = self.sources();
            system::poll(&mut polled, self.until_deadline()).trying("wait for something to do")?;
            for (one, source) in polled.iter().zip(sources).filter(|(one, _)| one.revents != 0) {
                match source {
                    Source::Signals => self.on_signals(),
                    Source::Listener => self.accept(),
                    Source::Peer(peer) => self.on_peer(peer, one.revents),
                    Source::Shim(container) => self.hear_shim(&container),
                    Source::Exec(exec) => self.hear_exec(exec),
                }
            }
            self.stop_overdue_execs();
        }
        self.end();
        Ok(())
    }

    fn sources(&self) -> (Vec<libc::pollfd>, Vec<Source>) {
        let mut all: Vec<(i32, i16, Source)> = vec![
            (self.signals.as_raw_fd(), libc::POLLIN, Source::Signals),
            (self.listener.as_raw_fd(), libc::POLLIN, Source::Listener),
        ];
        for (number, peer) in &self.peers {
            let events = libc::POLLIN | if peer.has_mail() { libc::POLLOUT } else { 0 };
            all.push((peer.stream.as_raw_fd(), events, Source::Peer(*number)));
        }
        for (id, container) in &self.containers {
            if let Some(fd) = container.shim_fd() {
                all.push((fd, libc::POLLIN, Source::Shim(id.clone())));
            }
        }
        for (number, exec) in &self.execs {
            if let Some(fd) = exec.report_fd() {
                all.push((fd, libc::POLLIN, Source::Exec(*number)));
            }
        }
        all.into_iter().map(|(fd, events, source)| (libc::pollfd { fd, events, revents: 0 }, source)).unzip()
    }

    fn until_deadline(&self) -> Option<Duration> {
        let next = self.execs.values().filter_map(Exec::deadline).min()?;
        // A millisecond more, because poll rounds down and would spin for the rest.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn on_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo != Signal::SIGCHLD as u32 {
                self.ending = Some(None);
            }
        }
        // PID 1 inherits orphans too: those are reaped and of no further interest.
        while let Some((pid, code, signal)) = system::reap_any() {
            let pid = pid.as_raw();
            if !self.worker_ended(pid, code) && !self.exec_ended(pid, code) {
                self.shim_ended(pid, signal);
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.peers.len() < MAX_PEERS && stream.set_nonblocking(true).is_ok() {
                self.peers.insert(self.next_peer, Peer::new(stream));
                self.next_peer += 1;
            }
        }
    }

    fn on_peer(&mut self, number: u64, revents: i16) {
        if let Err(error) = self.talk(number, revents) {
            if !matches!(error, frame::Error::Closed) {
                eprintln!("a daemon's connection ended: {}", super::sentence(&error));
            }
            self.peers.remove(&number);
        }
    }

    fn talk(&mut self, number: u64, revents: i16) -> Result<(), frame::Error> {
        let Some(peer) = self.peers.get_mut(&number) else { return Ok(()) };
        if revents & libc::POLLOUT != 0 {
            peer.flush()?;
        }
        if revents & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) == 0 {
            return Ok(());
        }
        match peer.inbox.fill(peer.stream.as_fd()) {
            Err(frame::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            other => other?,
        }
        while let Some(peer) = self.peers.get_mut(&number) {
            let Some((Envelope { id, request }, fds)) = peer.inbox.take()? else { break };
            let asker = Asker { peer: number, id };
            if let Some(answer) = self.obey(asker, request, fds) {
                self.answer(asker, answer);
            }
        }
        Ok(())
    }

    /// Does what is asked; `None` when the answer comes later.
    fn obey(&mut self, asker: Asker, request: Request, fds: Vec<OwnedFd>) -> Option<Answer> {
        match request {
            Request::Ping => Some(Ok((Reply::Info(self.info()), Vec::new()))),
            Request::Subscribe => {
                if let Some(peer) = self.peers.get_mut(&asker.peer) {
                    peer.subscribed = true;
                }
                Some(done())
            }
            Request::List => Some(Ok((Reply::Listing(self.listing()), Vec::new()))),
            Request::CreateSandbox(spec) => Some(self.create_sandbox(spec)),
            Request::RemoveSandbox { id } => self.remove_sandbox(asker, &id),
            Request::CreateContainer(spec) => self.create_container(asker, *spec),
            Request::StartContainer { id } => self.start_container(asker, &id),
            Request::SignalContainer { id, signal } => Some(self.signal_container(&id, signal)),
            Request::ResizeContainer { id, resources } => Some(self.resize_container(&id, resources)),
            Request::RemoveContainer { id } => self.remove_container(asker, &id),
            Request::Exec(spec) => self.exec(asker, spec, fds),
            Request::Attach { container } => self.attach(asker, &container, fds),
            Request::SignalExec { exec, signal } => Some(self.signal_exec(exec, signal)),
            Request::ConnectTcp { addr, sandbox } => Some(self.connect_tcp(addr, sandbox.as_deref())),
            Request::BindTcp { addr } => Some(super::sockets::bind_tcp(addr)),
            Request::BindUdp { addr } => Some(super::sockets::bind_udp(addr)),
            Request::ApplyServices { services } => Some(self.apply_services(&services)),
            Request::WriteVolume(content) => Some(self.write_volume(&content)),
            Request::MakeTmpfs { volume, size_bytes, fs_group } => {
                Some(self.make_tmpfs(&volume, size_bytes, fs_group))
            }
            Request::RemoveVolume { volume } => Some(self.remove_volume(&volume)),
            Request::MakeDir(spec) => self.make_dir(asker, spec),
            Request::RemoveDir { path } => self.remove_dir(asker, path),
            Request::Stats { container } => Some(self.stats(&container)),
            Request::Shutdown => {
                self.ending = Some(Some(asker));
                None
            }
        }
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: self.started_unix_ms,
            rootless: self.ids.is_rootless(),
            user_ids: self.ids.count(),
            cgroups: self.cgroups.name().to_owned(),
            node_ip: NODE_IP,
            egress: false,
        }
    }

    fn listing(&self) -> Listing {
        Listing {
            sandboxes: self.sandboxes.values().map(|sandbox| sandbox.status.clone()).collect(),
            containers: self.containers.values().filter_map(Container::listed).collect(),
        }
    }

    /// Sends an answer; an asker that is gone needs none.
    pub fn answer(&mut self, asker: Asker, answer: Answer) {
        let (result, fds) = match answer {
            Ok((reply, fds)) => (Ok(reply), fds),
            Err(refusal) => (Err(refusal), Vec::new()),
        };
        self.post(asker.peer, &FromNode::Reply { id: asker.id, result }, fds);
    }

    /// Tells everybody who subscribed.
    pub fn announce(&mut self, event: &NodeEvent) {
        let subscribed: Vec<u64> =
            self.peers.iter().filter(|(_, peer)| peer.subscribed).map(|(number, _)| *number).collect();
        for peer in subscribed {
            self.post(peer, &FromNode::Event(event.clone()), Vec::new());
        }
    }

    pub fn post(&mut self, peer: u64, message: &FromNode, fds: Vec<OwnedFd>) {
        let Some(found) = self.peers.get_mut(&peer) else { return };
        if let Err(error) = found.post(message, fds) {
            eprintln!("a daemon was cut off: {}", super::sentence(&error));
            self.peers.remove(&peer);
        }
    }

    /// Kills everything, waits for it, and leaves nothing behind but logs and status files.
    fn end(mut self) {
        let everybody = Pid::from_raw(-1);
        let give_up = Instant::now() + ENDS_WITHIN;
        let _ = kill(everybody, Signal::SIGKILL);
        // ECHILD, not silence: orphans of killed processes become our children only as these die.
        while Instant::now() < give_up {
            while system::reap_any().is_some() {}
            match kill(everybody, Signal::SIGKILL) {
                Err(nix::errno::Errno::ESRCH) => break,
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        self.cgroups.remove();
        let _ = std::fs::remove_file(self.dir.join(SOCKET));
        if let Some(Some(asker)) = self.ending.take() {
            self.answer(asker, done());
        }
    }
}
