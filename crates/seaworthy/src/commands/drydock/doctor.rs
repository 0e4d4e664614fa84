//! `seaworthy drydock doctor`: can the engine run here, are its files whole, and what to do where not.

use drydock::{Config, State};

use crate::cx::Cx;
use crate::failure::{Failure, Kind, Outcome};

/// Check whether drydock can run here and whether its files are whole
#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Port of the API to look at
    #[arg(long, default_value_t = 6443, env = "SEAWORTHY_API_PORT")]
    api_port: u16,

    /// Port of the Ingresses to look at
    #[arg(long, default_value_t = 8080, env = "SEAWORTHY_HTTP_PORT")]
    http_port: u16,
}

impl Doctor {
    pub fn run(self, cx: &mut Cx) -> Outcome {
        let config = Config {
            api_port: self.api_port,
            http_port: self.http_port,
            ..Config::new(cx.home.drydock(), cx.home.images())
        };
        let checks = drydock::doctor(&config);
        for check in &checks {
            let word = match check.state {
                State::Ok => "ok",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            println!("{word:<4}  {:<12}  {}", check.name, check.found);
            if let Some(next) = &check.next {
                println!("{:20}next: {next}", "");
            }
        }
        match checks.iter().filter(|check| check.state == State::Fail).count() {
            0 => Ok(()),
            failed => {
                let error = anyhow::anyhow!("{failed} of {} checks failed", checks.len());
                Err(Failure::new(Kind::Cluster, error))
            }
        }
    }
}
