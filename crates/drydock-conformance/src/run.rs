//! Runs scenarios against a cluster: each with each client, in a namespace and a folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use tempfile::TempDir;
use tokio::process::Command;

use crate::kubectl::{Client, HTTP};
use crate::mask::Mask;
use crate::request::{self, Saved};
use crate::scenario::{Action, Scenario, Step};
use crate::target::Target;

/// How long `until` waits for its match, and a new namespace for what belongs into it.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a step may take: far more than it needs, for machines that have other things to do.
const STEP: Duration = Duration::from_secs(150);
const PAUSE: Duration = Duration::from_millis(250);
/// Scenarios at the same time: most of a kubectl's time is its own processor time, the rest is waiting.
const AT_ONCE: usize = 6;

/// What a step left behind, masked. For a request: status code, body, headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// stdout behind two blanks, stderr behind `! `.
    pub fn print(&self) -> String {
        let lines =
            |text: &str, mark: &str| text.lines().map(|line| format!("{mark}{line}\n")).collect::<String>();
        lines(&self.out, "  ") + &lines(&self.err, "! ")
    }
}

/// One scenario, run with one client.
#[derive(Debug)]
pub struct Ran {
    pub scenario: String,
    pub version: &'static str,
    pub steps: Vec<RanStep>,
}

#[derive(Debug)]
pub struct RanStep {
    pub title: String,
    pub outcome: Outcome,
    pub silent: bool,
    /// A silent step that failed, or an `until` that never came.
    pub failed: bool,
}

/// Which clients run a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// All of them.
    Every,
    /// The oldest, the newest, and two of those between, which take turns: enough to see a client's habits and quick
    /// enough for every change. Between neighbours most requests are the same.
    Turns,
}

impl Breadth {
    /// `scenario` and `client` are places in their lists, `clients` is how many there are.
    fn includes(self, scenario: usize, client: usize, clients: usize) -> bool {
        let is_outer = client == 0 || client + 1 == clients;
        self == Breadth::Every || is_outer || (2 * scenario + client) % (clients - 2).max(1) < 2
    }
}

