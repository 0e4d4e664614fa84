//! drydock beside the recordings of a real cluster: every scenario and every version of kubectl, the middle ones in turns.
//!
//! `CONFORMANCE_WITHOUT_KUBECTL=yes` lets versions be missing; without it a machine that lacks one fails.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

use drydock_conformance::{
    Breadth, Client, Cluster, Difference, Differences, Ran, Recording, Scenario, UNEXPLAINED,
};
use drydock_conformance::{clients, compare, folder, run_all};

#[tokio::test(flavor = "multi_thread")]
async fn drydock_answers_as_a_real_cluster_did() {
    let clients = all_clients();
    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(home.path(), 0).await.unwrap();
    let scenarios = Scenario::all(&folder("scenarios"), &[]).unwrap();
    assert!(!scenarios.is_empty(), "there are no scenarios");
    let runs = run_all(&cluster.target, scenarios, &clients, Breadth::Turns).await.unwrap();

    let declared = Differences::load(&folder("differences.txt")).unwrap();
    assert!(declared.declared.iter().all(|one| one.reason != UNEXPLAINED), "a difference has no reason yet");
    report_gone(&declared, &runs);
    let first = undeclared(&declared, &runs);
    let last = again(&cluster, &clients, &declared, &first).await;
    let report: String = last.iter().map(|difference| format!("undeclared: {difference}\n")).collect();
    assert!(last.is_empty(), "{report}\nwhat is meant to differ is declared in differences.txt");
}

fn all_clients() -> Vec<Client> {
    let (clients, missing) = clients();
    let may_lack = std::env::var_os("CONFORMANCE_WITHOUT_KUBECTL").is_some();
    assert!(
        missing.is_empty() || may_lack,
        "kubectl {missing:?} cannot be found; CONFORMANCE_WITHOUT_KUBECTL=yes goes on without"
    );
    missing.iter().for_each(|version| eprintln!("NOT COMPARED: kubectl {version} is not on this machine"));
    clients
}

fn seen(runs: &[Ran]) -> Vec<Difference> {
    let load = |scenario: &str| Recording::load(&folder("recordings"), scenario).unwrap();
    runs.iter().flat_map(|run| compare(&load(&run.scenario), run)).collect()
}

fn undeclared(declared: &Differences, runs: &[Ran]) -> Vec<Difference> {
    seen(runs).into_iter().filter(|difference| declared.of(difference).is_none()).collect()
}

/// The differences that are there a second time: what a busy machine was too slow for comes out right then.
async fn again(
    cluster: &Cluster,
    clients: &[Client],
    declared: &Differences,
    first: &[Difference],
) -> Vec<Difference> {
    if first.is_empty() {
        return Vec::new();
    }
    first.iter().for_each(|difference| eprintln!("trying again: {difference}"));
    let names: Vec<String> = first.iter().map(|difference| difference.scenario.clone()).collect();
    let is_wanted = |client: &&Client| first.iter().any(|difference| difference.version == client.version);
    let clients: Vec<Client> = clients.iter().filter(is_wanted).cloned().collect();
    let scenarios = Scenario::all(&folder("scenarios"), &names).unwrap();
    let runs = run_all(&cluster.target, scenarios, &clients, Breadth::Every).await.unwrap();
    let same = |one: &Difference, other: &Difference| {
        (&one.scenario, &one.title, &one.version) == (&other.scenario, &other.title, &other.version)
    };
    let mut last = undeclared(declared, &runs);
    last.retain(|difference| first.iter().any(|before| same(before, difference)));
    last
}

fn report_gone(declared: &Differences, runs: &[Ran]) {
    let tried: Vec<(&str, &str)> = runs.iter().map(|run| (run.scenario.as_str(), run.version)).collect();
    for (declared, versions) in declared.gone(&tried, &seen(runs)) {
        let versions = versions.join(" ");
        eprintln!(
            "GONE, take it out of differences.txt: {} [{versions}] {}",
            declared.scenario, declared.title
        );
    }
}
