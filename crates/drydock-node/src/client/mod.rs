//! The daemon's hand on the node: an async client of `<dir>/node.sock`.
//!
//! Cheap to clone; all clones share one connection. Requests may overlap. When the connection ends every
//! call fails with [`Error::Gone`] for good and [`NodeClient::closed`] resolves: connect or launch again,
//! then `list` to adopt what runs. Dropping a call never harms the connection, and the node still does what
//! was asked. Start at [`NodeClient::launch`].

mod connection;
mod exec;
mod launch;
mod streams;
mod terminal;

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::broadcast;

use crate::protocol::{
    ContainerSpec, ContainerStatus, DirSpec, ExecSpec, Listing, NodeEvent, NodeInfo, Refusal, Reply, Request,
    Resources, SandboxSpec, SandboxStatus, ServiceRule, Stats, VolumeContent, frame,
};
use connection::Connection;
pub use exec::{ExecOutput, ExecSession, ExecStdio};
pub use streams::{Attached, Streams, Wanted};
pub use terminal::Terminal;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no node answers in `{dir}`")]
    NotRunning {
        dir: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the node in `{dir}` could not be started: {said}")]
    Launch { dir: PathBuf, said: String },
    #[error("`{exe}` cannot be executed as a node")]
    Spawn {
        exe: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the connection to the node is gone")]
    Gone,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the node answered something else than what was asked")]
    Unexpected,
    #[error("cannot use the socket the node made for `{addr}`")]
    Socket {
        addr: SocketAddrV4,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read the output of the exec")]
    Output(#[source] std::io::Error),
    #[error(transparent)]
    Frame(#[from] frame::Error),
}

impl Error {
    /// The node's reason, when it was the node that refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct NodeClient {
    connection: Arc<Connection>,
}

impl NodeClient {
    /// Connects to the node that runs in `dir`. Needs a tokio runtime.
    pub async fn connect(dir: &Path) -> Result<Self, Error> {
        Ok(Self { connection: Arc::new(Connection::open(dir).await?) })
    }

    /// Starts `exe drydock-node dir`, detached, waits (at most 10 s) until it serves, and connects.
    pub async fn launch(exe: &Path, dir: &Path) -> Result<Self, Error> {
        launch::launch(exe, dir).await?;
        Self::connect(dir).await
    }

    /// The node's process id as the daemon sees it.
    pub fn node_pid(&self) -> Option<i32> {
        self.connection.node_pid()
    }

    /// Resolves when the node is gone or has cut this connection.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Starts, ends of containers from now on. A receiver that lags loses the oldest: then `list`.
    /// Subscribe first and list second, so that nothing falls in between.
    pub async fn subscribe(&self) -> Result<broadcast::Receiver<NodeEvent>, Error> {
        let events = self.connection.events();
        self.done(Request::Subscribe).await?;
        Ok(events)
    }

    pub async fn ping(&self) -> Result<NodeInfo, Error> {
        match self.ask(Request::Ping).await? {
            Reply::Info(info) => Ok(info),
            _ => Err(Error::Unexpected),
        }
    }

    pub async fn list(&self) -> Result<Listing, Error> {
        match self.ask(Request::List).await? {
            Reply::Listing(listing) => Ok(listing),
            _ => Err(Error::Unexpected),
        }
    }

    pub async fn create_sandbox(&self, spec: SandboxSpec) -> Result<SandboxStatus, Error> {
        match self.ask(Request::CreateSandbox(spec)).await? {
            Reply::Sandbox(status) => Ok(status),
            _ => Err(Error::Unexpected),
        }
    }

    /// Kills and removes its containers too. A sandbox that does not exist is no error.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        self.done(Request::RemoveSandbox { id: id.to_owned() }).await
    }

    /// Sets a container up to the point of executing its program. The program's absence is found here.
    pub async fn create_container(&self, spec: ContainerSpec) -> Result<ContainerStatus, Error> {
        self.container(Request::CreateContainer(Box::new(spec))).await
    }

    /// Answers once the program was executed, or could not be.
    pub async fn start_container(&self, id: &str) -> Result<ContainerStatus, Error> {
        self.container(Request::StartContainer { id: id.to_owned() }).await
    }

    pub async fn signal_container(&self, id: &str, signal: i32) -> Result<(), Error> {
        self.done(Request::SignalContainer { id: id.to_owned(), signal }).await
    }

    /// Gives a running container other limits. Refused when it uses more memory than it is to get.
    pub async fn resize_container(&self, id: &str, resources: Resources) -> Result<(), Error> {
        self.done(Request::ResizeContainer { id: id.to_owned(), resources }).await
    }

    /// Kills it if it runs and forgets it; its log and upper directory stay. Absence is no error.
    pub async fn remove_container(&self, id: &str) -> Result<(), Error> {
        self.done(Request::RemoveContainer { id: id.to_owned() }).await
    }

    pub async fn stats(&self, container: &str) -> Result<Stats, Error> {
        match self.ask(Request::Stats { container: container.to_owned() }).await? {
            Reply::Stats(stats) => Ok(stats),
            _ => Err(Error::Unexpected),
        }
    }

    /// Runs a program inside a running container. The node gets copies of `stdio`'s descriptors.
    pub async fn exec(&self, spec: ExecSpec, stdio: ExecStdio) -> Result<ExecSession, Error> {
        exec::start(self, spec, stdio).await
    }

    /// Runs a program and collects what it prints, at most `max_output` bytes of stdout and stderr together.
    pub async fn exec_output(&self, spec: ExecSpec, max_output: usize) -> Result<ExecOutput, Error> {
        exec::output(self, spec, max_output).await
    }

    /// Runs a program and gives our ends of its standard streams.
    pub async fn exec_streams(
        &self,
        spec: ExecSpec,
        wanted: Wanted,
    ) -> Result<(ExecSession, Streams), Error> {
        streams::exec(self, spec, wanted).await
    }

    /// The output of a running container from now on, and its input if it has one.
    pub async fn attach(&self, container: &str) -> Result<Attached, Error> {
        streams::attach(self, container).await
    }

    /// Connects from the node's own network to a pod or service. No timeout of its own.
    pub async fn connect_tcp(&self, addr: SocketAddrV4) -> Result<TcpStream, Error> {
        self.connect_from(None, addr).await
    }

    /// Connects from inside a pod's network, so that its `127.0.0.1` is meant.
    pub async fn connect_tcp_in(&self, sandbox: &str, addr: SocketAddrV4) -> Result<TcpStream, Error> {
        self.connect_from(Some(sandbox.to_owned()), addr).await
    }

    /// Listens in the node's network, on its own or any service address.
    pub async fn bind_tcp(&self, addr: SocketAddrV4) -> Result<TcpListener, Error> {
        let socket = std::net::TcpListener::from(self.socket(Request::BindTcp { addr }).await?);
        TcpListener::from_std(socket).map_err(|source| Error::Socket { addr, source })
    }

    pub async fn bind_udp(&self, addr: SocketAddrV4) -> Result<UdpSocket, Error> {
        let socket = std::net::UdpSocket::from(self.socket(Request::BindUdp { addr }).await?);
        UdpSocket::from_std(socket).map_err(|source| Error::Socket { addr, source })
    }

    /// Replaces all service rules at once. Connections already made stay.
    pub async fn apply_services(&self, services: Vec<ServiceRule>) -> Result<(), Error> {
        self.done(Request::ApplyServices { services }).await
    }

    /// Writes (or atomically replaces) the files of a config volume; answers with the directory to mount.
    pub async fn write_volume(&self, content: VolumeContent) -> Result<PathBuf, Error> {
        self.path(Request::WriteVolume(content)).await
    }

    /// Makes a memory volume shared by a pod's containers; answers with the directory to mount.
    pub async fn make_tmpfs(
        &self,
        volume: &str,
        size_bytes: Option<u64>,
        fs_group: Option<u32>,
    ) -> Result<PathBuf, Error> {
        self.path(Request::MakeTmpfs { volume: volume.to_owned(), size_bytes, fs_group }).await
    }

    /// Removes a volume made by `write_volume` or `make_tmpfs`, or all of a pod's when given its uid.
    pub async fn remove_volume(&self, volume: &str) -> Result<(), Error> {
        self.done(Request::RemoveVolume { volume: volume.to_owned() }).await
    }

    pub async fn make_dir(&self, spec: DirSpec) -> Result<(), Error> {
        self.done(Request::MakeDir(spec)).await
    }

    /// Removes a directory inside the node's folder with all it holds. Absence is no error.
    pub async fn remove_dir(&self, path: &Path) -> Result<(), Error> {
        self.done(Request::RemoveDir { path: path.to_owned() }).await
    }

    /// Ends the node and everything in it; answers when all processes are gone.
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.done(Request::Shutdown).await
    }

    async fn connect_from(&self, sandbox: Option<String>, addr: SocketAddrV4) -> Result<TcpStream, Error> {
        let failed = |source| Error::Socket { addr, source };
        let socket = std::net::TcpStream::from(self.socket(Request::ConnectTcp { addr, sandbox }).await?);
        let stream = TcpStream::from_std(socket).map_err(failed)?;
        stream.writable().await.map_err(failed)?;
        match stream.take_error().map_err(failed)? {
            None => Ok(stream),
            Some(error) => Err(failed(error)),
        }
    }

    async fn socket(&self, request: Request) -> Result<OwnedFd, Error> {
        let mut answer = self.connection.call(request, Vec::new()).await?;
        match (answer.reply, answer.fds.pop()) {
            (Reply::Socket, Some(socket)) => Ok(socket),
            _ => Err(Error::Unexpected),
        }
    }

    async fn container(&self, request: Request) -> Result<ContainerStatus, Error> {
        match self.ask(request).await? {
            Reply::Container(status) => Ok(status),
            _ => Err(Error::Unexpected),
        }
    }

    async fn path(&self, request: Request) -> Result<PathBuf, Error> {
        match self.ask(request).await? {
            Reply::Path(path) => Ok(path),
            _ => Err(Error::Unexpected),
        }
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            _ => Err(Error::Unexpected),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply, Error> {
        Ok(self.connection.call(request, Vec::new()).await?.reply)
    }
}