/// Runs every scenario with its clients (those of requests once) and returns them in that order.
pub async fn run_all(
    target: &Target,
    scenarios: Vec<Scenario>,
    clients: &[Client],
    breadth: Breadth,
) -> anyhow::Result<Vec<Ran>> {
    let kube = target.client().await?;
    let shared = tempfile::tempdir()?;
    let plain = Client { version: HTTP, program: PathBuf::new() };
    let mut jobs = Vec::new();
    for (turn, scenario) in scenarios.into_iter().map(Arc::new).enumerate() {
        let clients = if scenario.is_requests() { std::slice::from_ref(&plain) } else { clients };
        let places = (0..clients.len()).filter(|place| breadth.includes(turn, *place, clients.len()));
        jobs.extend(places.map(|place| (scenario.clone(), clients[place].clone())));
    }
    let runs = jobs.into_iter().enumerate().map(|(place, (scenario, client))| {
        let (target, kube, cache) = (target.clone(), kube.clone(), shared.path().join(client.version));
        async move {
            let run = Run::begin(&target, kube, &scenario, &client, &cache).await?;
            anyhow::Ok((place, run.steps(&scenario, client.version).await?))
        }
    });
    let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let mut runs = ended.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    runs.sort_by_key(|(place, _)| *place);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

struct Run {
    kube: kube::Client,
    mask: Mask,
    folder: TempDir,
    cache: PathBuf,
    saved: Saved,
}

impl Run {
    async fn begin(
        target: &Target,
        kube: kube::Client,
        scenario: &Scenario,
        client: &Client,
        cache: &Path,
    ) -> anyhow::Result<Run> {
        let digits = client.version.replace('.', "");
        // New at each run, so that nothing waits for what an earlier one left behind.
        let nonce = jiff::Timestamp::now().as_millisecond() % 1_000_000;
        let namespace = format!("{}-{digits}-{nonce}", scenario.name.replace(['/', '_'], "-"));
        let folder = tempfile::tempdir()?;
        for (name, content) in &scenario.files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path()))?;
            std::fs::write(path, content.replace("$NS", &namespace))?;
        }
        std::fs::write(folder.path().join(".kubeconfig"), target.kubeconfig(&namespace))?;
        std::fs::create_dir(folder.path().join(".bin"))?;
        if client.version != HTTP {
            std::os::unix::fs::symlink(&client.program, folder.path().join(".bin/kubectl"))?;
        }
        let mask = Mask {
            server: target.server.trim_start_matches("https://").to_owned(),
            folder: folder.path().display().to_string(),
            namespace: namespace.clone(),
        };
        let saved = Saved::from([("$NS".to_owned(), namespace.clone())]);
        fresh(&kube, &namespace).await.with_context(|| format!("cannot make namespace `{namespace}`"))?;
        Ok(Run { kube, mask, folder, cache: cache.to_owned(), saved })
    }

    async fn steps(mut self, scenario: &Scenario, version: &'static str) -> anyhow::Result<Ran> {
        let mut steps = Vec::new();
        for step in &scenario.steps {
            let (outcome, matched) = self.step(step).await?;
            let good = if version == HTTP { outcome.code < 300 } else { outcome.code == 0 };
            let failed = !matched || step.silent && !good;
            steps.push(RanStep { title: step.title.clone(), outcome, silent: step.silent, failed });
        }
        let namespaces: Api<Namespace> = Api::all(self.kube.clone());
        namespaces.delete(&self.mask.namespace, &DeleteParams::default()).await?;
        Ok(Ran { scenario: scenario.name.clone(), version, steps })
    }

    /// The outcome, repeated until it is the wanted one; and whether that came.
    async fn step(&mut self, step: &Step) -> anyhow::Result<(Outcome, bool)> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let outcome = self.once(&step.action).await?;
            let matched = step.until.as_ref().is_none_or(|wanted| wanted.is_match(&outcome.print()));
            if matched || tokio::time::Instant::now() > deadline {
                return Ok((outcome, matched));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(&mut self, action: &Action) -> anyhow::Result<Outcome> {
        match action {
            Action::Shell(line) => self.shell(line).await,
            Action::Request(request) => {
                Ok(request::send(&self.kube, request, &mut self.saved, &self.mask).await)
            }
        }
    }

    async fn shell(&self, line: &str) -> anyhow::Result<Outcome> {
        let folder = self.folder.path();
        let running = Command::new("/bin/sh")
            .args(["-c", line])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder.join(".bin").display()))
            .env("HOME", folder)
            .env("KUBECONFIG", folder.join(".kubeconfig"))
            .env("KUBECACHEDIR", &self.cache)
            .env("NS", &self.mask.namespace)
            .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("TERM", "dumb")])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(output) = tokio::time::timeout(STEP, running).await else {
            return Ok(Outcome { code: -1, out: String::new(), err: "no end in time".to_owned() });
        };
        let output = output.context("cannot run `/bin/sh`")?;
        let masked = |bytes: &[u8]| self.mask.apply(&String::from_utf8_lossy(bytes));
        Ok(Outcome {
            code: output.status.code().unwrap_or(-1),
            out: masked(&output.stdout),
            err: masked(&output.stderr),
        })
    }
}

/// Makes the namespace and waits for what belongs into every namespace.
async fn fresh(kube: &kube::Client, name: &str) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(kube.clone());
    let accounts: Api<ServiceAccount> = Api::namespaced(kube.clone(), name);
    let authorities: Api<ConfigMap> = Api::namespaced(kube.clone(), name);
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    namespaces.create(&PostParams::default(), &namespace).await?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while accounts.get_opt("default").await?.is_none()
        || authorities.get_opt("kube-root-ca.crt").await?.is_none()
    {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "its default service account never came");
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_gets_its_turn_and_the_outer_ones_always() {
        let runs = |client: usize| (0..40).filter(|turn| Breadth::Turns.includes(*turn, client, 7)).count();
        assert_eq!([runs(0), runs(6)], [40, 40]);
        (1..6).for_each(|client| assert_eq!(runs(client), 16));
        (1..3).for_each(|clients| {
            assert!((0..clients).all(|client| Breadth::Turns.includes(3, client, clients)))
        });
    }
}
