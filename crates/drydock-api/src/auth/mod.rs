//! Who is asking, and whether they may.
//!
//! There are three ways in: a client certificate of our CA, a service account's token, and the in-process door, which
//! names its user itself. Anonymous requests are refused. Start at [`authenticate`] and [`authorize`].

pub mod rbac;
pub mod token;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, X509Certificate};

pub(crate) use rbac::{Attributes, authorize};

use crate::server::Server;
use crate::status::ApiError;

pub const MASTERS: &str = "system:masters";
const AUTHENTICATED: &str = "system:authenticated";
const ACCOUNT: &str = "system:serviceaccount:";

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
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
        Self { name: name.into(), uid: String::new(), groups, internal: false }
    }

    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// The user of a client certificate that TLS has already verified: CN is the name, each O a group.
pub fn user_of_certificate(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok());
    Some(User::new(name, groups))
}

/// `connection` is whom the connection belongs to, if it has presented a certificate or is our own.
pub(crate) fn authenticate(
    server: &Server,
    connection: Option<User>,
    headers: &HeaderMap,
) -> Result<User, ApiError> {
    let user = match connection {
        Some(user) => user,
        None => bearer(server, headers)?,
    };
    impersonated(server, user, headers)
}

fn bearer(server: &Server, headers: &HeaderMap) -> Result<User, ApiError> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) =
        header.and_then(|header| header.split_once(' ')).ok_or_else(ApiError::unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::unauthorized());
    }
    token::user_of(server, token.trim()).ok_or_else(ApiError::unauthorized)
}

/// The user to act as, when the caller names one (`kubectl --as`) and has the right to. Never silently the caller.
fn impersonated(server: &Server, caller: User, headers: &HeaderMap) -> Result<User, ApiError> {
    let texts =
        |name: &str| headers.get_all(name).iter().filter_map(|value| value.to_str().ok().map(str::to_owned));
    let groups: Vec<String> = texts("impersonate-group").collect();
    let Some(name) = texts("impersonate-user").next() else {
        let extra = headers.keys().any(|name| name.as_str().starts_with("impersonate-"));
        return match extra {
            false => Ok(caller),
            true => Err(ApiError::bad_request("requested impersonation without naming a user")),
        };
    };
    let may = |plural, namespace, name: &str| {
        let wanted = Attributes { verb: "impersonate", plural, namespace, name, ..Attributes::default() };
        authorize(server, &caller, &wanted)
    };
    let account = name.strip_prefix(ACCOUNT).and_then(|rest| rest.split_once(':'));
    match account {
        Some((namespace, account)) => may("serviceaccounts", Some(namespace), account)?,
        None => may("users", None, &name)?,
    }
    groups.iter().try_for_each(|group| may("groups", None, group))?;
    let implied = account.into_iter().flat_map(|(namespace, _)| token::groups_of(namespace));
    Ok(User { internal: caller.internal, ..User::new(name.clone(), groups.into_iter().chain(implied)) })
}
