//! Values as memory holds them: packed, because objects of one cluster say the same words again and again.
//!
//! Only memory holds packed values; files and callers see them as they were written. What repeats in all of them is
//! named by the store's opener ([`Options::words`](crate::Options)) and costs each value next to nothing. A value that
//! does not become much shorter stays as it is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};

/// Shorter ones are not worth the work.
const PACK_FROM_BYTES: usize = 128;

/// A value, maybe packed. Cheap to clone.
#[derive(Clone)]
pub struct Packed {
    bytes: Arc<[u8]>,
    /// What it was packed with; `None` for bytes that are the value itself.
    words: Option<&'static [u8]>,
}

impl Packed {
    pub fn new(value: &[u8], words: &'static [u8]) -> Self {
        if value.len() >= PACK_FROM_BYTES {
            let packed = compress_prepend_size_with_dict(value, words);
            if packed.len() < value.len() / 8 * 7 {
                return Self { bytes: packed.into(), words: Some(words) };
            }
        }
        Self { bytes: value.into(), words: None }
    }

    /// The value as it was written.
    pub fn plain(&self) -> Cow<'_, [u8]> {
        match self.words {
            None => Cow::Borrowed(&self.bytes),
            Some(words) => {
                let plain = decompress_size_prepended_with_dict(&self.bytes, words);
                Cow::Owned(plain.expect("what was packed with these words opens with them"))
            }
        }
    }

    /// How long the value is that was written.
    pub fn plain_bytes(&self) -> usize {
        let prefix = self.words.and(self.bytes.first_chunk());
        prefix.map_or(self.bytes.len(), |length| u32::from_le_bytes(*length) as usize)
    }

    /// What it takes in memory.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.plain() == other.plain()
    }
}

impl Eq for Packed {}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Packed {
    fn eq(&self, value: &T) -> bool {
        *self.plain() == *value.as_ref()
    }
}

/// The size only: a value may be a secret.
impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.size_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORDS: &[u8] = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"#;

    #[track_caller]
    fn check(value: &[u8], is_shorter: bool) {
        for words in [WORDS, b""] {
            let packed = Packed::new(value, words);
            assert!(packed == *value);
            assert_eq!(packed.plain_bytes(), value.len());
            assert_eq!(packed.size_bytes() < value.len(), is_shorter, "{packed:?}");
        }
    }

    #[test]
    fn what_repeats_takes_little() {
        check(&b"settings=value;".repeat(100), true);
        check(&[WORDS, &[b' '; 200]].concat(), true);
    }

    #[test]
    fn short_values_and_noise_stay_as_they_are() {
        check(b"", false);
        check(&WORDS[..40], false);
        let noise: Vec<u8> = (0..4096).map(|_| rand::random()).collect();
        check(&noise, false);
    }

    proptest! {
        #[test]
        fn every_value_comes_back_as_it_was(parts in prop::collection::vec((any::<u8>(), 0..400_usize), 0..40)) {
            let value: Vec<u8> = parts.iter().flat_map(|(byte, count)| vec![*byte; *count]).collect();
            prop_assert!(Packed::new(&value, WORDS) == *value);
        }
    }
}
