//! `seaworthy drydock run`: the daemon itself, in the foreground.

use drydock::Config;
use tracing_subscriber::EnvFilter;

use crate::cx::Cx;
use crate::failure::{Kind, Or, Outcome};

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Port of the API on 127.0.0.1; another one is chosen when it is taken
    #[arg(long, default_value_t = 6443, env = "SEAWORTHY_API_PORT")]
    api_port: u16,

    /// Port on 127.0.0.1 where Ingresses answer
    #[arg(long, default_value_t = 8080, env = "SEAWORTHY_HTTP_PORT")]
    http_port: u16,

    /// Also keep objects of this kind unreadable in the store's file, as `PLURAL` or `PLURAL.GROUP`; Secrets are
    /// always kept so
    #[arg(long = "seal", value_name = "KIND", env = "SEAWORTHY_SEAL", value_delimiter = ',')]
    seal: Vec<String>,

    /// Record in this file who asked the API for what, as JSON lines; files of 100 MiB are put aside, five are kept
    #[arg(long, value_name = "FILE", env = "SEAWORTHY_AUDIT_LOG")]
    audit_log: Option<std::path::PathBuf>,
}

impl Run {
    pub async fn run(self, cx: &mut Cx) -> Outcome {
        log_to_stderr();
        let mut config = Config {
            api_port: self.api_port,
            http_port: self.http_port,
            ..Config::new(cx.home.drydock(), cx.home.images())
        };
        config.sealed_kinds.extend(self.seal);
        config.audit_log = self.audit_log;
        drydock::run(config).await.or_fail(Kind::Cluster, "drydock cannot run")
    }
}

/// `RUST_LOG` chooses; without it our own parts log from `info` and libraries from `warn`.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("warn,drydock=info,drydock_api=info,drydock_controllers=info,drydock_node=info,drydock_store=info")
    });
    // Fails only when a logger is installed already, which is then as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}
