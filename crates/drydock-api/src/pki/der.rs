//! Just enough DER to write a certificate.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const OBJECT_ID: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;
const BOOLEAN: u8 = 0x01;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A value with its tag and length.
pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        short @ 0..0x80 => out.push(short as u8),
        long => {
            let bytes = long.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            out.push(0x80 | bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// A value of explicit tag `number`.
pub fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

pub fn bits(content: &[u8], unused: u8) -> Vec<u8> {
    tlv(BIT_STRING, &[&[unused], content].concat())
}

/// An extension of the object id whose content is `id`.
pub fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(BOOLEAN, &[0xff]) } else { Vec::new() };
    sequence(&[tlv(OBJECT_ID, id), critical, tlv(OCTET_STRING, value)])
}

/// Years before 2050 have two digits, as certificates want it.
pub fn time(at: Timestamp) -> Vec<u8> {
    let zoned = at.to_zoned(TimeZone::UTC);
    match zoned.year() {
        ..2050 => tlv(UTC_TIME, zoned.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()),
        _ => tlv(GENERALIZED_TIME, zoned.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(tlv(4, &[7]), [4, 1, 7]);
        assert_eq!(tlv(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tlv(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn times_from_2050_on_have_four_digits() {
        assert_eq!(time("2026-01-02T03:04:05Z".parse().unwrap())[2..], *b"260102030405Z");
        assert_eq!(time("2050-01-02T03:04:05Z".parse().unwrap())[2..], *b"20500102030405Z");
    }
}
