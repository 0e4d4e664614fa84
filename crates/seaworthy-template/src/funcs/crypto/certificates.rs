//! X.509 certificates with the fields and extensions that Sprig's have, in Go's order.

use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use num_bigint::BigUint;
use sha2::{Digest as _, Sha256};

use super::der::{
    self, BIT_STRING, OCTET_STRING, OID, SEQUENCE, SET, bit_string, integer, sequence, small, tagged,
};
use super::keys::PrivateKey;
use super::primes;
use crate::error::Failure;

/// The last byte of `2.5.29.N`.
mod extension {
    pub const SUBJECT_KEY: u8 = 14;
    pub const KEY_USAGE: u8 = 15;
    pub const ALTERNATIVE_NAMES: u8 = 17;
    pub const BASIC_CONSTRAINTS: u8 = 19;
    pub const AUTHORITY_KEY: u8 = 35;
    pub const EXTENDED_USAGE: u8 = 37;
}

/// Server and client authentication.
const PURPOSES: [&[u8]; 2] = [&[0x2b, 6, 1, 5, 5, 7, 3, 1], &[0x2b, 6, 1, 5, 5, 7, 3, 2]];

/// What a certificate shall say.
pub struct Request {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub names: Vec<String>,
    pub from: Timestamp,
    pub until: Timestamp,
    pub is_authority: bool,
}

/// What of an authority's certificate goes into those it signs.
pub struct Issuer {
    /// The subject, as it was encoded.
    subject: Vec<u8>,
    key_id: Option<Vec<u8>>,
}

impl Issuer {
    /// `None` when this is no certificate.
    pub fn read(certificate: &[u8]) -> Option<Issuer> {
        let parts = der::in_sequence(certificate)?;
        let [(SEQUENCE, body), (SEQUENCE, _), (BIT_STRING, _)] = parts.as_slice() else { return None };
        let mut rest = *body;
        let mut wholes = Vec::new();
        while !rest.is_empty() {
            let next = der::element(rest)?;
            rest = next.rest;
            wholes.push(next);
        }
        // The version may be absent; then serial number, algorithm, issuer, validity, subject.
        let first = usize::from(wholes.first()?.tag == 0xa0);
        let subject = wholes.get(first + 4).filter(|element| element.tag == SEQUENCE)?;
        let extensions = wholes.iter().find(|element| element.tag == 0xa3).map(|element| element.content);
        Some(Issuer { subject: subject.whole.to_vec(), key_id: extensions.and_then(key_id) })
    }
}

fn key_id(extensions: &[u8]) -> Option<Vec<u8>> {
    for (_, extension) in der::in_sequence(extensions)? {
        let parts = der::elements(extension)?;
        if parts.first()?.1 == [0x55, 0x1d, extension::SUBJECT_KEY] {
            return Some(der::element(parts.last()?.1)?.content.to_vec());
        }
    }
    None
}

impl Request {
    /// The certificate as PEM, signed by `issuer` or by the key itself.
    pub fn issue(&self, key: &PrivateKey, issuer: Option<(&Issuer, &PrivateKey)>) -> Result<String, Failure> {
        let signer = issuer.map_or(key, |(_, signer)| signer);
        let algorithm = signer.signature_algorithm();
        let subject = distinguished(&self.name);
        let issued_by = issuer.map_or_else(|| subject.clone(), |(issuer, _)| issuer.subject.clone());
        let authority_key =
            issuer.and_then(|(issuer, _)| issuer.key_id.clone()).filter(|_| issued_by != subject);
        let body = sequence(&[
            tagged(0xa0, &small(2)),
            integer(&BigUint::from_bytes_be(&primes::random_bytes(16)?)),
            algorithm.clone(),
            issued_by,
            sequence(&[time(self.from), time(self.until)]),
            subject,
            key.public_info(),
            tagged(0xa3, &sequence(&self.extensions(key, authority_key))),
        ]);
        let signature = signer.sign(&body)?;
        let certificate = sequence(&[body, algorithm, bit_string(&signature)]);
        Ok(der::to_pem("CERTIFICATE", &certificate))
    }

    fn extensions(&self, key: &PrivateKey, authority_key: Option<Vec<u8>>) -> Vec<Vec<u8>> {
        // Signing, key encipherment and, for authorities, signing of certificates; unused bits first.
        let usage: &[u8] = if self.is_authority { &[2, 0xa4] } else { &[5, 0xa0] };
        let constraints: &[u8] = if self.is_authority { &[0x01, 1, 0xff] } else { &[] };
        let purposes = PURPOSES.map(|purpose| tagged(OID, purpose));
        let mut all = vec![
            extension(extension::KEY_USAGE, true, tagged(BIT_STRING, usage)),
            extension(extension::EXTENDED_USAGE, false, sequence(&purposes)),
            extension(extension::BASIC_CONSTRAINTS, true, tagged(SEQUENCE, constraints)),
        ];
        if self.is_authority {
            let digest = Sha256::digest(key.public_bits());
            all.push(extension(extension::SUBJECT_KEY, false, tagged(OCTET_STRING, &digest[..20])));
        }
        if let Some(id) = authority_key {
            all.push(extension(extension::AUTHORITY_KEY, false, sequence(&[tagged(0x80, &id)])));
        }
        let names = self.names.iter().map(|name| tagged(0x82, name.as_bytes()));
        let addresses = self.addresses.iter().map(|address| match address {
            IpAddr::V4(address) => tagged(0x87, &address.octets()),
            IpAddr::V6(address) => tagged(0x87, &address.octets()),
        });
        let alternatives: Vec<Vec<u8>> = names.chain(addresses).collect();
        if !alternatives.is_empty() {
            let critical = self.name.is_empty();
            all.push(extension(extension::ALTERNATIVE_NAMES, critical, sequence(&alternatives)));
        }
        all
    }
}

fn extension(number: u8, critical: bool, value: Vec<u8>) -> Vec<u8> {
    let mut parts = vec![tagged(OID, &[0x55, 0x1d, number])];
    if critical {
        parts.push(tagged(0x01, &[0xff]));
    }
    parts.push(tagged(OCTET_STRING, &value));
    sequence(&parts)
}

/// A name of one part, the common name; of none when that is empty.
fn distinguished(name: &str) -> Vec<u8> {
    if name.is_empty() {
        return sequence(&[]);
    }
    let printable = name.chars().all(|c| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c));
    let value = tagged(if printable { 0x13 } else { 0x0c }, name.as_bytes());
    let part = sequence(&[tagged(OID, &[0x55, 0x04, 0x03]), value]);
    sequence(&[tagged(SET, &part)])
}

/// Two digits of the year until 2049, four from then on.
fn time(at: Timestamp) -> Vec<u8> {
    let zoned = at.to_zoned(TimeZone::UTC);
    if (1950..2050).contains(&zoned.year()) {
        return tagged(0x17, zoned.strftime("%y%m%d%H%M%SZ").to_string().as_bytes());
    }
    tagged(0x18, zoned.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}
