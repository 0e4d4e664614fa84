//! drydock beside the recordings of a real cluster: every scenario, every version of kubectl.
//!
//! `CONFORMANCE_WITHOUT_KUBECTL=yes` lets versions be missing; without it a machine that lacks one fails.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

use std::fmt::Write as _;

use drydock_conformance::{Cluster, Difference, Differences, Recording, Scenario};
use drydock_conformance::{clients, compare, folder, run_all};

#[ignore = "minutes long and not yet green for every kubectl; run it by name: cargo test -p drydock-conformance -- --ignored"]
#[tokio::test(flavor = "multi_thread")]
async fn drydock_answers_as_a_real_cluster_did() {
    let (clients, missing) = clients();
    let may_lack = std::env::var_os("CONFORMANCE_WITHOUT_KUBECTL").is_some();
    assert!(
        missing.is_empty() || may_lack,
        "kubectl {missing:?} cannot be found; CONFORMANCE_WITHOUT_KUBECTL=yes goes on without"
    );
    missing.iter().for_each(|version| eprintln!("NOT COMPARED: kubectl {version} is not on this machine"));

    let home = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(home.path(), 0).await.unwrap();
    let scenarios = Scenario::all(&folder("scenarios"), &[]).unwrap();
    assert!(!scenarios.is_empty(), "there are no scenarios");
    let runs = run_all(&cluster.target, scenarios, &clients).await.unwrap();

    let declared = Differences::load(&folder("differences.txt")).unwrap();
    let load = |scenario: &str| Recording::load(&folder("recordings"), scenario).unwrap();
    let seen: Vec<Difference> = runs.iter().flat_map(|run| compare(&load(&run.scenario), run)).collect();
    let tried: Vec<(&str, &str)> = runs.iter().map(|run| (run.scenario.as_str(), run.version)).collect();
    let report = report(&declared, &tried, &seen);
    assert!(report.is_empty(), "{report}\nwhat is meant to differ is declared in differences.txt");
}

/// Undeclared differences, and declared ones that are gone.
fn report(declared: &Differences, tried: &[(&str, &str)], seen: &[Difference]) -> String {
    let mut report = String::new();
    for difference in seen.iter().filter(|difference| declared.of(difference).is_none()) {
        writeln!(report, "undeclared: {difference}").unwrap();
    }
    for (declared, versions) in declared.gone(tried, seen) {
        let versions = versions.join(" ");
        writeln!(report, "gone: {} [{versions}] {}", declared.scenario, declared.title).unwrap();
    }
    report
}
