//! Service accounts' tokens: JWTs signed with our key, bound to an account and maybe a pod, Secret or node, and
//! expiring.
//!
//! A token dies with what it is bound to: everything it names must exist with the same uid when it is used. What has
//! been verified once is remembered with the revisions it rests on, so that a busy client costs no signature and no
//! decoding per request.
//!
//! Start at [`user_of`]; [`claims`] is what a new token says, `signer.rs` the cryptography.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::auth::rbac::rule::quoted;
use crate::auth::{User, account_name};
use crate::meta;
use crate::server::Server;
use crate::stored;

pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Who issues the tokens that lie in Secrets and never expire.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
const LEGACY: &str = "kubernetes.io/serviceaccount";
pub const MIN_EXPIRATION_S: i64 = 600;
pub const MAX_EXPIRATION_S: i64 = 1 << 32;
pub const DEFAULT_EXPIRATION_S: i64 = 3600;
/// A pod's token that is asked for with this life is meant to be renewed; it is honoured for longer, for programs
/// that read it only once.
const RENEWED_S: i64 = 3607;
const EXTENDED_S: i64 = 365 * 24 * 3600;
/// Something deleted this long ago no longer vouches for a token, even while finalizers keep it.
const DELETION_LEEWAY_S: i64 = 60;
/// Verified tokens remembered at most.
const REMEMBERED: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not ours, or not whole.
    #[error("invalid bearer token")]
    Foreign,
    #[error("[invalid bearer token, service account token has expired]")]
    Expired,
    #[error("[invalid bearer token, service account token is not valid yet]")]
    NotYet,
    #[error("[invalid bearer token, service account token has been invalidated]")]
    Invalidated,
    #[error("[invalid bearer token, token audiences {found} is invalid for the target audiences {wanted}]")]
    Audience { found: String, wanted: String },
}

/// What a token is bound to besides its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// `pod`, `secret` or `node`, as claims name it.
    pub what: &'static str,
    pub name: String,
    pub uid: String,
    /// The node of a pod, with an empty uid when it is not known.
    pub node: Option<(String, String)>,
}

/// What a new token is to say.
pub struct Binding<'a> {
    pub account: &'a Value,
    pub bound: Option<Bound>,
    pub audiences: Vec<String>,
    pub expiration_s: i64,
}

pub fn claims(binding: &Binding<'_>, now: Timestamp) -> Value {
    let (name, namespace) = (meta::name(binding.account), meta::namespace(binding.account));
    let issued = now.as_second();
    let mut private = json!({
        "namespace": namespace, "serviceaccount": { "name": name, "uid": meta::uid(binding.account) },
    });
    let mut life_s = binding.expiration_s;
    if let Some(bound) = &binding.bound {
        private[bound.what] = json!({ "name": bound.name, "uid": bound.uid });
        if let Some((name, uid)) = &bound.node {
            private["node"] = json!({ "name": name });
            if !uid.is_empty() {
                private["node"]["uid"] = uid.as_str().into();
            }
        }
        if bound.what == "pod" && life_s == RENEWED_S && binding.audiences.iter().all(|to| to == ISSUER) {
            private["warnafter"] = (issued + life_s).into();
            life_s = EXTENDED_S;
        }
    }
    json!({
        "iss": ISSUER, "sub": account_name(namespace, name), "aud": binding.audiences,
        "iat": issued, "nbf": issued, "exp": issued + life_s,
        "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": private,
    })
}

/// What a token that lies in the Secret `secret` says. It lives as long as account and Secret do.
pub fn legacy_claims(account: &Value, secret: &str) -> Value {
    let (name, namespace) = (meta::name(account), meta::namespace(account));
    json!({
        "iss": LEGACY_ISSUER, "sub": account_name(namespace, name), "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": meta::uid(account),
    })
}

/// What a good token says.
#[derive(Debug, Clone)]
pub struct Told {
    pub user: User,
    /// Which of the audiences asked for it is meant for.
    pub audiences: Vec<String>,
}

/// A token whose signature and form are known to be good.
#[derive(Debug, Clone)]
struct Verified {
    user: User,
    audiences: Vec<String>,
    not_before_s: i64,
    expires_s: i64,
    rests_on: Vec<Support>,
}

