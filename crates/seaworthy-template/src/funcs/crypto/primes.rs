//! Makes RSA and DSA keys: random primes, tested by Miller and Rabin's method.

use num_bigint::BigUint;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::Failure;

/// All parts of an RSA key, as PKCS #1 lists them.
pub struct RsaKey {
    pub n: BigUint,
    pub e: BigUint,
    pub d: BigUint,
    pub p: BigUint,
    pub q: BigUint,
}

/// All parts of a DSA key, as OpenSSL lists them.
pub struct DsaKey {
    pub p: BigUint,
    pub q: BigUint,
    pub g: BigUint,
    pub y: BigUint,
    pub x: BigUint,
}

/// Rounds with random bases: a composite passes them with a chance below 2^-100 at these sizes.
const ROUNDS: usize = 20;
/// Small primes that most candidates are divisible by.
const SIEVE_TO: u32 = 4_000;
/// Bits of a DSA key's order and modulus.
const DSA_BITS: (usize, usize) = (256, 2048);

pub fn random_bytes(count: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; count];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
    Ok(bytes)
}

/// A random number of exactly this many bits; the two highest are set.
fn random_bits(bits: usize) -> Result<BigUint, Failure> {
    let mut number = BigUint::from_bytes_be(&random_bytes(bits / 8)?);
    number.set_bit(bits as u64 - 1, true);
    number.set_bit(bits as u64 - 2, true);
    Ok(number)
}

fn small_primes() -> Vec<u32> {
    (3..SIEVE_TO).step_by(2).filter(|n| (3..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).collect()
}

fn divisible(number: &BigUint, primes: &[u32]) -> bool {
    primes.iter().any(|prime| number % prime == BigUint::ZERO)
}

fn is_prime(number: &BigUint) -> Result<bool, Failure> {
    let one = BigUint::from(1u8);
    let less = number - &one;
    let twos = less.trailing_zeros().unwrap_or(0);
    let odd = &less >> twos;
    for round in 0..ROUNDS {
        // The first base is two: it finds nearly every composite, and is the cheapest.
        let base = if round == 0 {
            BigUint::from(2u8)
        } else {
            BigUint::from_bytes_be(&random_bytes(32)?) + BigUint::from(3u8)
        };
        let mut power = base.modpow(&odd, number);
        if power == one || power == less {
            continue;
        }
        let mut witness = true;
        for _ in 1..twos {
            power = &power * &power % number;
            if power == less {
                witness = false;
                break;
            }
        }
        if witness {
            return Ok(false);
        }
    }
    Ok(true)
}

fn random_prime(bits: usize, small: &[u32]) -> Result<BigUint, Failure> {
    loop {
        let mut candidate = random_bits(bits)?;
        candidate.set_bit(0, true);
        if !divisible(&candidate, small) && is_prime(&candidate)? {
            return Ok(candidate);
        }
    }
}

/// A new key of `bits` bits with the exponent everybody uses.
pub fn rsa_key(bits: usize) -> Result<RsaKey, Failure> {
    let (one, e) = (BigUint::from(1u8), BigUint::from(65_537u32));
    let small = small_primes();
    loop {
        let (a, b) = (random_prime(bits / 2, &small)?, random_prime(bits / 2, &small)?);
        if a == b {
            continue;
        }
        let (p, q) = if a > b { (a, b) } else { (b, a) };
        if let Some(d) = e.modinv(&((&p - &one) * (&q - &one))) {
            return Ok(RsaKey { n: &p * &q, e, d, p, q });
        }
    }
}

/// A new DSA key: `p - 1` is a multiple of `q`, `g` generates the subgroup of that order.
pub fn dsa_key() -> Result<DsaKey, Failure> {
    let one = BigUint::from(1u8);
    let small = small_primes();
    let (order_bits, bits) = DSA_BITS;
    let q = random_prime(order_bits, &small)?;
    let double = &q * 2u8;
    let p = loop {
        let candidate = random_bits(bits)?;
        let candidate = &candidate - (&candidate % &double) + &one;
        if candidate.bits() == bits as u64 && !divisible(&candidate, &small) && is_prime(&candidate)? {
            break candidate;
        }
    };
    let cofactor = (&p - &one) / &q;
    let g = (2u8..).map(|h| BigUint::from(h).modpow(&cofactor, &p)).find(|g| *g > one).unwrap_or(one);
    let x = BigUint::from_bytes_be(&random_bytes(order_bits / 8)?) % (&q - 1u8) + 1u8;
    let y = g.modpow(&x, &p);
    Ok(DsaKey { p, q, g, y, x })
}
