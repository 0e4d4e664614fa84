//! ASN.1 in DER, as far as keys and certificates need it, and its wrapping in PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;

pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OID: u8 = 0x06;

/// Tag, length and content.
pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let used = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | used.len() as u8);
            out.extend_from_slice(used);
        }
    }
    out.extend_from_slice(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(SEQUENCE, &parts.concat())
}

/// A whole number that is not negative.
pub fn integer(number: &BigUint) -> Vec<u8> {
    let mut bytes = number.to_bytes_be();
    if bytes[0] & 0x80 != 0 {
        bytes.insert(0, 0);
    }
    tagged(INTEGER, &bytes)
}

pub fn small(number: u8) -> Vec<u8> {
    tagged(INTEGER, &[number])
}

pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tagged(BIT_STRING, &[&[0], bytes].concat())
}

/// One element at the beginning of some DER.
pub struct Element<'d> {
    pub tag: u8,
    pub content: &'d [u8],
    /// What follows it.
    pub rest: &'d [u8],
    /// Tag, length and content.
    pub whole: &'d [u8],
}

/// The first element.
pub fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(Element { tag, content, rest, whole: &der[..der.len() - rest.len()] })
}

/// The contents of the elements inside a sequence.
pub fn elements(mut der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let first = element(der)?;
        found.push((first.tag, first.content));
        der = first.rest;
    }
    Some(found)
}

/// The elements inside a sequence that is the whole of `der`.
pub fn in_sequence(der: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let whole = element(der).filter(|element| element.tag == SEQUENCE)?;
    elements(whole.content)
}

pub fn to_pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

/// The label and content of the first block.
pub fn from_pem(text: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    // Headers such as `Proc-Type` end with an empty line.
    let body = body.rsplit_once("\n\n").map_or(body, |(_, body)| body);
    let compact: String = body.split_whitespace().collect();
    Some((label.to_owned(), STANDARD.decode(compact).ok()?))
}
