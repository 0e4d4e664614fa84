//! Private keys: made, read from PEM, written as Go writes them, and used to sign certificates.

use num_bigint::BigUint;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};

use super::der::{self, INTEGER, OCTET_STRING, OID, SEQUENCE, bit_string, integer, sequence, small, tagged};
use super::primes::{self, DsaKey, RsaKey};
use crate::error::Failure;

const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_SHA256_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const EC_OID: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519_OID: &[u8] = &[0x2b, 0x65, 0x70];

/// The curves that ring signs with.
#[derive(Clone, Copy, PartialEq)]
pub enum Curve {
    P256,
    P384,
}

impl Curve {
    fn oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Curve::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
        }
    }

    fn signature_oid(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
            Curve::P384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        }
    }

    fn algorithm(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }

    fn of(oid: &[u8]) -> Option<Curve> {
        [Curve::P256, Curve::P384].into_iter().find(|curve| curve.oid() == oid)
    }
}

pub enum PrivateKey {
    Rsa(RsaKey),
    Dsa(DsaKey),
    Ec { curve: Curve, secret: Vec<u8>, public: Vec<u8> },
    Ed25519 { seed: Vec<u8>, public: Vec<u8> },
}

impl PrivateKey {
    /// A new key of a type that Sprig knows.
    pub fn generate(kind: &str) -> Result<Option<PrivateKey>, Failure> {
        let failed = |_| Failure::from("failed to generate private key");
        let random = SystemRandom::new();
        Ok(Some(match kind {
            "" | "rsa" => PrivateKey::Rsa(primes::rsa_key(4096)?),
            "dsa" => PrivateKey::Dsa(primes::dsa_key()?),
            "ecdsa" => {
                let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
                from_pkcs8(made.map_err(failed)?.as_ref()).map_err(Failure::Message)?
            }
            "ed25519" => ed25519(&primes::random_bytes(32)?).map_err(Failure::Message)?,
            _ => return Ok(None),
        }))
    }

    /// Reads what [`Self::to_pem`] writes; the error is Sprig's.
    pub fn from_pem(text: &str) -> Result<PrivateKey, String> {
        let (label, der) = der::from_pem(text).ok_or("no PEM data in input")?;
        let kind = match label.as_str() {
            "PRIVATE KEY" => {
                return from_pkcs8(&der).map_err(|reason| format!("decoding PEM as PKCS#8: {reason}"));
            }
            label => label
                .strip_suffix(" PRIVATE KEY")
                .ok_or_else(|| format!("no private key data in PEM block of type {label}"))?,
        };
        let parsed = match kind {
            "RSA" => from_pkcs1(&der),
            "EC" => from_sec1(&der, None),
            "DSA" => from_dsa(&der),
            kind => return Err(format!("invalid private key type {kind}")),
        };
        parsed.ok_or_else(|| format!("parsing {kind} private key from PEM: asn1: structure error"))
    }

    /// In the form that Go gives this type of key.
    pub fn to_pem(&self) -> String {
        match self {
            PrivateKey::Rsa(key) => der::to_pem("RSA PRIVATE KEY", &pkcs1(key)),
            PrivateKey::Dsa(key) => {
                let numbers = [&key.p, &key.q, &key.g, &key.y, &key.x].map(integer);
                der::to_pem("DSA PRIVATE KEY", &sequence(&[vec![small(0)], numbers.to_vec()].concat()))
            }
            PrivateKey::Ec { curve, secret, public } => {
                let parts = [
                    small(1),
                    tagged(OCTET_STRING, secret),
                    tagged(0xa0, &tagged(OID, curve.oid())),
                    tagged(0xa1, &bit_string(public)),
                ];
                der::to_pem("EC PRIVATE KEY", &sequence(&parts))
            }
            PrivateKey::Ed25519 { seed, .. } => {
                let algorithm = sequence(&[tagged(OID, ED25519_OID)]);
                let secret = tagged(OCTET_STRING, &tagged(OCTET_STRING, seed));
                der::to_pem("PRIVATE KEY", &sequence(&[small(0), algorithm, secret]))
            }
        }
    }

    /// The public key alone, as a certificate's key identifier hashes it.
    pub fn public_bits(&self) -> Vec<u8> {
        match self {
            PrivateKey::Rsa(key) => sequence(&[integer(&key.n), integer(&key.e)]),
            PrivateKey::Dsa(key) => integer(&key.y),
            PrivateKey::Ec { public, .. } | PrivateKey::Ed25519 { public, .. } => public.clone(),
        }
    }

    /// SubjectPublicKeyInfo.
    pub fn public_info(&self) -> Vec<u8> {
        let algorithm = match self {
            PrivateKey::Rsa(_) => sequence(&[tagged(OID, RSA_OID), tagged(0x05, &[])]),
            PrivateKey::Ec { curve, .. } => sequence(&[tagged(OID, EC_OID), tagged(OID, curve.oid())]),
            PrivateKey::Ed25519 { .. } | PrivateKey::Dsa(_) => sequence(&[tagged(OID, ED25519_OID)]),
        };
        sequence(&[algorithm, bit_string(&self.public_bits())])
    }

