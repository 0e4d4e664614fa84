//! Every decoder and patch under bytes that nobody meant: it must return, and keep the laws named at its target.
//!
//! Each target replays its corpus (`corpus/TARGET/*`) and then mutations of it, a fixed number by default, so that a
//! run in CI is the same every time. `DRYDOCK_FUZZ_SECONDS=300` goes on from a random seed for as long per target, and
//! writes what fails to `corpus/TARGET/`. No nightly compiler and no coverage: the dictionary does what it can.

#![allow(clippy::unwrap_used)] // A test that unwraps nothing has failed, as it should.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drydock_api::fuzzing::TARGETS;

const ROUNDS: u64 = 1500;
const MAX_BYTES: usize = 4096;

/// Pieces that get past the first check of some decoder.
const DICTIONARY: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "0.5",
    "\\u0000",
    "\\ud800",
    "\"$patch\":\"replace\"",
    "\"$patch\":\"delete\"",
    "\"$patch\":\"merge\"",
    "\"$retainKeys\":[\"type\"]",
    "\"$setElementOrder/containers\":[{\"name\":\"a\"}]",
    "\"$deleteFromPrimitiveList/finalizers\":[\"a\"]",
    "\"containers\":[{\"name\":\"a\"},{\"name\":\"a\"}]",
    "\"ports\":[{\"containerPort\":80}]",
    "\"finalizers\":[\"a/b\",\"a/b\"]",
    "\"metadata\":",
    "\"spec\":",
    "\"template\":",
    "\"status\":",
    "\"limits\":{\"cpu\":\"1\"}",
    "\"managedFields\":[{}]",
    "{\"manager\":\"m\",\"operation\":\"Apply\",\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\".\":{},\"k:{\\\"name\\\":\\\"a\\\"}\":{},\"v:1\":{},\"i:0\":{}}}}",
    "\"op\":\"add\"",
    "\"op\":\"copy\"",
    "\"op\":\"move\"",
    "\"path\":\"/a/-\"",
    "\"from\":\"\"",
    "\"path\":\"/a/0\"",
    " in (",
    " notin (",
    "!=",
    "==",
    "!",
    ">",
    "metadata.name=",
    "status.phase!=",
    "\"type\":\"object\"",
    "\"type\":\"array\"",
    "\"items\":{}",
    "\"properties\":{\"a\":{}}",
    "\"pattern\":\"(a+)+$\"",
    "\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"a\"]",
    "\"x-kubernetes-int-or-string\":true",
    "\"default\":{\"a\":[1]}",
    "\"enum\":[1]",
    "\"path\":\".spec.a[0]['b'][*]\"",
    "k8s\0",
    "\n\u{2}v1",
    "\u{12}\0",
    "\"\u{80}\u{8}",
    "\u{80}\u{3}\0\u{1}",
    "&a ",
    "*a",
    "- ",
    "? ",
    "!!binary ",
    "<<: ",
    "---\n",
    "|\n ",
    "%",
    "\n",
    "\t",
];

/// SplitMix64: the same seed gives the same run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides.max(1) as u64) as usize
    }

    fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.roll(corpus.len())].clone();
        for _ in 0..=self.roll(4) {
            let at = self.roll(bytes.len() + 1);
            match self.roll(7) {
                0 if !bytes.is_empty() => {
                    let at = at.min(bytes.len() - 1);
                    bytes[at] ^= 1 << self.roll(8);
                }
                1 if !bytes.is_empty() => {
                    let end = (at + 1 + self.roll(16)).min(bytes.len());
                    bytes.drain(at.min(end)..end);
                }
                2 => bytes.insert(at, self.roll(256) as u8),
                3 => {
                    let other = &corpus[self.roll(corpus.len())];
                    let from = self.roll(other.len() + 1);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
                4 => {
                    let end = (at + self.roll(64)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => {
                    let word = DICTIONARY[self.roll(DICTIONARY.len())].as_bytes();
                    bytes.splice(at..at, word.iter().copied());
                }
            }
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A failing input is kept for the next run, and named.
fn check(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(bytes))).is_err() {
        let path = folder(name).join(format!("failed-{:016x}", hash(bytes)));
        std::fs::write(&path, bytes).unwrap();
        panic!("{name} failed on {:?}, kept as {}", String::from_utf8_lossy(bytes), path.display());
    }
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn run(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    let seeds = corpus(name);
    seeds.iter().for_each(|bytes| check(name, *target, bytes));
    let seconds = std::env::var("DRYDOCK_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    match seconds.map(Duration::from_secs) {
        None => {
            let mut dice = Dice(1);
            (0..ROUNDS).for_each(|_| check(name, *target, &dice.mutated(&seeds)));
        }
        Some(limit) => {
            let (started, mut dice, mut rounds) = (Instant::now(), Dice(rand::random()), 0_u64);
            while started.elapsed() < limit {
                check(name, *target, &dice.mutated(&seeds));
                rounds += 1;
            }
            eprintln!("{name}: {rounds} inputs");
        }
    }
}

macro_rules! targets {
    ($($name:ident: $sentence:ident),* $(,)?) => {
        $(#[test] fn $sentence() { run(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            let all: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(all, run);
        }
    };
}

targets! {
    json_body: any_json_body_is_decoded_or_refused,
    yaml_body: any_yaml_body_is_decoded_or_refused,
    protobuf_body: any_protobuf_body_is_decoded_or_refused,
    strategic_merge: any_strategic_merge_comes_to_an_end,
    json_patch: any_json_patch_comes_to_an_end,
    merge_patch: any_merge_patch_comes_to_an_end,
    server_side_apply: any_apply_is_stable,
    managed_fields: any_owners_are_read_or_replaced,
    selectors: any_selector_is_parsed_or_refused,
    continue_tokens: any_continue_token_is_read_or_refused,
    custom_schema: any_custom_schema_can_be_used,
    spdy_frames: any_frames_are_decoded_or_refused,
}
