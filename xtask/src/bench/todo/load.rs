//! Load from `wrk`, and what it cost the service: requests per second of processor time, and how late the slowest were.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::service::Service;

const CONNECTIONS: &str = "16";

pub struct Load<'a> {
    pub path: String,
    pub token: &'a str,
    /// Posted as JSON; none: GET.
    pub body: Option<&'a str>,
}

pub struct Outcome {
    /// Of the service's own processor time: what one core could serve.
    pub per_core_s: f64,
    pub per_s: f64,
    pub p99_ms: f64,
}

pub fn run(service: &Service, load: &Load<'_>, seconds: u32, folder: &Path) -> anyhow::Result<Outcome> {
    let script = folder.join("load.lua");
    let method = if load.body.is_some() { "POST" } else { "GET" };
    let body = load.body.unwrap_or_default();
    std::fs::write(
        &script,
        format!(
            "wrk.method = '{method}'\nwrk.body = [[{body}]]\nwrk.headers['authorization'] = 'Bearer {}'\n\
             wrk.headers['content-type'] = 'application/json'\n\
             done = function(summary, latency)\n  io.write(string.format('RESULT %d %d %d %f\\n', summary.requests,\n\
             summary.duration, summary.errors.status, latency:percentile(99) / 1000))\nend\n",
            load.token
        ),
    )?;
    let url = format!("http://127.0.0.1:{}{}", service.port, load.path);
    let before = service.cpu_s()?;
    let duration = format!("{seconds}s");
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", CONNECTIONS, "-d", &duration, "-s"]).arg(&script).arg(&url);
    let output = wrk.output().context("`wrk` is not installed (Debian: wrk)")?;
    let used_s = service.cpu_s()? - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).with_context(|| text.clone())?;
    let numbers: Vec<f64> = result.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, duration_us, failed, p99_ms] = numbers[..] else { bail!("wrk said {text}") };
    if failed > 0.0 || requests == 0.0 {
        bail!("{method} {url}: {failed} of {requests} requests were refused");
    }
    Ok(Outcome { per_core_s: requests / used_s, per_s: requests / (duration_us / 1e6), p99_ms })
}
