//! Random texts and numbers.

use super::{Function, Returned, f, int, string};
use crate::value::Param::{Int, Str};
use crate::value::Value;

pub const TABLE: &[Function] = &[
    f("uuidv4", &[], |_, _| string(uuid::Uuid::new_v4().to_string())),
    f("randAlphaNum", &[Int], |_, a| random(&a[0], |b| b.is_ascii_alphanumeric())),
    f("randAlpha", &[Int], |_, a| random(&a[0], |b| b.is_ascii_alphabetic())),
    f("randNumeric", &[Int], |_, a| random(&a[0], |b| b.is_ascii_digit())),
    f("randAscii", &[Int], |_, a| random(&a[0], |b| (b' '..=b'~').contains(&b))),
    f("randBytes", &[Int], |_, a| {
        use base64::Engine as _;
        let bytes: Vec<u8> = entropy().take(count(&a[0])?).collect();
        string(base64::engine::general_purpose::STANDARD.encode(bytes))
    }),
    f("randInt", &[Int, Int], |_, a| {
        let (min, max) = (int(&a[0]), int(&a[1]));
        match u64::try_from(max.saturating_sub(min)) {
            Ok(span) if span > 0 => {
                Ok(Value::Int(min + (uuid::Uuid::new_v4().as_u64_pair().0 % span) as i64))
            }
            _ => Err("invalid argument to Intn".into()),
        }
    }),
    f("shuffle", &[Str], |_, a| {
        let mut chars: Vec<char> = super::text(&a[0]).chars().collect();
        for (i, byte) in (1..chars.len()).rev().zip(entropy().step_by(1)) {
            chars.swap(i, usize::from(byte) % (i + 1));
        }
        string(chars.iter().collect::<String>())
    }),
];

/// The longest random text; longer ones are mistakes.
const MAX_RANDOM: i64 = 1 << 20;

fn count(value: &Value) -> Result<usize, crate::error::Failure> {
    match int(value) {
        n @ 0..=MAX_RANDOM => Ok(n as usize),
        n => Err(format!("cannot make {n} random characters").into()),
    }
}

/// Random bytes of the operating system, by way of version 4 UUIDs without their fixed bits.
fn entropy() -> impl Iterator<Item = u8> {
    std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes()).flat_map(|bytes| {
        bytes.into_iter().enumerate().filter(|(i, _)| !matches!(i, 6 | 8)).map(|(_, byte)| byte)
    })
}

fn random(length: &Value, wanted: impl Fn(u8) -> bool) -> Returned {
    let picked = entropy().map(|byte| byte & 0x7f).filter(|byte| wanted(*byte));
    string(picked.take(count(length)?).collect::<Vec<u8>>())
}
