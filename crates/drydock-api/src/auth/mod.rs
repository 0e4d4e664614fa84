//! Who is asking, and whether they may.
//!
//! There are three ways in: a client certificate of our CA, a service account's token, and the in-process door, which
//! names its user itself. Without any of them only the health and version paths are answered, as far as roles allow
//! `system:unauthenticated`; all else is refused. Start at [`authenticate`] and [`authorize`].

pub mod impersonate;
pub mod legacy;
pub mod oidc;
pub mod rbac;
pub mod signer;
pub mod token;

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(crate) use rbac::{Attributes, authorize};

use crate::server::Server;
use crate::status::ApiError;

pub const MASTERS: &str = "system:masters";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
pub const ANONYMOUS: &str = "system:anonymous";
const ACCOUNT: &str = "system:serviceaccount:";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// What may be asked without saying who asks.
const OPEN_PATHS: &[&str] = &["/healthz", "/livez", "/readyz", "/version"];

/// An authenticated caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
    /// The way this user came in from our own process: such requests are not counted against the limits.
    pub(crate) internal: bool,
}

impl User {
    /// A caller by name and groups; everyone who is authenticated is also in `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// The engine itself.
    pub(crate) fn engine() -> Self {
        Self { internal: true, ..Self::new("system:drydock", [MASTERS]) }
    }

    fn anonymous() -> Self {
        Self { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..Self::default() }
    }

    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// As reviews and audit events describe a user.
    pub fn to_value(&self) -> Value {
        let mut info = json!({ "username": self.name, "groups": self.groups });
        if !self.uid.is_empty() {
            info["uid"] = self.uid.as_str().into();
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// The user name a service account signs in as.
pub fn account_name(namespace: &str, name: &str) -> String {
    format!("{ACCOUNT}{namespace}:{name}")
}

/// Namespace and name of the service account behind a user name.
pub fn account_of(user_name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user_name.strip_prefix(ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// The user of a client certificate that TLS has already verified: CN is the name, each O a group.
pub fn user_of_certificate(certificate: &CertificateDer<'_>) -> Option<User> {
    let id: String = digest(&SHA256, certificate).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    let extra = BTreeMap::from([(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={id}")])]);
    Some(User { extra, ..User::new(name, groups) })
}

/// Who sent a request to `path`. `connection` is whom the connection belongs to, if it has presented a certificate or
/// is our own.
pub(crate) fn authenticate(
    server: &Server,
    connection: Option<User>,
    headers: &HeaderMap,
    path: &str,
) -> Result<User, ApiError> {
    match (connection, headers.get(AUTHORIZATION)) {
        (Some(user), _) => Ok(user),
        (None, Some(_)) => bearer(server, headers),
        (None, None) if is_open(path) => Ok(User::anonymous()),
        (None, None) => Err(ApiError::unauthorized()),
    }
}

fn is_open(path: &str) -> bool {
    let under =
        |root: &&str| path == *root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'));
    OPEN_PATHS.iter().any(under)
}

fn bearer(server: &Server, headers: &HeaderMap) -> Result<User, ApiError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) =
        header.and_then(|header| header.split_once(' ')).ok_or_else(ApiError::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthorized());
    }
    let told = token::user_of(server, token.trim(), &[token::ISSUER.to_owned()]);
    told.map(|told| told.user).map_err(|error| {
        tracing::debug!(%error, "a bearer token was refused");
        ApiError::unauthorized()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(user_name: &str, expect: Option<(&str, &str)>) {
        assert_eq!(account_of(user_name), expect);
    }

    #[test]
    fn a_service_account_is_known_by_its_user_name() {
        check("system:serviceaccount:a:b", Some(("a", "b")));
        check("system:serviceaccount:a:", None);
        check("system:serviceaccount:a:b:c", None);
        check("jane", None);
    }

    #[test]
    fn only_health_and_version_are_open() {
        let open: Vec<&str> =
            ["/healthz", "/livez/ping", "/version", "/versions", "/healthzz", "/api", "/metrics", "/"]
                .into_iter()
                .filter(|path| is_open(path))
                .collect();
        assert_eq!(open, ["/healthz", "/livez/ping", "/version"]);
    }
}
