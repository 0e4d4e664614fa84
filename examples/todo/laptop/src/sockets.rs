//! The three sockets of the application, all taken before anything starts: a port that somebody else has is told at
//! once, with the variable that chooses another, and nothing has to be undone.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use service::config::Settings;
use tokio::net::TcpListener;

const LOOPBACK: &str = "127.0.0.1";

/// What listens, the variable that names its port, and the port where it names none.
struct Place {
    what: &'static str,
    variable: &'static str,
    port: u16,
}

const PAGES: Place = Place { what: "the pages", variable: "PORT", port: frontend::PORT };
const API: Place = Place { what: "the API", variable: "BACKEND_PORT", port: backend::PORT };
const TOOLS: Place = Place { what: "the MCP server", variable: "MCP_PORT", port: mcp_server::PORT };

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{variable}` is not usable")]
    Config { variable: &'static str, source: service::config::Error },
    #[error("{} taken by another program", listed(.0))]
    Taken(Vec<Taken>),
    #[error("cannot listen on `{address}` for {what}")]
    Listen { what: &'static str, address: String, source: std::io::Error },
    #[error("the address of a socket cannot be read")]
    Address(#[source] std::io::Error),
}

/// A port that is not free.
#[derive(Debug)]
pub struct Taken {
    what: &'static str,
    variable: &'static str,
    port: u16,
}

fn listed(taken: &[Taken]) -> String {
    let ports: Vec<String> =
        taken.iter().map(|Taken { what, port, .. }| format!("port {port} for {what}")).collect();
    format!("{} {}", ports.join(" and "), if taken.len() == 1 { "is" } else { "are" })
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Self::Taken(taken) = self else { return None };
        let mut command = String::new();
        for Taken { variable, port, .. } in taken {
            let _ = write!(command, "{variable}={} ", port.checked_add(10).unwrap_or(0));
        }
        Some(format!(
            "stop that program (is the application running already, in another terminal?), or choose another port: \
             `{command}cargo run`"
        ))
    }
}

pub struct Sockets {
    pub pages: TcpListener,
    pub api: TcpListener,
    pub tools: TcpListener,
}

/// Where each part is, for browsers, programs and the other parts.
pub struct Addresses {
    pub pages: String,
    pub api: String,
    pub tools: String,
}

impl Sockets {
    /// `HOST` (default loopback) is for the pages; API and tools are for this machine only. Port 0 means any free one.
    pub async fn bind(settings: &Settings) -> Result<Self, Error> {
        let host = settings.optional("HOST").map_err(|source| Error::Config { variable: "HOST", source })?;
        let host = host.as_deref().unwrap_or(LOOPBACK);
        let mut taken = Vec::new();
        let pages = PAGES.bind(settings, host, &mut taken).await?;
        let api = API.bind(settings, LOOPBACK, &mut taken).await?;
        let tools = TOOLS.bind(settings, LOOPBACK, &mut taken).await?;
        match (pages, api, tools) {
            (Some(pages), Some(api), Some(tools)) => Ok(Self { pages, api, tools }),
            _ => Err(Error::Taken(taken)),
        }
    }

    pub fn addresses(&self) -> Result<Addresses, Error> {
        let url = |socket: &TcpListener| socket.local_addr().map(url).map_err(Error::Address);
        let tools = format!("{}/mcp", url(&self.tools)?);
        Ok(Addresses { pages: url(&self.pages)?, api: url(&self.api)?, tools })
    }
}

impl Place {
    /// The socket, or none and an entry in `taken`.
    async fn bind(
        &self,
        settings: &Settings,
        host: &str,
        taken: &mut Vec<Taken>,
    ) -> Result<Option<TcpListener>, Error> {
        let &Self { what, variable, port } = self;
        let port = settings.parsed(variable, "a port number", port);
        let port = port.map_err(|source| Error::Config { variable, source })?;
        match TcpListener::bind((host, port)).await {
            Ok(socket) => Ok(Some(socket)),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                taken.push(Taken { what, variable, port });
                Ok(None)
            }
            Err(source) => Err(Error::Listen { what, address: format!("{host}:{port}"), source }),
        }
    }
}

/// Something to open in a browser: "every interface" is no address.
fn url(mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip([127, 0, 0, 1].into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, expect: &str) {
        assert_eq!(url(address.parse().unwrap()), expect);
    }

    #[test]
    fn an_address_to_listen_on_becomes_one_to_open() {
        check("127.0.0.1:3000", "http://127.0.0.1:3000");
        check("0.0.0.0:3000", "http://127.0.0.1:3000");
        check("[::]:3000", "http://[::1]:3000");
    }

    #[test]
    fn all_taken_ports_are_told_at_once_with_what_to_type() {
        let error = Error::Taken(vec![
            Taken { what: "the pages", variable: "PORT", port: 3000 },
            Taken { what: "the API", variable: "BACKEND_PORT", port: 8000 },
        ]);
        let expect = "port 3000 for the pages and port 8000 for the API are taken by another program";
        assert_eq!(error.to_string(), expect);
        assert!(error.hint().unwrap().ends_with("`PORT=3010 BACKEND_PORT=8010 cargo run`"));
    }
}
