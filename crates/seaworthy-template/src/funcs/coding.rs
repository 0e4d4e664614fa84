//! Encodings and digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use super::{Function, f, string, text};
use crate::value::Param::Str;
use crate::value::Value;

pub const TABLE: &[Function] = &[
    f("b64enc", &[Str], |_, a| string(STANDARD.encode(bytes(&a[0])))),
    f("b64dec", &[Str], |_, a| match base64_decode(bytes(&a[0])) {
        Ok(decoded) => string(decoded),
        Err(at) => string(format!("illegal base64 data at input byte {at}")),
    }),
    f("b32enc", &[Str], |_, a| string(base32_encode(bytes(&a[0])))),
    f("b32dec", &[Str], |_, a| match base32_decode(&text(&a[0])) {
        Ok(decoded) => string(decoded),
        Err(at) => string(format!("illegal base32 data at input byte {at}")),
    }),
    f("sha256sum", &[Str], |_, a| string(hex(&Sha256::digest(bytes(&a[0]))))),
    f("sha512sum", &[Str], |_, a| string(hex(&Sha512::digest(bytes(&a[0]))))),
    f("sha1sum", &[Str], |_, a| string(hex(&sha1(bytes(&a[0]))))),
    f("adler32sum", &[Str], |_, a| string(adler32(bytes(&a[0])).to_string())),
];

fn bytes(value: &Value) -> &[u8] {
    value.as_bytes().unwrap_or_default()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Go's decoder: line ends are skipped, spare bits ignored; or the position it complains about.
pub fn base64_decode(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    loop {
        let (mut bits, mut count) = (0u32, 0);
        while count < 4 {
            let Some((at, byte)) = rest.next() else {
                return if count == 0 { Ok(out) } else { Err(text.len() - count) };
            };
            match BASE64.iter().position(|symbol| symbol == byte) {
                Some(value) => bits = bits << 6 | value as u32,
                None if *byte == b'=' && count >= 2 => {
                    base64_padding(&mut rest, count, at, text.len())?;
                    let bits = bits << (6 * (4 - count));
                    out.extend_from_slice(&bits.to_be_bytes()[1..count]);
                    return Ok(out);
                }
                None => return Err(at),
            }
            count += 1;
        }
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
    }
}

/// What may follow the first `=`: a second one where two are due, then nothing.
fn base64_padding<'b>(
    rest: &mut impl Iterator<Item = (usize, &'b u8)>,
    count: usize,
    at: usize,
    len: usize,
) -> Result<(), usize> {
    if count == 2 {
        match rest.next() {
            None => return Err(len),
            Some((second, byte)) if *byte != b'=' => return Err(second.max(at)),
            Some(_) => {}
        }
    }
    rest.next().map_or(Ok(()), |(garbage, _)| Err(garbage))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut group = [0u8; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        let symbols = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            let index = (bits >> (35 - 5 * i)) & 31;
            out.push(if i < symbols { BASE32[index as usize] as char } else { '=' });
        }
    }
    out
}

/// The decoded bytes, or the position Go complains about.
fn base32_decode(text: &str) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    for (group, chunk) in text.chunks(8).enumerate() {
        let start = group * 8;
        let symbols = chunk.iter().position(|byte| *byte == b'=' && start + 8 >= text.len());
        let symbols = symbols.filter(|count| *count >= 2).unwrap_or(chunk.len());
        let mut bits = 0u64;
        for (i, byte) in chunk[..symbols].iter().enumerate() {
            let value = BASE32.iter().position(|symbol| symbol == byte).ok_or(start + i)?;
            bits = bits << 5 | value as u64;
        }
        if chunk.len() < 8 {
            return Err(if symbols == chunk.len() { start } else { text.len() });
        }
        if let Some(stray) = chunk[symbols..].iter().position(|byte| *byte != b'=') {
            return Err(start + symbols + stray);
        }
        if matches!(symbols, 1 | 3 | 6) {
            return Err(start + symbols);
        }
        let bytes = (bits << (5 * (8 - symbols))).to_be_bytes();
        out.extend_from_slice(&bytes[3..3 + symbols * 5 / 8]);
    }
    Ok(out)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

/// SHA-1 for `sha1sum` only; nothing here relies on it for security.
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64) + if padded.len() % 64 > 56 { 64 } else { 0 } - 8, 0);
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks_exact(64) {
        sha1_block(&mut state, block);
    }
    let mut out = [0; 20];
    for (slot, word) in out.chunks_exact_mut(4).zip(state) {
        slot.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn sha1_block(state: &mut [u32; 5], block: &[u8]) {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for i in 16..80 {
        words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (i, word) in words.iter().enumerate() {
        let (mix, constant) = match i / 20 {
            0 => (b & c | !b & d, 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let next =
            a.rotate_left(5).wrapping_add(mix).wrapping_add(e).wrapping_add(constant).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (slot, value) in state.iter_mut().zip([a, b, c, d, e]) {
        *slot = slot.wrapping_add(value);
    }
}