/// An object that has to be there for a token to count.
#[derive(Debug, Clone)]
struct Support {
    key: String,
    /// The uid it must have; empty where the name is all that is asked.
    uid: String,
    /// The token that the object must hold, for legacy Secrets.
    holds: Option<String>,
    /// Where it was last seen to be right.
    revision: u64,
}

/// Verified tokens by their hash.
#[derive(Debug, Default)]
pub struct TokenCache {
    known: Mutex<HashMap<[u8; 32], Verified>>,
}

impl TokenCache {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: [u8; 32], verified: Verified) {
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            // Rare, and costs everybody one verification.
            known.clear();
        }
        known.insert(id, verified);
    }
}

/// Whom a bearer token stands for right now, if it is meant for one of `audiences`.
pub(crate) fn user_of(server: &Server, token: &str, audiences: &[String]) -> Result<Told, TokenError> {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    let remembered = server.tokens.lock().get(&id).cloned();
    let mut verified = match remembered {
        Some(verified) => verified,
        None => {
            let claims = server.pki.signer().verify(token).ok_or(TokenError::Foreign)?;
            read(&claims, token).ok_or(TokenError::Foreign)?
        }
    };
    let now = server.now();
    verified.check_time(now.as_second())?;
    let meant: Vec<String> =
        verified.audiences.iter().filter(|audience| audiences.contains(audience)).cloned().collect();
    if meant.is_empty() {
        let (found, wanted) = (quoted(&verified.audiences), quoted(audiences));
        return Err(TokenError::Audience { found, wanted });
    }
    let mut looked = false;
    for support in &mut verified.rests_on {
        looked |= support.check(server, now)?;
    }
    let told = Told { user: verified.user.clone(), audiences: meant };
    if looked {
        server.tokens.remember(id, verified);
    }
    Ok(told)
}

impl Verified {
    fn check_time(&self, now_s: i64) -> Result<(), TokenError> {
        match now_s {
            late if late >= self.expires_s => Err(TokenError::Expired),
            early if early < self.not_before_s => Err(TokenError::NotYet),
            _ => Ok(()),
        }
    }
}

impl Support {
    /// Whether it had to be looked at again, or an error when it does not hold any longer.
    fn check(&mut self, server: &Server, now: Timestamp) -> Result<bool, TokenError> {
        let entry = server.store.get(&self.key).ok_or(TokenError::Invalidated)?;
        if entry.revision == self.revision {
            return Ok(false);
        }
        let object = stored::decode(&entry).map_err(|_| TokenError::Invalidated)?.value;
        let right_uid = self.uid.is_empty() || self.uid == meta::uid(&object);
        let right_token = self.holds.as_ref().is_none_or(|held| object["data"]["token"] == held.as_str());
        let deleted = meta::text(&object, "deletionTimestamp").parse::<Timestamp>();
        let going = deleted.is_ok_and(|at| at.as_second() < now.as_second() - DELETION_LEEWAY_S);
        if !right_uid || !right_token || going {
            return Err(TokenError::Invalidated);
        }
        // What is on its way out is looked at each time, until it is.
        self.revision = if meta::is_deleting(&object) { 0 } else { entry.revision };
        Ok(true)
    }
}

fn read(claims: &Value, token: &str) -> Option<Verified> {
    match claims["iss"].as_str()? {
        ISSUER => read_bound(claims),
        LEGACY_ISSUER => read_legacy(claims, token),
        _ => None,
    }
}

