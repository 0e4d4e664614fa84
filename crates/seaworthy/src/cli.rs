//! The command line: global options and the list of commands. Each command lives in its own file.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    completions, dependency, diff, down, drydock, env, get, history, image, install, lint, list, logs,
    package, pull, push, registry, repo, rollback, search, show, status, template, test, uninstall, up,
    upgrade, verify, version,
};
use crate::cx::{Choice, Cx, ServerArgs};
use crate::failure::{EXIT_CODES, Failure, Kind, Or, Outcome};
use crate::helm_files::FilesArgs;
use crate::home::Home;

/// From a compose file to a running application on Kubernetes.
///
///   cd my-app && seaworthy up        build, chart, cluster, release, URL
///   seaworthy status                 what runs, and what does not and why
///   seaworthy logs -f backend        follow a service
///   seaworthy down                   stop it, keep its data
///
/// Without a release's name a command is about the app of this folder's compose file. Any chart becomes a release of
/// its own, which Helm understands, on drydock or on any cluster:
///
///   seaworthy install web ./chart    and upgrade, rollback, uninstall, test, diff
///   seaworthy list -A                and history, status, get
#[derive(Debug, Parser)]
#[command(name = "seaworthy", version, verbatim_doc_comment, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Context of your own kubeconfig to use instead of drydock
    #[arg(long, global = true, visible_alias = "kube-context", value_name = "NAME")]
    context: Option<String>,

    /// Kubeconfig of the cluster to use instead of drydock
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Namespace; the app's name by default, for other releases that of the context
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,

    /// Print nothing but data and errors
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(flatten)]
    server: ServerArgs,

    #[command(flatten)]
    files: FilesArgs,

    #[command(flatten)]
    _without_effect: WithoutEffect,
}

/// Global flags of Helm that change nothing here: what goes wrong is always told in full, and without colours.
#[derive(Debug, clap::Args)]
struct WithoutEffect {
    #[arg(long, global = true, hide = true)]
    debug: bool,
    #[arg(long, global = true, hide = true)]
    burst_limit: Option<u32>,
    #[arg(long, global = true, hide = true)]
    qps: Option<f32>,
    #[arg(long, global = true, hide = true, alias = "colour")]
    color: Option<String>,
}

// Made once per process: its size costs nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    Logs(logs::Logs),
    Template(Box<template::Template>),
    Lint(lint::Lint),
    Package(package::Package),
    Dependency(dependency::Dependency),
    Show(show::Show),
    Pull(pull::Pull),
    Push(push::Push),
    Registry(registry::Registry),
    Repo(repo::Repo),
    Search(search::Search),
    Verify(verify::Verify),
    Rollback(Box<rollback::Rollback>),
    History(history::History),
    Install(Box<install::Install>),
    Upgrade(Box<upgrade::Upgrade>),
    Uninstall(uninstall::Uninstall),
    List(list::List),
    Get(get::Get),
    Test(test::Test),
    Diff(Box<diff::Diff>),
    Image(image::Image),
    Drydock(drydock::Drydock),
    Env(env::Env),
    Version(version::Version),
    Completions(completions::Completions),
}

impl Cli {
    pub async fn run(self) -> Outcome {
        let Global { context, kubeconfig, namespace, quiet, server, files, .. } = self.global;
        files.choose();
        let mut cx = Cx::new(Home::find()?, Choice { kubeconfig, context, server }, namespace, quiet);
        let outcome = match self.command {
            Command::Up(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Down(command) => interruptible(command.run(&mut cx)).await,
            Command::Status(command) => interruptible(command.run(&mut cx)).await,
            Command::Logs(command) => interruptible(command.run(&mut cx)).await,
            Command::Template(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Lint(command) => interruptible(command.run(&mut cx)).await,
            Command::Package(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Dependency(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Show(command) => interruptible(Box::pin(command.run())).await,
            Command::Pull(command) => interruptible(Box::pin(command.run())).await,
            Command::Push(command) => interruptible(Box::pin(command.run())).await,
            Command::Registry(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Repo(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Search(command) => command.run(&mut cx),
            Command::Verify(command) => interruptible(Box::pin(command.run())).await,
            Command::Rollback(command) => interruptible(command.run(&mut cx)).await,
            Command::History(command) => interruptible(command.run(&mut cx)).await,
            Command::Install(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Upgrade(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Uninstall(command) => interruptible(command.run(&mut cx)).await,
            Command::List(command) => interruptible(command.run(&mut cx)).await,
            Command::Get(command) => interruptible(command.run(&mut cx)).await,
            Command::Test(command) => interruptible(command.run(&mut cx)).await,
            Command::Diff(command) => interruptible(Box::pin(command.run(&mut cx))).await,
            Command::Image(command) => interruptible(command.run(&mut cx)).await,
            Command::Drydock(command) => command.run(&mut cx).await,
            Command::Env(command) => command.run(&mut cx),
            Command::Version(command) => command.run(),
            Command::Completions(command) => command.run(&mut Cli::command()),
        };
        cx.progress.clear();
        if outcome.as_ref().is_err_and(|failure| failure.kind == Kind::Interrupted) {
            cx.leave().await;
        }
        outcome
    }
}

/// Ends a command on Ctrl-C, or when it is asked to end. What it had begun is left in a state that the next run
/// continues from.
async fn interruptible(work: impl Future<Output = Outcome>) -> Outcome {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .or_fail(Kind::Unexpected, "cannot listen to signals")?;
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
        _ = terminate.recv() => Err(Failure::interrupted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_of_any_command_has_two_meanings() {
        Cli::command().debug_assert();
    }

    #[test]
    fn logs_follow_with_the_letter_that_elsewhere_names_a_file() {
        let parsed =
            |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| format!("{:?}", cli.command));
        assert!(parsed("seaworthy logs -f backend").unwrap().contains("follow: true"));
        assert!(parsed("seaworthy up -f other.yaml").unwrap().contains("other.yaml"));
    }
}
