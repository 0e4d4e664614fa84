//! What can be done by hand: recording from a real cluster, comparing with one, and running what both need.
//!
//! Recording and comparing take words; a scenario runs if its name holds one of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use drydock_conformance::{Breadth, Client, Cluster, Differences, Ran, Recording, Scenario, Target};
use drydock_conformance::{clients, compare, folder, ledger, pretend, run_all};
use tokio_util::sync::CancellationToken;

const USAGE: &str = "\
usage: conformance COMMAND

  record KUBECONFIG [WORD...]    run scenarios against a real cluster and write what it answered
  compare KUBECONFIG [WORD...]   run scenarios against any cluster and print where it answers otherwise
  check [WORD...]                the same against drydock, started for it
  declare [WORD...]              the same, and make differences.txt agree; new ones wait for their reason
  kubelet KUBECONFIG             be a node whose pods are ready at once, until Ctrl-C
  serve FOLDER [PORT]            run drydock with such a node, until Ctrl-C
  ledger                         write docs/conformance.md from recordings and declared differences

CLIENTS=1.30,1.33 restricts the versions of kubectl.";

/// What the recordings were made from. Change it with them.
const SOURCE: &str = "kube-apiserver, kube-controller-manager and kube-scheduler v1.36.0 with etcd v3.6.8, built from \
                      their Go modules (`tools/reference-cluster`); no kubelet, a client pretends to be one";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args.split_first().context(USAGE)?;
    match (command.as_str(), rest) {
        ("record", [kubeconfig, words @ ..]) => record(&target(kubeconfig)?, words).await,
        ("compare", [kubeconfig, words @ ..]) => {
            print_differences(&target(kubeconfig)?, words).await.map(drop)
        }
        ("check", words) => with_drydock(words, false).await,
        ("declare", words) => with_drydock(words, true).await,
        ("kubelet", [kubeconfig]) => {
            let client = target(kubeconfig)?.client().await?;
            Ok(pretend(client, stopped_by_ctrl_c()).await?)
        }
        ("serve", [folder, port @ ..]) => serve(Path::new(folder), port.first()).await,
        ("ledger", []) => write_ledger(),
        _ => bail!("{USAGE}"),
    }
}

fn target(kubeconfig: &str) -> anyhow::Result<Target> {
    Target::read(Path::new(kubeconfig))
}

fn stopped_by_ctrl_c() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        // Without a handler the signal ends the process, which is as good.
        if tokio::signal::ctrl_c().await.is_ok() {
            token.cancel();
        }
    });
    stop
}

fn wanted_clients() -> Vec<Client> {
    let (mut found, missing) = clients();
    for version in missing {
        eprintln!("NOT RUN: kubectl {version} is not on this machine");
    }
    if let Ok(wanted) = std::env::var("CLIENTS") {
        found.retain(|client| wanted.split(',').any(|version| version == client.version));
    }
    found
}

async fn run(target: &Target, words: &[String]) -> anyhow::Result<Vec<Ran>> {
    run_all(target, Scenario::all(&folder("scenarios"), words)?, &wanted_clients(), Breadth::Every).await
}

async fn record(target: &Target, words: &[String]) -> anyhow::Result<()> {
    let runs = run(target, words).await?;
    let failed: Vec<String> = runs
        .iter()
        .flat_map(|run| run.steps.iter().filter(|step| step.failed).map(move |step| (run, step)))
        .map(|(run, step)| {
            format!("{} [{}] {}\n{}", run.scenario, run.version, step.title, step.outcome.print())
        })
        .collect();
    let names: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.scenario.as_str()).collect();
    for name in &names {
        let of_name: Vec<&Ran> = runs.iter().filter(|run| run.scenario == *name).collect();
        if of_name.iter().all(|run| run.steps.iter().all(|step| !step.failed)) {
            Recording::of(&of_name).store(&folder("recordings"), name)?;
            println!("recorded {name}");
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!(
            "steps that have to succeed did not, their scenarios are not recorded:\n{}",
            failed.join("\n")
        ),
    }
}

type Seen = (Vec<(String, &'static str)>, Vec<drydock_conformance::Difference>);

async fn print_differences(target: &Target, words: &[String]) -> anyhow::Result<Seen> {
    let runs = run(target, words).await?;
    let mut seen = Vec::new();
    for run in &runs {
        seen.extend(compare(&Recording::load(&folder("recordings"), &run.scenario)?, run));
    }
    let declared = Differences::load(&differences_file())?;
    for difference in &seen {
        let mark = declared.of(difference).map_or("UNDECLARED", |declared| declared.status.as_str());
        println!("{mark} {difference}");
    }
    let tried: Vec<(String, &'static str)> =
        runs.iter().map(|run| (run.scenario.clone(), run.version)).collect();
    let steps: usize = runs.iter().map(|run| run.steps.iter().filter(|step| !step.silent).count()).sum();
    println!("{} of {steps} steps differ", seen.len());
    Ok((tried, seen))
}

async fn with_drydock(words: &[String], declare: bool) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let cluster = Cluster::start(temporary.path(), 0).await?;
    let (tried, seen) = print_differences(&cluster.target, words).await?;
    let tried: Vec<(&str, &str)> = tried.iter().map(|(name, version)| (name.as_str(), *version)).collect();
    let mut differences = Differences::load(&differences_file())?;
    for (declared, versions) in differences.gone(&tried, &seen) {
        println!("GONE {} [{}] {}", declared.scenario, versions.join(" "), declared.title);
    }
    if declare {
        differences.declare(&tried, &seen);
        std::fs::write(differences_file(), differences.print())?;
    }
    Ok(())
}

async fn serve(folder: &Path, port: Option<&String>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let cluster = Cluster::start(folder, port.map_or(Ok(0), |port| port.parse())?).await?;
    println!("{} with KUBECONFIG={}", cluster.target.server, folder.join("kubeconfig").display());
    stopped_by_ctrl_c().cancelled().await;
    Ok(())
}

fn differences_file() -> PathBuf {
    folder("differences.txt")
}

fn write_ledger() -> anyhow::Result<()> {
    let mut recordings = Vec::new();
    for scenario in Scenario::all(&folder("scenarios"), &[])? {
        let recording = Recording::load(&folder("recordings"), &scenario.name)?;
        recordings.push((scenario.name, recording));
    }
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let page = ledger(&recordings, &Differences::load(&differences_file())?, SOURCE, &date);
    Ok(std::fs::write(folder("../../docs/conformance.md"), page)?)
}
