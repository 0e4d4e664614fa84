//! Asks the host's own resolvers about names outside the cluster.
//!
//! From the daemon, not from a pod's network. Bounded: at most [`IN_FLIGHT`] questions at once, each at most
//! [`TRY_WITHIN`] per server and [`SERVERS_MAX`] servers. Answers are passed on byte for byte.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::wire;

const IN_FLIGHT: usize = 256;
const SERVERS_MAX: usize = 3;
const TRY_WITHIN: Duration = Duration::from_secs(2);
const DNS_PORT: u16 = 53;

#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    #[error("the host has no resolver in `/etc/resolv.conf`")]
    NoServer,
    #[error("none of the host's resolvers answered")]
    NoAnswer,
    #[error("too many questions to the host's resolvers at once")]
    Busy,
}

#[derive(Debug)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    slots: Semaphore,
}

impl Upstream {
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        Upstream { servers, slots: Semaphore::new(IN_FLIGHT) }
    }

    /// The host's resolvers as `/etc/resolv.conf` names them; none when it cannot be read.
    pub fn of_host() -> Self {
        let text = std::fs::read_to_string(Path::new("/etc/resolv.conf")).unwrap_or_default();
        Upstream::new(servers_in(&text))
    }

    /// Sends `query` as it is and returns the answer as it is.
    pub async fn ask(&self, query: &[u8], over_tcp: bool) -> Result<Vec<u8>, ForwardError> {
        if self.servers.is_empty() {
            return Err(ForwardError::NoServer);
        }
        let _slot = self.slots.try_acquire().map_err(|_| ForwardError::Busy)?;
        for server in &self.servers {
            let answer = async {
                if over_tcp { ask_tcp(*server, query).await } else { ask_udp(*server, query).await }
            };
            match tokio::time::timeout(TRY_WITHIN, answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "resolver failed"),
                Err(_) => tracing::debug!(%server, "resolver did not answer in time"),
            }
        }
        Err(ForwardError::NoAnswer)
    }
}

async fn ask_udp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 4096];
    // A stray or forged datagram is skipped; the caller's timeout bounds the wait.
    loop {
        let length = socket.recv(&mut buffer).await?;
        if wire::answers_query(query, &buffer[..length]) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], query].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if wire::answers_query(query, &answer) {
        Ok(answer)
    } else {
        Err(std::io::Error::other("answer to another question"))
    }
}

fn servers_in(resolv_conf: &str) -> Vec<SocketAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.split_whitespace().next())
        // A scoped IPv6 address (`fe80::1%eth0`) is left to the host itself.
        .filter_map(|text| text.parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, DNS_PORT))
        .take(SERVERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_from_resolv_conf() {
        let text = "# comment\nsearch lan\nnameserver 192.168.1.1\n  nameserver ::1\nnameserver fe80::1%eth0\noptions edns0\n";
        let expect: Vec<SocketAddr> = vec!["192.168.1.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(servers_in(text), expect);
    }

    #[tokio::test]
    async fn without_a_resolver_the_answer_is_immediate() {
        let error = Upstream::new(vec![]).ask(&[0; 12], false).await.unwrap_err();
        assert!(matches!(error, ForwardError::NoServer));
    }

    #[tokio::test]
    async fn an_answer_to_another_question_is_skipped() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(vec![server.local_addr().unwrap()]);
        let query = wire::Query::encode(9, &wire::Name::parse("a.example"), wire::TYPE_A);
        let ask = async { upstream.ask(&query, false).await.unwrap() };
        let serve = async {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let parsed = wire::parse_query(&buffer[..length]).unwrap();
            let mut forged = wire::Response::code(wire::Rcode::NoError).encode(&parsed, 512);
            forged[1] ^= 1;
            server.send_to(&forged, client).await.unwrap();
            let real = wire::Response::code(wire::Rcode::NxDomain).encode(&parsed, 512);
            server.send_to(&real, client).await.unwrap();
        };
        let (answer, ()) = tokio::join!(ask, serve);
        assert_eq!(answer[3] & 0xf, wire::Rcode::NxDomain as u8);
    }
}
