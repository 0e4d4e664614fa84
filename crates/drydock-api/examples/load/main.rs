//! One client's load against any Kubernetes API server, for comparing two of them: the same code drives both.
//!
//! `load KUBECONFIG PHASE`, where PHASE is `wait` (until the API answers), `fill` (creates, 10,000 objects at the end),
//! `read` (gets, updates, lists), `workloads` (larger objects) or `watch` (fan-out). Prints one figure per line: name, value, unit. Used by
//! `cargo xtask bench api`; starts from what the other phases left.

mod client;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;

use crate::client::{Answer, Client, Error};

const NAMESPACE: &str = "bench";
/// Objects that are there when memory is weighed and lists are timed.
const OBJECTS: usize = 10_000;
const TOGETHER: usize = 32;
const WINDOW: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, kubeconfig, phase] = arguments.as_slice() else {
        return Err("usage: load KUBECONFIG wait|fill|read|workloads|watch".into());
    };
    match phase.as_str() {
        "wait" => wait(kubeconfig).await,
        "fill" => fill(&Client::connect(kubeconfig, 8).await?).await,
        "read" => read(&Client::connect(kubeconfig, 8).await?).await,
        "workloads" => workloads(&Client::connect(kubeconfig, 8).await?).await,
        "watch" => watch::fan_out(kubeconfig).await,
        other => Err(format!("there is no phase `{other}`").into()),
    }
}

pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.3}\t{unit}");
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

pub fn percentile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Tries until a list of namespaces is answered.
async fn wait(kubeconfig: &str) -> Result<(), Error> {
    let end = Instant::now() + Duration::from_secs(120);
    while Instant::now() < end {
        if let Ok(client) = Client::connect(kubeconfig, 1).await
            && let Ok(Answer { status: StatusCode::OK, .. }) =
                client.send(Method::GET, "/api/v1/namespaces/default", None).await
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Err("the API does not answer".into())
}

fn config_maps() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps")
}

/// About 1 KiB, mostly data.
fn config_map(name: &str) -> Vec<u8> {
    let data = json!({ "settings": text(900), "mode": "production" });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "labels": { "app": "bench" } }, "data": data })
        .to_string()
        .into_bytes()
}

/// About 4 KiB with the structure of a workload.
fn deployment(name: &str) -> Vec<u8> {
    let env: Vec<_> =
        (0..12).map(|n| json!({ "name": format!("VARIABLE_{n}"), "value": text(90) })).collect();
    let container = |n: usize| {
        json!({
            "name": format!("container-{n}"), "image": "registry.example.com/team/app:1.2.3", "env": env,
            "ports": [{ "containerPort": 8000 + n, "name": format!("port-{n}") }],
            "resources": { "requests": { "cpu": "100m", "memory": "64Mi" }, "limits": { "memory": "128Mi" } },
            "readinessProbe": { "httpGet": { "path": "/healthz", "port": 8000 + n } },
        })
    };
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "labels": labels },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container(0), container(1)] } },
        },
    })
    .to_string()
    .into_bytes()
}