fn read_bound(claims: &Value) -> Option<Verified> {
    let private = &claims["kubernetes.io"];
    let namespace = private["namespace"].as_str()?;
    let account = &private["serviceaccount"];
    let mut rests_on = vec![support("serviceaccounts", namespace, account)?];
    let mut extra = BTreeMap::new();
    let mut tell = |key: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    if let Some(jti) = claims["jti"].as_str() {
        tell("credential-id", &format!("JTI={jti}").into());
    }
    if let Some(secret) = private.get("secret") {
        rests_on.push(support("secrets", namespace, secret)?);
    }
    if let Some(node) = private.get("node") {
        tell("node-name", &node["name"]);
        tell("node-uid", &node["uid"]);
    }
    match private.get("pod") {
        Some(pod) => {
            rests_on.push(support("pods", namespace, pod)?);
            tell("pod-name", &pod["name"]);
            tell("pod-uid", &pod["uid"]);
        }
        None => {
            if let Some(node) = private.get("node") {
                rests_on.push(support("nodes", "", node)?);
            }
        }
    }
    let audiences =
        claims["aud"].as_array()?.iter().filter_map(|audience| audience.as_str().map(str::to_owned));
    Some(Verified {
        user: User {
            extra,
            uid: account["uid"].as_str()?.to_owned(),
            ..User::new(claims["sub"].as_str()?, groups_of(namespace))
        },
        audiences: audiences.collect(),
        not_before_s: claims["nbf"].as_i64()?,
        expires_s: claims["exp"].as_i64()?,
        rests_on,
    })
}

fn read_legacy(claims: &Value, token: &str) -> Option<Verified> {
    use base64::engine::general_purpose::STANDARD;
    let text = |field: &str| claims[format!("{LEGACY}/{field}")].as_str();
    let namespace = text("namespace")?;
    let account = json!({ "name": text("service-account.name")?, "uid": text("service-account.uid")? });
    let secret = json!({ "name": text("secret.name")? });
    let mut holder = support("secrets", namespace, &secret)?;
    holder.holds = Some(STANDARD.encode(token));
    Some(Verified {
        user: User {
            uid: account["uid"].as_str()?.to_owned(),
            ..User::new(claims["sub"].as_str()?, groups_of(namespace))
        },
        audiences: vec![ISSUER.to_owned()],
        not_before_s: i64::MIN,
        expires_s: i64::MAX,
        rests_on: vec![support("serviceaccounts", namespace, &account)?, holder],
    })
}

fn support(plural: &str, namespace: &str, reference: &Value) -> Option<Support> {
    let key = format!("core/{plural}/{namespace}/{}", reference["name"].as_str()?);
    let uid = reference["uid"].as_str().unwrap_or("").to_owned();
    Some(Support { key, uid, holds: None, revision: 0 })
}

/// The groups every service account of a namespace is in.
pub fn groups_of(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_life(bound: Option<&'static str>, audience: &str, asked_s: i64, expect_s: i64) {
        let account = json!({ "metadata": { "name": "a", "namespace": "n", "uid": "u" } });
        let bound = bound.map(|what| Bound { what, name: "p".into(), uid: "1".into(), node: None });
        let binding =
            Binding { account: &account, bound, audiences: vec![audience.into()], expiration_s: asked_s };
        let claims = claims(&binding, Timestamp::UNIX_EPOCH);
        assert_eq!(claims["exp"], expect_s);
    }

    #[test]
    fn only_a_pods_own_token_is_honoured_longer_than_it_asks() {
        check_life(Some("pod"), ISSUER, RENEWED_S, EXTENDED_S);
        check_life(Some("pod"), "vault", RENEWED_S, RENEWED_S);
        check_life(Some("pod"), ISSUER, 3600, 3600);
        check_life(None, ISSUER, RENEWED_S, RENEWED_S);
    }

    #[test]
    fn a_token_counts_from_its_first_second_to_before_its_last() {
        let account = json!({ "metadata": { "name": "a", "namespace": "n", "uid": "u" } });
        let audiences = vec![ISSUER.to_owned()];
        let binding = Binding { account: &account, bound: None, audiences, expiration_s: 600 };
        let now = Timestamp::from_second(1000).unwrap();
        let verified = read(&claims(&binding, now), "").unwrap();
        assert!(matches!(verified.check_time(999), Err(TokenError::NotYet)));
        assert!(verified.check_time(1000).is_ok() && verified.check_time(1599).is_ok());
        assert!(matches!(verified.check_time(1600), Err(TokenError::Expired)));
        assert!(read(&json!({ "iss": "https://elsewhere", "exp": 1 }), "").is_none());
    }
}
