//! HTTP with one registry: the distribution API with its tokens, bounded in every answer.
//!
//! A registry that wants a login says how (`WWW-Authenticate`); the answer is tried once with it, never again.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::credentials::{self, Login, Logins};
use super::reference::Reference;
use crate::http::{self, Access, Bound};

/// Tokens, tag lists, upload answers and manifests are small.
const SMALL: Bound = Bound { bytes: 8 << 20, name: "download-bytes" };

/// Why a registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a reference such as `oci://registry/path/name:version`")]
    Reference(String),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("cannot look up the login")]
    Credentials(#[from] credentials::Error),
    #[error("{reference}: not found")]
    NotFound { reference: String },
    #[error(
        "the registry refuses the login for {host}: {status}; log in with `seaworthy registry login {host}`"
    )]
    Refused { host: String, status: StatusCode },
    #[error("the registry answers {status} to {what}{told}")]
    Status { what: String, status: StatusCode, told: String },
    #[error("the registry's answer to {what} cannot be understood")]
    Answer { what: String, source: serde_json::Error },
    #[error("the registry sends {found} where {wanted} is wanted")]
    Digest { wanted: String, found: String },
    #[error("the registry asks for a login at `{realm}`, which is not a safe place to send it")]
    Realm { realm: String },
    #[error("{0}")]
    Manifest(String),
    #[error(transparent)]
    Archive(Box<crate::source::Error>),
    #[error("it is not a packed chart")]
    Chart(#[from] seaworthy_helm::ChartError),
    #[error(transparent)]
    Version(#[from] crate::index::Error),
    #[error("chart reference and version mismatch: {wanted} is not {found}")]
    Mismatch { wanted: String, found: String },
}

/// A conversation with one registry.
pub struct Session {
    client: reqwest::Client,
    base: Url,
    host: String,
    plain_http: bool,
    login: Option<Login>,
    /// What the last challenge was answered with.
    authorization: Mutex<Option<String>>,
}

/// What one request wants.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: Url,
    pub accept: Option<&'a str>,
    pub body: Option<(&'a str, Vec<u8>)>,
    pub what: String,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Session {
    /// Prepares to speak with the registry of `reference`.
    pub async fn open(reference: &Reference, access: &Access, logins: &Logins) -> Result<Session, Error> {
        Session::at(&reference.host, access, logins).await
    }

    pub async fn at(host: &str, access: &Access, logins: &Logins) -> Result<Session, Error> {
        let scheme = if access.plain_http { "http" } else { "https" };
        let name = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let login = match access.has_credentials() {
            true => Some(Login { username: access.username.clone(), secret: access.password.clone() }),
            false => logins.get(host).await?,
        };
        Ok(Session {
            client: http::client(access)?,
            base: http::parse(&format!("{scheme}://{name}/v2/"))?,
            host: host.to_owned(),
            plain_http: access.plain_http,
            login,
            authorization: Mutex::new(None),
        })
    }

    /// Whether the registry takes the login.
    pub async fn ping(&self) -> Result<(), Error> {
        let url = self.base.clone();
        self.ask(Ask { method: Method::GET, url, accept: None, body: None, what: "a greeting".into() })
            .await
            .map(drop)
    }

    /// A URL below `/v2/`.
    pub(super) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|source| http::Error::Url { url: path.to_owned(), source }.into())
    }

    /// Sends a request, again with a token where the registry asks for one.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Response, Error> {
        let mut response = self.send(&ask).await?;
        if response.status() == StatusCode::UNAUTHORIZED && http::same_host(response.url(), &self.base) {
            let challenge = response.headers().get("www-authenticate").and_then(|value| value.to_str().ok());
            let Some(challenge) = challenge.map(str::to_owned) else {
                return self.refuse(response, &ask).await;
            };
            let answer = self.answer(&challenge).await?;
            *self.authorization.lock().await = Some(answer);
            response = self.send(&ask).await?;
        }
        if response.status().is_success() { Ok(response) } else { self.refuse(response, &ask).await }
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Response, Error> {
        let mut request: RequestBuilder = self.client.request(ask.method.clone(), ask.url.clone());
        if let Some(accept) = ask.accept {
            request = request.header("accept", accept);
        }
        // An upload may be sent elsewhere; the token stays with the registry.
        if http::same_host(&ask.url, &self.base)
            && let Some(authorization) = &*self.authorization.lock().await
        {
            request = request.header("authorization", authorization);
        }
        if let Some((kind, body)) = &ask.body {
            request = request.header("content-type", *kind).body(body.clone());
        }
        Ok(request.send().await.map_err(|source| http::unreachable(&ask.url, source))?)
    }

    async fn refuse(&self, response: Response, ask: &Ask<'_>) -> Result<Response, Error> {
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND => Err(Error::NotFound { reference: ask.what.clone() }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Error::Refused { host: self.host.clone(), status })
            }
            status => {
                let body = http::body(&ask.url, response, Bound { bytes: 64 << 10, ..SMALL }).await;
                let told = body.ok().and_then(|body| told(&body)).map(|told| format!(": {told}"));
                Err(Error::Status { what: ask.what.clone(), status, told: told.unwrap_or_default() })
            }
        }
    }

    /// What to put into `Authorization` for a challenge.
    async fn answer(&self, challenge: &str) -> Result<String, Error> {
        use base64::Engine as _;
        let (scheme, parameters) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            let refused = || Error::Refused { host: self.host.clone(), status: StatusCode::UNAUTHORIZED };
            let login = self.login.as_ref().ok_or_else(refused)?;
            let pair = format!("{}:{}", login.username, login.secret);
            return Ok(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
        }
        let parameter = |name: &str| parameter(parameters, name);
        let realm = parameter("realm").unwrap_or_default();
        let realm = Url::parse(&realm).map_err(|_| Error::Realm { realm })?;
        if realm.scheme() != "https" && !(self.plain_http && realm.scheme() == "http") {
            return Err(Error::Realm { realm: http::shown(&realm) });
        }
        self.token(realm, parameter("service"), parameter("scope")).await
    }

    async fn token(
        &self,
        realm: Url,
        service: Option<String>,
        scope: Option<String>,
    ) -> Result<String, Error> {
        let pairs: Vec<(&str, String)> = [("service", service), ("scope", scope)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        let request = match &self.login {
            // An identity token is exchanged; a password is shown.
            Some(login) if login.username.is_empty() => {
                let grant = [
                    ("grant_type", "refresh_token"),
                    ("refresh_token", login.secret.as_str()),
                    ("client_id", "seaworthy"),
                ];
                let body = url::form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(grant)
                    .extend_pairs(&pairs)
                    .finish();
                self.client
                    .post(realm.clone())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(body)
            }
            Some(login) => {
                self.client.get(realm.clone()).query(&pairs).basic_auth(&login.username, Some(&login.secret))
            }
            None => self.client.get(realm.clone()).query(&pairs),
        };
        let response = request.send().await.map_err(|source| http::unreachable(&realm, source))?;
        if !response.status().is_success() {
            return Err(Error::Refused { host: self.host.clone(), status: response.status() });
        }
        let body = http::body(&realm, response, SMALL).await?;
        let what = "a request for a token".to_owned();
        let token: Token = serde_json::from_slice(&body).map_err(|source| Error::Answer { what, source })?;
        Ok(format!("Bearer {}", if token.token.is_empty() { token.access_token } else { token.token }))
    }

    /// A small document.
    pub(super) async fn document(
        &self,
        ask: Ask<'_>,
    ) -> Result<(Vec<u8>, reqwest::header::HeaderMap), Error> {
        let url = ask.url.clone();
        let response = self.ask(ask).await?;
        let headers = response.headers().clone();
        Ok((http::body(&url, response, SMALL).await?, headers))
    }

    /// A blob, checked against its digest.
    pub(super) async fn blob(
        &self,
        reference: &Reference,
        digest: &str,
        bound: Bound,
    ) -> Result<Vec<u8>, Error> {
        let wanted = crate::cache::plain(digest)
            .ok_or_else(|| Error::Manifest(format!("`{digest}` is not a SHA-256 digest")))?;
        let url = self.url(&format!("{}/blobs/{digest}", reference.path))?;
        let what = format!("{}/{}@{digest}", reference.host, reference.path);
        let response =
            self.ask(Ask { method: Method::GET, url: url.clone(), accept: None, body: None, what }).await?;
        let data = http::body(&url, response, bound).await?;
        let found = crate::cache::digest(&data);
        if !found.eq_ignore_ascii_case(wanted) {
            return Err(Error::Digest { wanted: digest.to_owned(), found: format!("sha256:{found}") });
        }
        Ok(data)
    }
}

/// `name="value"` or `name=value` in a challenge.
fn parameter(parameters: &str, name: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']);
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = next;
    }
    None
}

/// The sentence of a registry's error document.
fn told(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = &document["errors"][0];
    let message = error["message"].as_str().or(error["code"].as_str())?;
    Some(message.chars().filter(|c| !c.is_control()).take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_taken_apart() {
        let text = r#"realm="https://a.test/token",service="reg",scope="repository:x:pull,push""#;
        assert_eq!(parameter(text, "scope").as_deref(), Some("repository:x:pull,push"));
        assert_eq!(parameter(text, "realm").as_deref(), Some("https://a.test/token"));
        assert_eq!(parameter(text, "error"), None);
        assert_eq!(parameter("realm=x, service=y", "service").as_deref(), Some("y"));
    }
}
