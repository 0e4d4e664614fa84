//! Service accounts' tokens: JWTs signed with our key, bound to an account and maybe a pod, and expiring.
//!
//! A token dies with what it is bound to: the account and the pod must exist with the same uid when it is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING};
use ring::signature::{EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::auth::User;
use crate::meta;
use crate::server::Server;
use crate::status::ApiError;
use crate::stored;

pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
pub const MIN_EXPIRATION_S: i64 = 600;
pub const DEFAULT_EXPIRATION_S: i64 = 3600;
/// Longer requests are shortened to this.
pub const MAX_EXPIRATION_S: i64 = 365 * 24 * 3600;

/// Signs and verifies with the cluster's ECDSA P-256 key.
pub struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok()?;
        Some(Self { key, random })
    }

    pub fn sign(&self, claims: &Value) -> Result<String, ApiError> {
        let header = json!({ "alg": "ES256", "typ": "JWT" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&self.random, message.as_bytes());
        let signature = signature.map_err(|_| ApiError::internal("the token could not be signed"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that we signed; says nothing about its times.
    pub fn verify(&self, token: &str) -> Option<Value> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let parse = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        if parse(header)?["alg"] != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        public.verify(message.as_bytes(), &signature).ok()?;
        parse(claims)
    }
}

/// What a new token is bound to. `pod` is `(name, uid)`.
pub struct Binding<'a> {
    pub account: &'a Value,
    pub pod: Option<(&'a str, &'a str)>,
    pub audiences: Vec<String>,
    pub expiration_s: i64,
}

pub fn claims(binding: &Binding<'_>, now: Timestamp) -> Value {
    let (name, namespace) = (meta::name(binding.account), meta::namespace(binding.account));
    let issued = now.as_second();
    let mut bound = json!({
        "namespace": namespace, "serviceaccount": { "name": name, "uid": meta::uid(binding.account) },
    });
    if let Some((name, uid)) = binding.pod {
        bound["pod"] = json!({ "name": name, "uid": uid });
    }
    json!({
        "iss": ISSUER, "sub": format!("system:serviceaccount:{namespace}:{name}"), "aud": binding.audiences,
        "iat": issued, "nbf": issued, "exp": issued + binding.expiration_s,
        "jti": uuid::Uuid::new_v4().to_string(), "kubernetes.io": bound,
    })
}

/// The user a bearer token stands for; `None` for anything that is not a valid token of ours right now.
pub(crate) fn user_of(server: &Server, token: &str) -> Option<User> {
    let claims = server.pki.signer().verify(token)?;
    let now = server.now().as_second();
    let in_time = claims["nbf"].as_i64()? <= now && now < claims["exp"].as_i64()?;
    let audience = claims["aud"].as_array()?.iter().any(|audience| audience == ISSUER);
    if !in_time || !audience || claims["iss"] != ISSUER {
        return None;
    }
    let bound = &claims["kubernetes.io"];
    let namespace = bound["namespace"].as_str()?;
    let exists = |plural: &str, reference: &Value| {
        let entry =
            server.store.get(&format!("core/{plural}/{namespace}/{}", reference["name"].as_str()?))?;
        let object = stored::decode(&entry).ok()?.value;
        (object["metadata"]["uid"] == reference["uid"]).then_some(())
    };
    exists("serviceaccounts", &bound["serviceaccount"])?;
    if bound.get("pod").is_some() {
        exists("pods", &bound["pod"])?;
    }
    let mut user = User::new(claims["sub"].as_str()?, groups_of(namespace));
    user.uid = bound["serviceaccount"]["uid"].as_str()?.to_owned();
    Some(user)
}

/// The groups every service account of a namespace is in.
pub fn groups_of(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}
