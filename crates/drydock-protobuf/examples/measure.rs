//! How long the codec takes: each published kind with every field filled, and a small Secret, as often as it takes to tell.
//!
//! `cargo run --release -p drydock-protobuf --example measure`

use std::hint::black_box;
use std::io::Read as _;
use std::time::{Duration, Instant};

use drydock_protobuf::{decode, encode};
use flate2::read::GzDecoder;
use serde_json::{Value, json};

const GOLDEN: &[u8] = include_bytes!("../tests/it/data/golden.tsv.gz");
const ROUNDS: u32 = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    encode(&json!({ "apiVersion": "v1", "kind": "Secret" }))?;
    println!("table, first use             {:>10.1?}", started.elapsed());
    let mut text = String::new();
    GzDecoder::new(GOLDEN).read_to_string(&mut text)?;
    let pod = text.lines().find_map(|line| line.strip_prefix("core.v1.Pod\t")).ok_or("no Pod")?;
    let pod: Value = serde_json::from_str(pod.split('\t').nth(1).ok_or("no JSON")?)?;
    report("Pod with every field", &pod)?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a", "namespace": "default" },
        "type": "Opaque", "data": { "password": "c2VjcmV0" },
    });
    report("small Secret", &secret)?;
    let list = json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": { "resourceVersion": "1" }, "items": vec![pod; 1000],
    });
    report("list of 1,000 such Pods", &list)
}

fn report(name: &str, object: &Value) -> Result<(), Box<dyn std::error::Error>> {
    let protobuf = encode(object)?;
    let text = object.to_string();
    let rounds = (ROUNDS * 10_000 / u32::try_from(text.len())?.max(1)).clamp(3, 20_000);
    println!("{name}: {} bytes as protobuf, {} as JSON", protobuf.len(), text.len());
    println!(
        "  decode protobuf            {:>10.1?}",
        time(rounds, || drop(black_box(decode(&protobuf, None))))
    );
    println!(
        "  decode JSON                {:>10.1?}",
        time(rounds, || drop(black_box(serde_json::from_str::<Value>(&text))))
    );
    println!("  encode protobuf            {:>10.1?}", time(rounds, || drop(black_box(encode(object)))));
    println!("  encode JSON                {:>10.1?}", time(rounds, || drop(black_box(object.to_string()))));
    Ok(())
}

fn time(rounds: u32, work: impl Fn()) -> Duration {
    let started = Instant::now();
    (0..rounds).for_each(|_| work());
    started.elapsed() / rounds
}
