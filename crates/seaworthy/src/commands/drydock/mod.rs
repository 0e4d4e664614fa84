//! `seaworthy drydock`: the local cluster itself.

mod doctor;
mod export;
mod rotate_key;
mod run;

use anyhow::Context;

use crate::cx::Cx;
use crate::engine;
use crate::failure::{Kind, Or, Outcome};

/// The local Kubernetes: start, stop, look at it
///
///   seaworthy drydock start
///   export KUBECONFIG=$(seaworthy drydock kubeconfig) && kubectl get pods -A
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Drydock {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start it in the background and wait until its API answers
    Start,
    /// Stop it and every container; objects and volumes are kept
    Stop,
    /// Whether it runs, where its API is, what it serves
    Status,
    /// Print the path of its kubeconfig
    Kubeconfig,
    /// Check whether it can run here and whether its files are whole; say what to do where not
    Doctor(doctor::Doctor),
    /// Write all objects of the stopped engine to a file for `kubectl apply -f`, damaged or not
    Export(export::Export),
    /// Seal the Secrets of the stopped engine with a new key, and forget the former one
    RotateKey,
    /// Remove all its objects and volumes; a backup of the objects and the images are kept
    Reset {
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Run it in the foreground, logging to stderr
    Run(run::Run),
}

impl Drydock {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        match self.action {
            Action::Start => start(cx).await,
            Action::Stop => stop(cx).await,
            Action::Status => status(cx).await,
            Action::Kubeconfig => kubeconfig(cx),
            Action::Doctor(doctor) => doctor.run(cx),
            Action::Export(export) => export.run(cx),
            Action::RotateKey => rotate_key::run(cx),
            Action::Reset { yes } => reset(cx, yes).await,
            Action::Run(run) => run.run(cx).await,
        }
    }
}

async fn start(cx: &mut Cx) -> Outcome {
    let since = std::time::Instant::now();
    match engine::start(cx).await? {
        true => cx.progress.timed("drydock", "started", since),
        false => cx.progress.step("drydock", "already running"),
    }
    cx.progress.step("", format!("export KUBECONFIG={}", engine::kubeconfig_path(cx).display()));
    Ok(())
}

async fn stop(cx: &mut Cx) -> Outcome {
    cx.progress.live("stopping drydock and its containers");
    let was_running = engine::stop(cx).await?;
    cx.progress.step(
        "drydock",
        if was_running {
            "stopped; `seaworthy drydock start` brings everything back"
        } else {
            "was not running"
        },
    );
    Ok(())
}

async fn status(cx: &mut Cx) -> Outcome {
    let report = drydock::status(&cx.home.drydock()).or_fail(Kind::Cluster, "cannot tell how drydock is")?;
    println!("{report}");
    Ok(())
}

fn kubeconfig(cx: &mut Cx) -> Outcome {
    let path = engine::kubeconfig_path(cx);
    if !path.exists() {
        let error = anyhow::anyhow!("there is no `{}` yet", path.display());
        return Err(
            crate::failure::Failure::new(Kind::Cluster, error).hint("`seaworthy drydock start` writes it")
        );
    }
    println!("{}", path.display());
    Ok(())
}

async fn reset(cx: &mut Cx, yes: bool) -> Outcome {
    if !yes && !confirmed()? {
        cx.progress.step("drydock", "left as it is");
        return Ok(());
    }
    engine::stop(cx).await?;
    let backup = drydock::reset(&cx.home.drydock())
        .or_fail(Kind::Cluster, "cannot remove drydock's objects and volumes")?;
    cx.progress.step("drydock", "objects and volumes removed; images are kept");
    if let Some(backup) = backup {
        cx.progress.step("", format!("the objects lie in {} until a few more resets", backup.display()));
    }
    Ok(())
}

fn confirmed() -> anyhow::Result<bool> {
    use std::io::{IsTerminal, Write};
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("`reset` removes every object and volume: say `--yes` to do it without a terminal");
    }
    eprint!("Remove every object and volume of drydock? [y/N] ");
    std::io::stderr().flush().context("cannot print")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
