//! The command line: global options and the list of commands. Each command lives in its own file.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    completions, dependency, down, drydock, history, image, lint, logs, package, pull, push, registry,
    rollback, show, status, template, up, verify,
};
use crate::cx::Cx;
use crate::failure::{EXIT_CODES, Failure, Outcome};
use crate::home::Home;

/// From a compose file to a running application on Kubernetes.
///
///   cd my-app && seaworthy up        build, chart, cluster, release, URL
///   seaworthy status                 what runs, and what does not and why
///   seaworthy logs -f backend        follow a service
///   seaworthy down                   stop it, keep its data
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
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,

    /// Namespace; the app's name by default
    #[arg(short, long, global = true, value_name = "NAME")]
    namespace: Option<String>,

    /// Print nothing but data and errors
    #[arg(short, long, global = true)]
    quiet: bool,
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
    Verify(verify::Verify),
    Rollback(rollback::Rollback),
    History(history::History),
    Image(image::Image),
    Drydock(drydock::Drydock),
    Completions(completions::Completions),
}

impl Cli {
    pub async fn run(self) -> Outcome {
        let Global { context, namespace, quiet } = self.global;
        let mut cx = Cx::new(Home::find()?, context, namespace, quiet);
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
            Command::Verify(command) => interruptible(Box::pin(command.run())).await,
            Command::Rollback(command) => interruptible(command.run(&mut cx)).await,
            Command::History(command) => interruptible(command.run(&mut cx)).await,
            Command::Image(command) => interruptible(command.run(&mut cx)).await,
            Command::Drydock(command) => command.run(&mut cx).await,
            Command::Completions(command) => command.run(&mut Cli::command()),
        };
        cx.progress.clear();
        outcome
    }
}

/// Ends a command on Ctrl-C. What it had begun is left in a state that the next run continues from.
async fn interruptible(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::interrupted()),
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