/// Words, as compressible as configuration is.
fn text(length: usize) -> String {
    let mut text = String::new();
    for n in 0_u64.. {
        text.push_str(&format!("key-{:x}=value; ", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40));
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

async fn fill(client: &Client) -> Result<(), Error> {
    let namespace = json!({ "metadata": { "name": NAMESPACE } }).to_string().into_bytes();
    client.expect(Method::POST, "/api/v1/namespaces", Some(namespace)).await?;
    let path = config_maps();
    let mut alone = Vec::new();
    for n in 0..200 {
        let start = Instant::now();
        client.expect(Method::POST, &path, Some(config_map(&format!("alone-{n}")))).await?;
        alone.push(millis(start.elapsed()));
    }
    let total: f64 = alone.iter().sum();
    figure("create 1 KiB, 1 client", alone.len() as f64 * 1000.0 / total, "/s");
    figure("create 1 KiB, 1 client, p50", percentile(&mut alone, 50), "ms");
    figure("create 1 KiB, 1 client, p99", percentile(&mut alone, 99), "ms");
    ask("weigh", 0, "before").await;
    run(client, "create 1 KiB, 32 clients", OBJECTS, async |client, n| {
        client.expect(Method::POST, &path, Some(config_map(&format!("object-{n}")))).await
    })
    .await?;
    ask("weigh", 0, "after").await;
    Ok(())
}

/// Has the caller look at the server: it does so when it reads this line, and answers with one on our stdin.
pub async fn ask(what: &str, count: usize, detail: &str) {
    figure(what, count as f64, detail);
    let mut line = String::new();
    let _ = tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await;
}

async fn workloads(client: &Client) -> Result<(), Error> {
    let workloads = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments");
    run(client, "create 4 KiB, 32 clients", 2000, async |client, n| {
        client.expect(Method::POST, &workloads, Some(deployment(&format!("app-{n}")))).await
    })
    .await?;
    Ok(())
}

async fn read(client: &Client) -> Result<(), Error> {
    let path = config_maps();
    let one = |n: usize| format!("{path}/object-{}", n * 7919 % OBJECTS);
    during(client, "get 1 KiB, 32 clients", async |client, n| {
        client.expect(Method::GET, &one(n), None).await
    })
    .await?;
    during(client, "update 1 KiB, 32 clients", async |client, n| {
        let name = format!("object-{}", n * 7919 % OBJECTS);
        let mut body = config_map(&name);
        let stamp = format!("{{\"immutable\":false,\"binaryData\":{{\"n\":\"{:08}\"}},", n);
        body.splice(0..1, stamp.into_bytes());
        client.expect(Method::PUT, &one(n), Some(body)).await
    })
    .await?;
    let mut times = Vec::new();
    let mut bytes = 0;
    ask("work", 0, "begins").await;
    for _ in 0..9 {
        let start = Instant::now();
        bytes = client.expect(Method::GET, &path, None).await?.bytes;
        times.push(millis(start.elapsed()));
    }
    ask("work", times.len(), "list of 10,000").await;
    figure("list of 10,000, p50", percentile(&mut times, 50), "ms");
    figure("list of 10,000, size", bytes as f64 / 1e6, "MB");
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        client.expect(Method::GET, &format!("{path}?limit=500"), None).await?;
        times.push(millis(start.elapsed()));
    }
    figure("first page of 500, p50", percentile(&mut times, 50), "ms");
    Ok(())
}

/// `total` requests by 32 clients at once.
async fn run<'c, F>(client: &'c Client, name: &str, total: usize, request: F) -> Result<(), Error>
where
    F: AsyncFn(&'c Client, usize) -> Result<Answer, Error>,
{
    together(client, name, |n| n < total, request).await
}

/// As many requests as 32 clients get through in a few seconds.
async fn during<'c, F>(client: &'c Client, name: &str, request: F) -> Result<(), Error>
where
    F: AsyncFn(&'c Client, usize) -> Result<Answer, Error>,
{
    let end = Instant::now() + WINDOW;
    together(client, name, |_| Instant::now() < end, request).await
}

async fn together<'c, F>(
    client: &'c Client,
    name: &str,
    more: impl Fn(usize) -> bool,
    request: F,
) -> Result<(), Error>
where
    F: AsyncFn(&'c Client, usize) -> Result<Answer, Error>,
{
    ask("work", 0, "begins").await;
    let (next, start) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let workers = (0..TOGETHER).map(|_| async {
        let mut times = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if !more(n) {
                return Ok::<_, Error>(times);
            }
            let start = Instant::now();
            request(client, n).await?;
            times.push(millis(start.elapsed()));
        }
    });
    let mut times = futures::future::try_join_all(workers).await?.concat();
    figure(name, times.len() as f64 / start.elapsed().as_secs_f64(), "/s");
    ask("work", times.len(), name).await;
    figure(&format!("{name}, p99"), percentile(&mut times, 99), "ms");
    Ok(())
}
