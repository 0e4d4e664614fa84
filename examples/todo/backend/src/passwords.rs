//! Passwords: hashed with Argon2id on blocking threads, a few at a time, in memory that stays for the next.
//!
//! A hash works on 19 MB on purpose. Asked for anew each time and given back from whichever thread, they stay with the
//! allocator, many times over; kept here there are as many as were ever needed at once, [`AT_ONCE`] at the most.
//! Comparing takes equally long whether or not there is a hash to compare with, so that addresses cannot be guessed.

use std::sync::{Arc, Mutex, MutexGuard};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::Semaphore;

use crate::error::{ApiError, Result};

/// Without a bound, sign-ups could exhaust the memory limit.
const AT_ONCE: usize = 4;
/// Compared with when there is nothing else: the hash of a password nobody has.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2Vhd29ydGh5LWRlY295$hBaWJt0xTQO5MAGIQ5vC8kDiAvFJS3zNaQeUw9nNDMM";

type Memory = Vec<Block>;

#[derive(Clone)]
pub struct Passwords {
    places: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<Memory>>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), spare: Arc::default() }
    }
}

impl Passwords {
    /// What to store of `password`.
    pub async fn hash(&self, password: String) -> Result<String> {
        let hash = self.work(move |memory| fresh_hash(&password, memory)).await?;
        hash.ok_or(ApiError::Unavailable)
    }

    /// Whether `hash` is of `password`; none is never, after as long.
    pub async fn matches(&self, password: String, hash: Option<String>) -> Result<bool> {
        let hash = hash.unwrap_or_else(|| DECOY.to_owned());
        self.work(move |memory| matches(&password, &hash, memory).unwrap_or(false)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T> {
        let place = self.places.clone().acquire_owned().await.map_err(|_| ApiError::Unavailable)?;
        let passwords = self.clone();
        let working = tokio::task::spawn_blocking(move || {
            let mut memory = passwords.spare().pop().unwrap_or_default();
            let outcome = work(&mut memory);
            passwords.spare().push(memory);
            // The work goes on when its caller leaves, and so does its place.
            drop(place);
            outcome
        });
        working.await.map_err(|_| ApiError::Unavailable)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn fresh_hash(password: &str, memory: &mut Memory) -> Option<String> {
    let (algorithm, version, params) = (Algorithm::default(), Version::default(), Params::default());
    let mut hash = PasswordHash {
        algorithm: algorithm.ident(),
        version: Some(version.into()),
        params: ParamsString::try_from(&params).ok()?,
        salt: Some(Salt::generate()),
        hash: None,
    };
    hash.hash = Some(output(password, &hash, Params::DEFAULT_OUTPUT_LEN, memory)?);
    Some(hash.to_string())
}

/// None when `hash` is none of ours.
fn matches(password: &str, hash: &str, memory: &mut Memory) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let expected = hash.hash.as_ref()?;
    // Outputs are compared in constant time.
    Some(output(password, &hash, expected.len(), memory)? == *expected)
}

/// What becomes of `password` the way `hash` says.
fn output(password: &str, hash: &PasswordHash, len: usize, memory: &mut Memory) -> Option<Output> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = Version::try_from(hash.version?).ok()?;
    let params = Params::try_from(&hash.params).ok()?;
    memory.resize(params.block_count(), Block::new());
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..len)?;
    let argon2 = Argon2::new(algorithm, version, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), hash.salt.as_ref()?, bytes, memory).ok()?;
    Output::new(bytes).ok()
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn the_decoy_is_a_hash_that_costs_as_much_as_a_real_one() {
        let real = fresh_hash("correct horse", &mut Memory::new()).expect("hashing works");
        assert_eq!(real.split('$').nth(3), DECOY.split('$').nth(3));
        assert_eq!(matches("correct horse", DECOY, &mut Memory::new()), Some(false));
    }

    #[test]
    fn a_hash_is_what_the_library_makes_and_accepts_whatever_was_hashed_before() {
        let mut memory = Memory::new();
        for password in ["correct horse", "battery staple"] {
            let ours = fresh_hash(password, &mut memory).expect("hashing works");
            let parsed = PasswordHash::new(&ours).expect("a well-formed hash");
            assert!(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
            let theirs =
                Argon2::default().hash_password(password.as_bytes()).expect("hashing works").to_string();
            assert_eq!(matches(password, &theirs, &mut memory), Some(true));
            assert_eq!(matches("wrong horse", &theirs, &mut memory), Some(false));
        }
        assert_eq!(matches("correct horse", "no hash at all", &mut memory), None);
    }
}
