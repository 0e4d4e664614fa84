//! The command line of Seaworthy. Arguments, progress, printing, exit codes: nothing else.
//!
//! Start at [`cli::Cli::run`]. One command, one file below `commands/`.

use std::process::ExitCode;

use clap::Parser;

mod app_secret;
mod chart_args;
mod cli;
mod cluster;
mod cluster_view;
mod commands;
mod cx;
mod engine;
mod failure;
mod helm_files;
mod home;
mod images;
mod package;
mod printing;
mod progress;
mod project;
mod release_args;
mod release_chart;
mod secret_input;
mod table;

fn main() -> ExitCode {
    // The node is a role of this binary that must begin before any thread exists.
    if let Some(code) = drydock::run_role(std::env::args_os()) {
        return code;
    }
    drydock::share_arenas();
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime\n  because: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.render());
            failure.exit_code()
        }
    }
}
