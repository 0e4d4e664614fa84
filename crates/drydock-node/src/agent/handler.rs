//! Does what probes and lifecycle hooks ask: run a program, fetch a page, open a connection, sleep.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{
    Container, HTTPGetAction, HTTPHeader, LifecycleHandler, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::client::NodeClient;
use crate::protocol::ExecSpec;

/// How much of an answer or output is read, and how much of it goes into an event.
const BODY_MAX_BYTES: usize = 10 * 1024;
const SHOWN_MAX_CHARS: usize = 256;
const USER_AGENT: &str = "kube-probe/1.36";

/// What to do, with names of ports resolved.
#[derive(Clone, Debug, PartialEq)]
pub enum Handler {
    Exec(Vec<String>),
    Http { host: Option<Ipv4Addr>, port: u16, path: String, headers: Vec<HTTPHeader>, https: bool },
    Tcp { host: Option<Ipv4Addr>, port: u16 },
    Sleep(Duration),
}

impl Handler {
    /// `Err` says why it can never work.
    pub fn of_probe(probe: &Probe, container: &Container) -> Result<Self, String> {
        if let Some(exec) = &probe.exec {
            return Ok(Handler::Exec(exec.command.clone().unwrap_or_default()));
        }
        if let Some(http) = &probe.http_get {
            return Self::http(http, container);
        }
        if let Some(tcp) = &probe.tcp_socket {
            return Self::tcp(tcp, container);
        }
        if let Some(grpc) = &probe.grpc {
            // Reaching the port is as much as is checked; the health service itself is not asked yet.
            let port = u16::try_from(grpc.port).map_err(|_| format!("port {} is out of range", grpc.port))?;
            return Ok(Handler::Tcp { host: None, port });
        }
        Err("the probe says nothing to do".to_owned())
    }

    pub fn of_hook(hook: &LifecycleHandler, container: &Container) -> Result<Self, String> {
        if let Some(exec) = &hook.exec {
            return Ok(Handler::Exec(exec.command.clone().unwrap_or_default()));
        }
        if let Some(http) = &hook.http_get {
            return Self::http(http, container);
        }
        if let Some(sleep) = &hook.sleep {
            return Ok(Handler::Sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))));
        }
        if let Some(tcp) = &hook.tcp_socket {
            return Self::tcp(tcp, container);
        }
        Err("the hook says nothing to do".to_owned())
    }

    fn http(action: &HTTPGetAction, container: &Container) -> Result<Self, String> {
        Ok(Handler::Http {
            host: host(action.host.as_deref())?,
            port: port(&action.port, container)?,
            path: action.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into()),
            headers: action.http_headers.clone().unwrap_or_default(),
            https: action.scheme.as_deref() == Some("HTTPS"),
        })
    }

    fn tcp(action: &TCPSocketAction, container: &Container) -> Result<Self, String> {
        Ok(Handler::Tcp { host: host(action.host.as_deref())?, port: port(&action.port, container)? })
    }
}

fn host(host: Option<&str>) -> Result<Option<Ipv4Addr>, String> {
    match host.filter(|h| !h.is_empty()) {
        None => Ok(None),
        Some("localhost") => Ok(Some(Ipv4Addr::LOCALHOST)),
        Some(text) => text.parse().map(Some).map_err(|_| format!("host {text} is not an address")),
    }
}

fn port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let wrong = || format!("port {port:?} is not one of the container's");
    match port {
        IntOrString::Int(number) => u16::try_from(*number).map_err(|_| wrong()),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            let number = named.map(|p| p.container_port).or_else(|| name.parse().ok());
            number
                .and_then(|n| u16::try_from(n).ok())
                .ok_or_else(|| format!("the container has no port named {name}"))
        }
    }
}

/// Where a handler acts.
#[derive(Clone, Debug)]
pub struct Place {
    pub node: NodeClient,
    pub container_id: String,
    pub pod_ip: Ipv4Addr,
}

/// Does it once, at most `timeout` long. `Err` is the sentence for the event.
pub async fn perform(handler: &Handler, place: &Place, timeout: Duration) -> Result<(), String> {
    match handler {
        Handler::Exec(command) => exec(command, place, timeout).await,
        Handler::Sleep(duration) => {
            tokio::time::sleep((*duration).min(timeout)).await;
            Ok(())
        }
        Handler::Tcp { host, port } => {
            let addr = SocketAddrV4::new(host.unwrap_or(place.pod_ip), *port);
            let connect = connect(place, addr);
            match tokio::time::timeout(timeout, connect).await {
                Ok(connected) => connected.map(|_| ()),
                Err(_) => Err(format!("dial tcp {addr}: i/o timeout")),
            }
        }
        Handler::Http { host, port, path, headers, https } => {
            let addr = SocketAddrV4::new(host.unwrap_or(place.pod_ip), *port);
            let scheme = if *https { "https" } else { "http" };
            let get = async {
                if *https {
                    // Without a TLS client here, reaching the port is what can be checked.
                    return connect(place, addr).await.map(|_| ());
                }
                http_get(place, addr, path, headers).await
            };
            match tokio::time::timeout(timeout, get).await {
                Ok(result) => result,
                Err(_) => {
                    Err(format!("Get \"{scheme}://{addr}{path}\": no answer within {} s", timeout.as_secs()))
                }
            }
        }
    }
}

