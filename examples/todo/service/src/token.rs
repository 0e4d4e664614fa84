//! JSON Web Tokens signed with HS256, and nothing else: no algorithm is ever read from a token.
//!
//! Two kinds exist, told apart by their audience so that one can never pass for the other: a *session*
//! (a person at the API, days) and a *tool call* (one user's turn at the MCP server, a minute).
//! [`Keys`] signs with the current key and accepts the previous one, so a rotation logs nobody out.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::config::{self, Settings};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const MAX_LEN: usize = 2048;

/// Who may accept a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    #[serde(rename = "todo:session")]
    Session,
    #[serde(rename = "todo:mcp")]
    ToolCall,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user id.
    pub sub: String,
    pub aud: Audience,
    pub iat: u64,
    pub exp: u64,
    /// Unique per token: what a logout revokes.
    pub jti: String,
}

impl Claims {
    /// A fresh claim for `user`, valid from `now_s` for `lifetime_s` seconds.
    pub fn new(user: &str, aud: Audience, now_s: u64, lifetime_s: u64) -> Self {
        let jti = crate::request_id::random_hex(16);
        Self { sub: user.to_owned(), aud, iat: now_s, exp: now_s.saturating_add(lifetime_s), jti }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's signature does not match")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is meant for another service")]
    Audience,
}

/// The key that signs, and those that are accepted besides it during a rotation.
#[derive(Clone)]
pub struct Keys {
    current: Vec<u8>,
    accepted: Vec<Vec<u8>>,
}

impl Keys {
    /// `accepted` keys verify and never sign.
    pub fn new<'a>(current: &str, accepted: impl IntoIterator<Item = &'a str>) -> Self {
        let accepted = accepted.into_iter().map(|key| key.as_bytes().to_vec()).collect();
        Self { current: current.as_bytes().to_vec(), accepted }
    }

    /// Reads `BETTER_AUTH_SECRET` and, for a rotation, `BETTER_AUTH_SECRET_NEXT` and `BETTER_AUTH_SECRET_PREVIOUS`.
    /// While replicas are replaced one by one, each has to accept what the others sign: so a new key is first the
    /// next one everywhere, then signs, while the old one is the previous one until its last token has expired.
    pub fn from_settings(settings: &Settings) -> Result<Self, config::Error> {
        let current = settings.signing_secret("BETTER_AUTH_SECRET")?;
        let mut accepted = Vec::new();
        for name in ["BETTER_AUTH_SECRET_NEXT", "BETTER_AUTH_SECRET_PREVIOUS"] {
            if settings.optional(name)?.is_some() {
                accepted.push(settings.secret(name)?);
            }
        }
        Ok(Self::new(&current, accepted.iter().map(String::as_str)))
    }

    pub fn sign(&self, claims: &Claims) -> String {
        let payload = serde_json::to_vec(claims).expect("claims are plain strings and numbers");
        let signed = format!("{}.{}", base64url(HEADER.as_bytes()), base64url(&payload));
        let tag = mac(&self.current, signed.as_bytes()).finalize().into_bytes();
        format!("{signed}.{}", base64url(&tag))
    }

    /// The claims of a token that is ours, for `audience`, and not expired at `now_s`.
    pub fn verify(&self, token: &str, audience: Audience, now_s: u64) -> Result<Claims, Error> {
        if token.len() > MAX_LEN {
            return Err(Error::Malformed);
        }
        let (signed, tag) = token.rsplit_once('.').ok_or(Error::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Malformed)?;
        let tag = from_base64url(tag).ok_or(Error::Malformed)?;
        if header != base64url(HEADER.as_bytes()) && !is_hs256(header) {
            return Err(Error::Malformed);
        }
        if !self.keys().any(|key| mac(key, signed.as_bytes()).verify_slice(&tag).is_ok()) {
            return Err(Error::Signature);
        }
        let payload = from_base64url(payload).ok_or(Error::Malformed)?;
        let claims: Claims = serde_json::from_slice(&payload).map_err(|_| Error::Malformed)?;
        match claims {
            claims if claims.aud != audience => Err(Error::Audience),
            claims if claims.exp <= now_s => Err(Error::Expired),
            claims => Ok(claims),
        }
    }

    fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        std::iter::once(&self.current).chain(&self.accepted)
    }
}

/// Other libraries order the header's keys differently; the algorithm still has to be ours.
fn is_hs256(header: &str) -> bool {
    from_base64url(header)
        .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
        .is_some_and(|header| header["alg"] == "HS256")
}

fn mac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The place of each byte in the alphabet: every request brings a token, and searching it would cost more than its hash.
const VALUES: [Option<u8>; 256] = {
    let mut values = [None; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = Some(value as u8);
        value += 1;
    }
    values
};

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().enumerate().fold(0u32, |sum, (i, byte)| sum | u32::from(*byte) << (16 - 8 * i));
        for position in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * position) & 63) as usize]));
        }
    }
    text
}

fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for (position, symbol) in chunk.iter().enumerate() {
            group |= u32::from(VALUES[usize::from(*symbol)]?) << (18 - 6 * position);
        }
        let [_, high, middle, low] = group.to_be_bytes();
        bytes.extend_from_slice(&[high, middle, low][..chunk.len().checked_sub(1).filter(|len| *len > 0)?]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    fn token(secret: &str, audience: Audience) -> String {
        Keys::new(secret, []).sign(&Claims::new("u1", audience, 1_000, 60))
    }

    #[track_caller]
    fn check(keys: &Keys, token: &str, now_s: u64, expect: Result<&str, Error>) {
        let claims = keys.verify(token, Audience::Session, now_s);
        assert_eq!(claims.as_ref().map(|claims| claims.sub.as_str()), expect.as_ref().map(|user| *user));
    }

    #[test]
    fn a_signed_token_names_its_user() {
        check(&Keys::new(SECRET, []), &token(SECRET, Audience::Session), 1_059, Ok("u1"));
    }

    #[test]
    fn an_expired_token_is_refused() {
        check(&Keys::new(SECRET, []), &token(SECRET, Audience::Session), 1_060, Err(Error::Expired));
    }

    #[test]
    fn a_token_signed_with_another_key_is_refused() {
        check(&Keys::new(SECRET, []), &token(OTHER, Audience::Session), 1_001, Err(Error::Signature));
    }

    #[test]
    fn a_tool_token_does_not_open_the_api() {
        check(&Keys::new(SECRET, []), &token(SECRET, Audience::ToolCall), 1_001, Err(Error::Audience));
    }

    #[test]
    fn the_previous_key_is_still_accepted_after_a_rotation() {
        check(&Keys::new(OTHER, [SECRET]), &token(SECRET, Audience::Session), 1_001, Ok("u1"));
    }

    #[test]
    fn a_token_without_signature_is_refused() {
        let none = base64url(br#"{"alg":"none"}"#);
        let honest = token(SECRET, Audience::Session);
        let payload = honest.split('.').nth(1).expect("three parts");
        check(&Keys::new(SECRET, []), &format!("{none}.{payload}."), 1_001, Err(Error::Malformed));
        check(&Keys::new(SECRET, []), "garbage", 1_001, Err(Error::Malformed));
        check(&Keys::new(SECRET, []), "a.b.c", 1_001, Err(Error::Malformed));
    }

    #[test]
    fn a_changed_payload_is_refused() {
        let honest = token(SECRET, Audience::Session);
        let parts: Vec<&str> = honest.split('.').collect();
        let forged =
            base64url(&serde_json::to_vec(&Claims::new("u2", Audience::Session, 1_000, 60)).unwrap());
        let forged = format!("{}.{forged}.{}", parts[0], parts[2]);
        check(&Keys::new(SECRET, []), &forged, 1_001, Err(Error::Signature));
    }

    #[test]
    fn base64url_round_trips_every_length() {
        for len in 0..40u8 {
            let bytes: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(from_base64url(&base64url(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn the_token_of_the_standard_is_understood() {
        // RFC 7515 appendix A.1 signs with binary key material; this one is the well-known jwt.io sample shape.
        assert_eq!(base64url(br#"{"alg":"HS256","typ":"JWT"}"#), "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
    }
}
