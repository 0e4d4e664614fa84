//! The cryptography of tokens: signing JWTs with the cluster's key, verifying them with it and those before it.
//!
//! Knows nothing of what a token claims. Start at [`Signer`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING};
use ring::signature::{EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::status::ApiError;

/// What precedes a P-256 public key in its DER form; the key's id is taken over both.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public key under the name that tokens know it by.
struct PublicKey {
    id: String,
    /// The uncompressed point.
    point: Vec<u8>,
}

impl PublicKey {
    fn of(key: &EcdsaKeyPair) -> Self {
        let point = key.public_key().as_ref().to_vec();
        let id = digest(&SHA256, &[&SPKI_HEAD, &point[..]].concat());
        Self { id: URL_SAFE_NO_PAD.encode(id), point }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.point[1..].split_at(self.point.len() / 2);
        json!({
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// Signs with the cluster's ECDSA P-256 key; verifies with that one and those before it.
pub struct Signer {
    key: EcdsaKeyPair,
    /// The key that signs first.
    known: Vec<PublicKey>,
    random: SystemRandom,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// `former` are the keys whose tokens are still honoured.
    pub fn from_pkcs8(der: &[u8], former: &[Vec<u8>]) -> Option<Self> {
        let random = SystemRandom::new();
        let parse =
            |der: &[u8]| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).ok();
        let key = parse(der)?;
        let mut known = vec![PublicKey::of(&key)];
        for der in former {
            known.push(PublicKey::of(&parse(der)?));
        }
        Some(Self { key, known, random })
    }

    pub fn sign(&self, claims: &Value) -> Result<String, ApiError> {
        let header = json!({ "alg": "ES256", "kid": self.known[0].id, "typ": "JWT" });
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
        let header = parse(header)?;
        if header["alg"] != "ES256" {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        // Tokens from before keys had names name none.
        let named = |key: &&PublicKey| header["kid"].as_str().is_none_or(|id| id == key.id);
        let signed = |key: &PublicKey| {
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point);
            public.verify(message.as_bytes(), &signature).is_ok()
        };
        self.known.iter().filter(named).any(signed).then(|| parse(claims))?
    }

    /// The keys as `/openid/v1/jwks` publishes them.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.known.iter().map(PublicKey::jwk).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Vec<u8> {
        rcgen::KeyPair::generate().unwrap().serialize_der()
    }

    fn signer(current: &[u8], former: &[Vec<u8>]) -> Signer {
        Signer::from_pkcs8(current, former).unwrap()
    }

    #[test]
    fn a_token_of_a_former_key_is_still_good_and_one_of_another_key_never() {
        let (old, new, foreign) = (key(), key(), key());
        let token = signer(&old, &[]).sign(&json!({ "a": 1 })).unwrap();
        assert_eq!(signer(&new, std::slice::from_ref(&old)).verify(&token), Some(json!({ "a": 1 })));
        assert_eq!(signer(&new, &[foreign]).verify(&token), None);
    }

    #[test]
    fn the_published_keys_name_every_key_that_counts() {
        let (old, new) = (key(), key());
        let jwks = signer(&new, std::slice::from_ref(&old)).jwks();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2);
        let token = signer(&new, &[]).sign(&json!({})).unwrap();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header["kid"], keys[0]["kid"]);
        let length = |name: &str| URL_SAFE_NO_PAD.decode(keys[0][name].as_str().unwrap()).unwrap().len();
        assert_eq!((length("x"), length("y")), (32, 32));
    }

    #[test]
    fn an_algorithm_that_is_none_or_another_is_not_followed() {
        let signer = signer(&key(), &[]);
        let claims = URL_SAFE_NO_PAD.encode("{}");
        for alg in ["none", "HS256", ""] {
            let header = URL_SAFE_NO_PAD.encode(json!({ "alg": alg }).to_string());
            assert_eq!(signer.verify(&format!("{header}.{claims}.")), None, "{alg}");
        }
    }
}
