//! Plain downloads: bounded, with the credentials and certificates a repository asks for.
//!
//! Credentials go to the host they were given for and to no other, unless the person says so.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Connecting; a host that does not answer by then will not.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two pieces of a body. The whole is bounded by size, so that slow links are not cut off.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How a host is spoken to.
#[derive(Clone, Default)]
pub struct Access {
    pub username: String,
    pub password: String,
    /// Credentials also go to hosts that an index refers to.
    pub pass_credentials: bool,
    pub ca_file: Option<PathBuf>,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub insecure_skip_tls_verify: bool,
    /// Registries are asked without TLS.
    pub plain_http: bool,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Access {
    pub fn has_credentials(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{url}` is not a URL")]
    Url { url: String, source: url::ParseError },
    #[error("cannot fetch `{url}`: only http, https and oci are supported")]
    Scheme { url: String },
    #[error("cannot reach `{url}`")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("failed to fetch {url} : {status}")]
    Status { url: String, status: reqwest::StatusCode },
    #[error("`{url}` is larger than the limit of {limit} bytes; raise it with `--limit {name}=`")]
    TooLarge { url: String, limit: usize, name: &'static str },
    #[error("cannot read `{path}`")]
    File { path: String, source: std::io::Error },
    #[error("`{path}` does not hold a certificate or key in PEM")]
    Pem { path: String, source: reqwest::Error },
    #[error("`--cert-file` and `--key-file` belong together")]
    HalfIdentity,
    #[error("cannot prepare connections")]
    Client { source: reqwest::Error },
}

/// A bound with the name under which it can be raised.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub bytes: usize,
    pub name: &'static str,
}

/// A URL without what must not stand in messages: user, password, and the query, which may be a signature.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.to_string()
}

pub fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|source| Error::Url { url: url.to_owned(), source })
}

/// Fetches `url` with the certificates of `access`; its credentials are sent when `owner` is of the same host.
pub async fn fetch(url: &Url, owner: &Url, access: &Access, bound: Bound) -> Result<Vec<u8>, Error> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::Scheme { url: shown(url) });
    }
    let mut request = client(access)?.get(url.clone());
    request = request.header("accept", "application/gzip,application/octet-stream,*/*");
    if access.has_credentials() && (access.pass_credentials || same_host(url, owner)) {
        request = request.basic_auth(&access.username, Some(&access.password));
    }
    let response = request.send().await.map_err(|source| unreachable(url, source))?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(Error::Status { url: shown(url), status: response.status() });
    }
    body(url, response, bound).await
}

pub(crate) fn unreachable(url: &Url, source: reqwest::Error) -> Error {
    Error::Unreachable { url: shown(url), source: source.without_url() }
}

/// Host, port and scheme; a chart on another port is another service.
pub(crate) fn same_host(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

/// The body, read piece by piece and given up where it grows beyond its bound.
pub(crate) async fn body(url: &Url, mut response: reqwest::Response, bound: Bound) -> Result<Vec<u8>, Error> {
    let too_large = || Error::TooLarge { url: shown(url), limit: bound.bytes, name: bound.name };
    if response.content_length().is_some_and(|length| length > bound.bytes as u64) {
        return Err(too_large());
    }
    let mut data = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|source| unreachable(url, source))? {
        if data.len() + piece.len() > bound.bytes {
            return Err(too_large());
        }
        data.extend_from_slice(&piece);
    }
    Ok(data)
}

/// A client with the certificates of `access`.
pub(crate) fn client(access: &Access) -> Result<reqwest::Client, Error> {
    // A second installation is harmless: the first provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| Error::File { path: path.display().to_string(), source })
    };
    let pem = |path: &PathBuf| {
        let path = path.display().to_string();
        move |source| Error::Pem { path, source }
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("seaworthy/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .tls_danger_accept_invalid_certs(access.insecure_skip_tls_verify);
    if let Some(path) = &access.ca_file {
        let roots = reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(pem(path))?;
        builder = builder.tls_certs_only(roots);
    }
    match (&access.cert_file, &access.key_file) {
        (None, None) => {}
        (Some(certificate), Some(key)) => {
            let mut both = read(key)?;
            both.push(b'\n');
            both.extend(read(certificate)?);
            builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(pem(certificate))?);
        }
        _ => return Err(Error::HalfIdentity),
    }
    builder.build().map_err(|source| Error::Client { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_shows_of_a_url_holds_no_secret() {
        let url = parse("https://me:pw@host.test/a.tgz?X-Amz-Signature=abc").unwrap();
        assert_eq!(shown(&url), "https://host.test/a.tgz?...");
    }

    #[test]
    fn another_port_is_another_host() {
        let url = |text: &str| parse(text).unwrap();
        assert!(same_host(&url("https://a.test/x"), &url("https://a.test:443/y")));
        assert!(!same_host(&url("https://a.test/x"), &url("https://a.test:444/x")));
        assert!(!same_host(&url("https://a.test/x"), &url("http://a.test/x")));
    }

    #[test]
    fn credentials_are_never_printed() {
        let access = Access { username: "me".into(), password: "secret".into(), ..Access::default() };
        assert!(!format!("{access:?}").contains("secret"));
    }
}
