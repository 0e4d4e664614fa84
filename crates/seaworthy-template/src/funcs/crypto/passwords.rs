//! Passwords: bcrypt hashes, Master Password's derivation, and AES-256 in CBC mode under a padded password.

use std::num::NonZeroU32;

use aes::Aes256;
use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{hmac, pbkdf2};

use super::primes::random_bytes;
use crate::error::Failure;
use crate::funcs::coding::base64_decode;

const BCRYPT_COST: u32 = 10;
/// bcrypt looks at no more; Go refuses instead of ignoring the rest.
const BCRYPT_BYTES: usize = 72;
const BLOCK: usize = 16;

/// The hash, or the sentence that Sprig puts in its place.
pub fn bcrypt(password: &[u8]) -> String {
    let failed = |reason: &str| format!("failed to encrypt string with bcrypt: {reason}");
    if password.len() > BCRYPT_BYTES {
        return failed("bcrypt: password length exceeds 72 bytes");
    }
    let Some(salt) = random_bytes(16).ok().and_then(|salt| <[u8; 16]>::try_from(salt).ok()) else {
        return failed("the system has no random numbers");
    };
    match bcrypt::hash_with_salt(password, BCRYPT_COST, salt) {
        Ok(hash) => hash.format_for_version(bcrypt::Version::TwoA),
        Err(error) => failed(&error.to_string()),
    }
}

fn cipher(password: &[u8]) -> Aes256 {
    let mut key = [0; 32];
    let used = password.len().min(key.len());
    key[..used].copy_from_slice(&password[..used]);
    Aes256::new(&key.into())
}

/// A random first block and the text, padded and chained; in base64.
pub fn encrypt(password: &[u8], text: &[u8]) -> Result<String, Failure> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let cipher = cipher(password);
    let padding = BLOCK - text.len() % BLOCK;
    let padded = [text, &vec![padding as u8; padding]].concat();
    let mut out = random_bytes(BLOCK)?;
    for block in padded.chunks(BLOCK) {
        let previous = &out[out.len() - BLOCK..];
        let mixed: [u8; BLOCK] = std::array::from_fn(|i| block[i] ^ previous[i]);
        let mut mixed = mixed.into();
        cipher.encrypt_block(&mut mixed);
        out.extend_from_slice(&mixed);
    }
    Ok(STANDARD.encode(out))
}

pub fn decrypt(password: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, Failure> {
    if encrypted.is_empty() {
        return Ok(Vec::new());
    }
    let data = base64_decode(encrypted).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    if data.len() < BLOCK {
        // Go's slices have the room that three bytes out of four letters need.
        let capacity = encrypted.iter().filter(|byte| !byte.is_ascii_whitespace()).count() / 4 * 3;
        return Err(format!("runtime error: slice bounds out of range [:16] with capacity {capacity}").into());
    }
    if !data.len().is_multiple_of(BLOCK) {
        return Err("crypto/cipher: input not full blocks".into());
    }
    let cipher = cipher(password);
    let mut out = Vec::with_capacity(data.len());
    for (previous, block) in data.chunks(BLOCK).zip(data.chunks(BLOCK).skip(1)) {
        let mut plain: [u8; BLOCK] = std::array::from_fn(|i| block[i]);
        let mut mixed = plain.into();
        cipher.decrypt_block(&mut mixed);
        plain.copy_from_slice(&mixed);
        out.extend(plain.iter().zip(previous).map(|(a, b)| a ^ b));
    }
    let padding = out.last().map_or(1, |last| usize::from(*last));
    match out.len().checked_sub(padding) {
        Some(length) => {
            out.truncate(length);
            Ok(out)
        }
        None => {
            let end = out.len() as i64 - padding as i64;
            Err(format!("runtime error: slice bounds out of range [:{end}]").into())
        }
    }
}

const SEED: &[u8] = b"com.lyndir.masterpassword";

fn templates(kind: &str) -> Option<&'static [&'static str]> {
    Some(match kind {
        "maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        "long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        "medium" => &["CvcnoCvc", "CvcCvcno"],
        "short" => &["Cvcn"],
        "basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        "pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// A password that is the same wherever it is derived.
pub fn derive(counter: u32, kind: &str, password: &[u8], user: &[u8], site: &[u8]) -> String {
    let Some(templates) = templates(kind) else {
        return format!("cannot find password template {kind}");
    };
    let salt = [SEED, &(user.len() as u32).to_be_bytes(), user].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &scrypt(password, &salt));
    let message = [SEED, &(site.len() as u32).to_be_bytes(), site, &counter.to_be_bytes()].concat();
    let seed = hmac::sign(&key, &message);
    let seed = seed.as_ref();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let pick = |(class, byte): (u8, &u8)| {
        let choices = characters(class);
        char::from(choices[usize::from(*byte) % choices.len()])
    };
    template.bytes().zip(&seed[1..]).map(pick).collect()
}

/// scrypt's cost, block size and parallelism as Master Password sets them.
const COST: usize = 32_768;
const SIZE: usize = 8;
const LANES: usize = 2;
/// 32-bit words of a lane.
const WORDS: usize = 32 * SIZE;

fn scrypt(password: &[u8], salt: &[u8]) -> [u8; 64] {
    let mut lanes = vec![0; LANES * WORDS * 4];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, salt, password, &mut lanes);
    for lane in lanes.chunks_mut(WORDS * 4) {
        let mut words: Vec<u32> =
            lane.chunks(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        mix(&mut words);
        for (bytes, word) in lane.chunks_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    let mut out = [0; 64];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, NonZeroU32::MIN, &lanes, password, &mut out);
    out
}

/// ROMix: fills a large table, then reads it at places that only the data tells.
fn mix(words: &mut Vec<u32>) {
    let mut table = Vec::with_capacity(COST * WORDS);
    for _ in 0..COST {
        table.extend_from_slice(words);
        *words = block_mix(words);
    }
    for _ in 0..COST {
        let at = words[WORDS - 16] as usize % COST * WORDS;
        words.iter_mut().zip(&table[at..at + WORDS]).for_each(|(word, other)| *word ^= other);
        *words = block_mix(words);
    }
}

fn block_mix(words: &[u32]) -> Vec<u32> {
    let mut out = vec![0; WORDS];
    let mut state: [u32; 16] = std::array::from_fn(|i| words[WORDS - 16 + i]);
    for (i, block) in words.chunks(16).enumerate() {
        state.iter_mut().zip(block).for_each(|(word, other)| *word ^= other);
        salsa(&mut state);
        // Even blocks come first, odd ones after them.
        let place = (i / 2 + if i % 2 == 0 { 0 } else { SIZE }) * 16;
        out[place..place + 16].copy_from_slice(&state);
    }
    out
}

/// Which words Salsa20 mixes with which, for columns and for rows.
const QUARTERS: [[usize; 4]; 8] = [
    [0, 4, 8, 12],
    [5, 9, 13, 1],
    [10, 14, 2, 6],
    [15, 3, 7, 11],
    [0, 1, 2, 3],
    [5, 6, 7, 4],
    [10, 11, 8, 9],
    [15, 12, 13, 14],
];

/// Salsa20 with eight rounds.
fn salsa(state: &mut [u32; 16]) {
    let mut x = *state;
    for _ in 0..4 {
        for [a, b, c, d] in QUARTERS {
            x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
            x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
            x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
            x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
        }
    }
    state.iter_mut().zip(x).for_each(|(word, mixed)| *word = word.wrapping_add(mixed));
}
