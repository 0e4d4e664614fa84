//! The engine alone, as a program: what the tests start, and a maintainer's way to try one by hand.
//!
//! `drydock FOLDER IMAGES` runs the daemon on free ports; clients find it by `FOLDER/kubeconfig`. `RUST_LOG` chooses what
//! is told on stderr. The `seaworthy` binary is what users have.

use std::path::PathBuf;
use std::process::ExitCode;

use drydock::Config;

fn main() -> ExitCode {
    if let Some(code) = drydock::run_role(std::env::args_os()) {
        return code;
    }
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(images)) = (args.next(), args.next()) else {
        eprintln!("usage: drydock FOLDER IMAGES");
        return ExitCode::FAILURE;
    };
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let config = Config { api_port: 0, http_port: 0, ..Config::new(folder, images) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(drydock::run(config))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
