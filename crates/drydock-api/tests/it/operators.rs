//! Programs in Go that use the API as most operators do: controller-runtime's manager and client-go's informers.
//!
//! The program is in `tests/clients/controller-runtime`. Where Go is missing the test fails, unless
//! `SEAWORTHY_WITHOUT_GO` says that this is known.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{serve, world};

const EXPECTED: &[&str] = &[
    "elected",
    "a Deployment is reconciled into a ConfigMap",
    "a custom resource is reconciled, its status written, its finalizer honoured",
    "a typed server-side apply conflicts and is forced",
    "a cached list sees what was written",
    "an update of an old version is retried",
    "shared informers see creations, changes and deletions",
    "events are recorded",
    "deletions by collection and with preconditions",
    "all seen",
];

/// The built program, or `None` where Go may be missing and is.
fn built() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/controller-runtime");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("controller-runtime-client");
    let build = Command::new("go").arg("build").arg("-o").arg(&program).arg(".").current_dir(source).output();
    match build {
        Ok(outcome) if outcome.status.success() => Some(program),
        outcome => {
            let why = match outcome {
                Ok(outcome) => String::from_utf8_lossy(&outcome.stderr).into_owned(),
                Err(error) => error.to_string(),
            };
            assert!(
                std::env::var_os("SEAWORTHY_WITHOUT_GO").is_some(),
                "the operator could not be built with `go`: {why}\nset SEAWORTHY_WITHOUT_GO=1 to go without it"
            );
            eprintln!("NOT TESTED: controller-runtime and client-go, because SEAWORTHY_WITHOUT_GO is set");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_of_controller_runtime_works_unmodified() {
    let Some(program) = tokio::task::spawn_blocking(built).await.unwrap() else { return };
    let world = world().await;
    let (port, stop) = serve(&world).await;
    let kubeconfig = world.folder.path().join("kubeconfig");
    world.pki.write_kubeconfig(&kubeconfig, &format!("https://127.0.0.1:{port}")).unwrap();
    let run = move || Command::new(program).env("KUBECONFIG", kubeconfig).output();
    let outcome = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines, EXPECTED, "\n{}", String::from_utf8_lossy(&outcome.stderr));
    stop.cancel();
}
