//! Short stable names for contents, in the form upstream gives them. Pure.
//!
//! Start at [`short_hash`].

use serde::Serialize;

/// The letters Kubernetes allows in generated names: no vowels, nothing easily misread.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of `content` and how often its name was taken already.
pub fn short_hash(content: &impl Serialize, collisions: i32) -> String {
    // Serialising our own typed structs into memory cannot fail.
    let mut bytes = serde_json::to_vec(content).unwrap_or_default();
    if collisions > 0 {
        bytes.extend_from_slice(&collisions.to_le_bytes());
    }
    safe_encode(&fnv1a_32(&bytes).to_string())
}

fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn safe_encode(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_fnv1a() {
        assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
        assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn a_collision_count_changes_the_name() {
        assert_ne!(short_hash(&"x", 0), short_hash(&"x", 1));
        assert_eq!(short_hash(&"x", 0), short_hash(&"x", 0));
    }
}