    /// AlgorithmIdentifier of this key's signatures.
    pub fn signature_algorithm(&self) -> Vec<u8> {
        match self {
            PrivateKey::Rsa(_) => sequence(&[tagged(OID, RSA_SHA256_OID), tagged(0x05, &[])]),
            PrivateKey::Ec { curve, .. } => sequence(&[tagged(OID, curve.signature_oid())]),
            PrivateKey::Ed25519 { .. } | PrivateKey::Dsa(_) => sequence(&[tagged(OID, ED25519_OID)]),
        }
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let failed = || Failure::from("error creating certificate: the key cannot sign");
        let random = SystemRandom::new();
        match self {
            PrivateKey::Rsa(key) => {
                let pair = RsaKeyPair::from_der(&pkcs1(key)).map_err(|error| {
                    format!("error creating certificate: the RSA key is refused: {error}")
                })?;
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| failed())?;
                Ok(signature)
            }
            PrivateKey::Ec { curve, secret, public } => {
                let algorithm = curve.algorithm();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, secret, public, &random)
                    .map_err(|_| failed())?;
                Ok(pair.sign(&random, message).map_err(|_| failed())?.as_ref().to_vec())
            }
            PrivateKey::Ed25519 { seed, .. } => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| failed())?;
                Ok(pair.sign(message).as_ref().to_vec())
            }
            PrivateKey::Dsa(_) => {
                let reason = "x509: only RSA, ECDSA and Ed25519 keys supported";
                Err(format!("error creating certificate: {reason}").into())
            }
        }
    }
}

fn pkcs1(key: &RsaKey) -> Vec<u8> {
    let one = BigUint::from(1u8);
    let inverse = key.q.modinv(&key.p).unwrap_or_default();
    let (dp, dq) = (&key.d % (&key.p - &one), &key.d % (&key.q - &one));
    let numbers = [&key.n, &key.e, &key.d, &key.p, &key.q, &dp, &dq, &inverse].map(integer);
    sequence(&[vec![small(0)], numbers.to_vec()].concat())
}

fn numbers(der: &[u8]) -> Option<Vec<BigUint>> {
    let parts = der::in_sequence(der)?;
    parts.iter().map(|(tag, content)| (*tag == INTEGER).then(|| BigUint::from_bytes_be(content))).collect()
}

fn from_pkcs1(der: &[u8]) -> Option<PrivateKey> {
    let numbers = numbers(der)?;
    let [_, n, e, d, p, q, ..] = numbers.as_slice() else { return None };
    let one = BigUint::from(1u8);
    if *p <= one || *q <= one || p * q != *n {
        return None;
    }
    let (p, q) = if p > q { (p, q) } else { (q, p) };
    Some(PrivateKey::Rsa(RsaKey { n: n.clone(), e: e.clone(), d: d.clone(), p: p.clone(), q: q.clone() }))
}

fn from_dsa(der: &[u8]) -> Option<PrivateKey> {
    let numbers = numbers(der)?;
    let [_, p, q, g, y, x] = numbers.as_slice() else { return None };
    Some(PrivateKey::Dsa(DsaKey { p: p.clone(), q: q.clone(), g: g.clone(), y: y.clone(), x: x.clone() }))
}

/// An `ECPrivateKey`; inside PKCS #8 the curve stands outside of it.
fn from_sec1(der: &[u8], curve: Option<Curve>) -> Option<PrivateKey> {
    let parts = der::in_sequence(der)?;
    let find = |wanted: u8| parts.iter().find(|(tag, _)| *tag == wanted).map(|(_, content)| *content);
    let secret = find(OCTET_STRING)?.to_vec();
    let named = find(0xa0).and_then(|content| Curve::of(der::element(content)?.content));
    let bits = der::element(find(0xa1)?)?;
    Some(PrivateKey::Ec { curve: named.or(curve)?, secret, public: bits.content.get(1..)?.to_vec() })
}

fn ed25519(seed: &[u8]) -> Result<PrivateKey, String> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| error.to_string())?;
    Ok(PrivateKey::Ed25519 { seed: seed.to_vec(), public: pair.public_key().as_ref().to_vec() })
}

fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, String> {
    let malformed = || "asn1: structure error".to_owned();
    let parts = der::in_sequence(der).ok_or_else(malformed)?;
    let [_, (SEQUENCE, algorithm), (OCTET_STRING, inner), ..] = parts.as_slice() else {
        return Err(malformed());
    };
    let algorithm = der::elements(algorithm).ok_or_else(malformed)?;
    match algorithm.as_slice() {
        [(OID, RSA_OID), ..] => from_pkcs1(inner).ok_or_else(malformed),
        [(OID, EC_OID), (OID, curve), ..] => {
            let curve = Curve::of(curve).ok_or("x509: unknown elliptic curve")?;
            from_sec1(inner, Some(curve)).ok_or_else(malformed)
        }
        [(OID, ED25519_OID), ..] => ed25519(der::element(inner).ok_or_else(malformed)?.content),
        _ => Err("x509: PKCS#8 wrapping contained private key with unknown algorithm".into()),
    }
}
