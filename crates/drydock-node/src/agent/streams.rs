//! Into a running container: commands, attachments, connections. For the API's exec, attach and port-forward.

use std::net::{Ipv4Addr, SocketAddrV4};

use k8s_openapi::api::core::v1::Pod;
use tokio::net::TcpStream;

use super::Agent;
use crate::client::{self, Attached, ExecSession, Streams, Wanted};
use crate::protocol::ExecSpec;

/// A pod as the API names it; the uid tells it from its successor.
#[derive(Clone, Debug)]
pub struct PodName {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("pods {0:?} not found")]
    NoPod(String),
    #[error("container not found ({0:?})")]
    NotRunning(String),
    #[error("failed to exec in container")]
    Exec(#[source] client::Error),
    #[error("failed to attach to container")]
    Attach(#[source] client::Error),
    #[error("failed to connect to localhost:{port} inside the pod")]
    Connect {
        port: u16,
        #[source]
        source: client::Error,
    },
    #[error("cannot read the pod from the API")]
    Api(#[from] kube::Error),
}

impl Agent {
    /// Runs a program in a container.
    pub async fn exec(
        &self,
        pod: &PodName,
        container: &str,
        args: Vec<String>,
        tty: bool,
        wanted: Wanted,
    ) -> Result<(ExecSession, Streams), StreamError> {
        let container = self.running(pod, container).await?;
        let spec = ExecSpec { container, args, tty, ..ExecSpec::default() };
        self.cx.node.exec_streams(spec, wanted).await.map_err(StreamError::Exec)
    }

    /// The streams of the container's own process.
    pub async fn attach(&self, pod: &PodName, container: &str) -> Result<Attached, StreamError> {
        let container = self.running(pod, container).await?;
        self.cx.node.attach(&container).await.map_err(StreamError::Attach)
    }

    /// A connection to a port of the pod, as its own programs would make it.
    pub async fn connect(&self, pod: &PodName, port: u16) -> Result<TcpStream, StreamError> {
        let addr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let stream = self.cx.node.connect_tcp_in(&pod.uid, addr).await;
        stream.map_err(|source| StreamError::Connect { port, source })
    }

    async fn running(&self, pod: &PodName, container: &str) -> Result<String, StreamError> {
        let object = self.cx.pods(&pod.namespace).get_opt(&pod.name).await?;
        let same = |object: &Pod| object.metadata.uid.as_deref() == Some(&pod.uid);
        let object = object.filter(same).ok_or_else(|| StreamError::NoPod(pod.name.clone()))?;
        Self::container_id(&object, container).ok_or_else(|| StreamError::NotRunning(container.to_owned()))
    }
}