async fn exec(command: &[String], place: &Place, timeout: Duration) -> Result<(), String> {
    let spec = ExecSpec {
        container: place.container_id.clone(),
        args: command.to_vec(),
        timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        ..ExecSpec::default()
    };
    // The node kills it in time; this is for a node that does not answer.
    let margin = timeout + Duration::from_secs(2);
    let output = match tokio::time::timeout(margin, place.node.exec_output(spec, BODY_MAX_BYTES)).await {
        Ok(output) => output.map_err(|error| super::images::chain(&error))?,
        Err(_) => return Err(format!("command timed out after {} s", timeout.as_secs())),
    };
    match (output.exit.timed_out, output.exit.code) {
        (true, _) => Err(format!("command timed out after {} s", timeout.as_secs())),
        (false, 0) => Ok(()),
        (false, code) => {
            let text = String::from_utf8_lossy(&output.output);
            let text = text.trim();
            Err(if text.is_empty() { format!("command exited with {code}") } else { shorten(text) })
        }
    }
}

async fn connect(place: &Place, addr: SocketAddrV4) -> Result<tokio::net::TcpStream, String> {
    // The node's loopback is not the pod's: an address there is meant inside the pod.
    let connected = if addr.ip().is_loopback() {
        place.node.connect_tcp_in(super::spec::pod_of(&place.container_id), addr).await
    } else {
        place.node.connect_tcp(addr).await
    };
    connected.map_err(|error| format!("dial tcp {addr}: {}", super::images::chain(&error)))
}

/// One GET; 200 to 399 is success. Redirects count as success and are not followed.
async fn http_get(
    place: &Place,
    addr: SocketAddrV4,
    path: &str,
    headers: &[HTTPHeader],
) -> Result<(), String> {
    let stream = connect(place, addr).await?;
    let failed =
        |error: hyper::Error| format!("Get \"http://{addr}{path}\": {}", super::images::chain(&error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let request = request(addr, path, headers)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        let body = Limited::new(response.into_body(), BODY_MAX_BYTES).collect().await;
        let body = body.map(|b| String::from_utf8_lossy(&b.to_bytes()).trim().to_owned()).unwrap_or_default();
        tracing::trace!(%addr, path, body, "probe answered with an error");
        Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        result = &mut exchange => result,
        ended = connection => match ended {
            // A server that closes after its answer ends the connection first; the answer is there all the same.
            Ok(()) => exchange.await,
            Err(error) => Err(failed(error)),
        },
    }
}

fn request(addr: SocketAddrV4, path: &str, headers: &[HTTPHeader]) -> Result<Request<Empty<Bytes>>, String> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let uri: Uri = path.parse().map_err(|_| format!("path {path} is not valid"))?;
    let mut request = Request::get(uri).body(Empty::new()).map_err(|error| error.to_string())?;
    let map = request.headers_mut();
    let defaults = [
        ("host", addr.to_string()),
        ("user-agent", USER_AGENT.into()),
        ("accept", "*/*".into()),
        ("connection", "close".into()),
    ];
    for (name, value) in &defaults {
        if let Ok(value) = HeaderValue::from_str(value) {
            map.insert(HeaderName::from_static(name), value);
        }
    }
    for header in headers {
        if let (Ok(name), Ok(value)) =
            (header.name.parse::<HeaderName>(), HeaderValue::from_str(&header.value))
        {
            map.insert(name, value);
        }
    }
    Ok(request)
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(probe: serde_json::Value, expect: &str) {
        let container: Container =
            serde_json::from_value(json!({"name": "c", "ports": [{"name": "web", "containerPort": 3000}]}))
                .unwrap();
        let handler = Handler::of_probe(&serde_json::from_value(probe).unwrap(), &container);
        let shown = match handler {
            Ok(Handler::Http { port, path, .. }) => format!("http {port} {path}"),
            Ok(Handler::Tcp { host, port }) => format!("tcp {host:?} {port}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => error,
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn ports_have_names_or_numbers() {
        check(json!({"httpGet": {"port": "web"}}), "http 3000 /");
        check(json!({"tcpSocket": {"port": 5432}}), "tcp None 5432");
        check(json!({"tcpSocket": {"port": 5432, "host": "127.0.0.1"}}), "tcp Some(127.0.0.1) 5432");
        check(json!({"httpGet": {"port": "none"}}), "the container has no port named none");
    }

    #[test]
    fn a_header_of_the_probe_replaces_a_default() {
        let headers = [HTTPHeader { name: "Host".into(), value: "todo.localhost".into() }];
        let request = request("10.0.0.1:80".parse().unwrap(), "health", &headers).unwrap();
        assert_eq!(request.headers()["host"], "todo.localhost");
        assert_eq!(request.uri(), "/health");
    }
}
