//! Load from `wrk`, and what it cost: requests per second of processor time, and how late the slowest were.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::User;
use super::service::Service;

const CONNECTIONS: &str = "16";

/// Requests to one path below `/api/USER`, of each user in turn.
pub struct Load<'a> {
    pub path: &'a str,
    pub users: &'a [User],
    /// Posted as JSON; none: GET.
    pub body: Option<&'a str>,
}

#[derive(Clone, Copy)]
pub struct Outcome {
    /// Per second of the service's own processor time, user and system: what one core could serve.
    pub per_core_s: f64,
    /// Per second of processor time of the service and the databases together.
    pub with_databases_per_core_s: f64,
    pub per_s: f64,
    pub p99_ms: f64,
}

impl Outcome {
    /// The median of each figure.
    pub fn median(outcomes: &[Self]) -> Self {
        let median = |figure: fn(&Self) -> f64| {
            let mut figures: Vec<f64> = outcomes.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
        };
        Self {
            per_core_s: median(|outcome| outcome.per_core_s),
            with_databases_per_core_s: median(|outcome| outcome.with_databases_per_core_s),
            per_s: median(|outcome| outcome.per_s),
            p99_ms: median(|outcome| outcome.p99_ms),
        }
    }
}

/// `databases` are those that `service` may ask.
pub fn run(
    service: &Service,
    databases: &[&Service],
    load: &Load<'_>,
    seconds: u32,
    folder: &Path,
) -> anyhow::Result<Outcome> {
    let script = folder.join("load.lua");
    std::fs::write(&script, lua(load)?)?;
    let address = format!("http://127.0.0.1:{}", service.port);
    let databases_s = || databases.iter().map(|database| database.tree_cpu_s()).sum::<anyhow::Result<f64>>();
    let before = (service.tree_cpu_s()?, databases_s()?);
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), "-s"]).arg(&script).arg(&address);
    let output = wrk.output().context("`wrk` is not installed (Debian: wrk)")?;
    let (own_s, databases_s) = (service.tree_cpu_s()? - before.0, databases_s()? - before.1);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = text.lines().find_map(|line| line.strip_prefix("RESULT ")).with_context(|| text.clone())?;
    let numbers: Vec<f64> = result.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [requests, duration_us, failed, p99_ms] = numbers[..] else { bail!("wrk said {text}") };
    if failed > 0.0 || requests == 0.0 {
        bail!("`{}` at {address}: {failed} of {requests} requests were refused", load.path);
    }
    Ok(Outcome {
        per_core_s: requests / own_s,
        with_databases_per_core_s: requests / (own_s + databases_s),
        per_s: requests / (duration_us / 1e6),
        p99_ms,
    })
}

/// The script for `wrk`. With one user it is spared to choose: a function called for every request costs the machine
/// that it shares with what it measures.
fn lua(load: &Load<'_>) -> anyhow::Result<String> {
    let mut text = String::from("wrk.headers['content-type'] = 'application/json'\n");
    if let Some(body) = load.body {
        writeln!(text, "wrk.method, wrk.body = 'POST', [[{body}]]")?;
    }
    text.push_str("local all, at = {}, 0\ninit = function()\n");
    for User { id, token } in load.users {
        writeln!(
            text,
            "  wrk.path, wrk.headers['authorization'] = '/api/{id}{}', 'Bearer {token}'",
            load.path
        )?;
        text.push_str("  all[#all + 1] = wrk.format()\n");
    }
    text.push_str("end\n");
    if load.users.len() > 1 {
        text.push_str("request = function() at = at % #all + 1; return all[at] end\n");
    }
    text.push_str(
        "done = function(summary, latency)\n  io.write(string.format('RESULT %d %d %d %f\\n', summary.requests,\n\
         summary.duration, summary.errors.status, latency:percentile(99) / 1000))\nend\n",
    );
    Ok(text)
}
