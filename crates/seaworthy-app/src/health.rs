//! How a service says that it is well: Compose's health check and the probes of `x-seaworthy`.

/// Compose's `healthcheck`. A missing number means the file did not state it.
#[derive(Debug, Clone, PartialEq)]
pub struct Healthcheck {
    pub test: HealthTest,
    pub interval_s: Option<u32>,
    pub timeout_s: Option<u32>,
    pub retries: Option<u32>,
    pub start_period_s: Option<u32>,
    pub start_interval_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum HealthTest {
    /// `CMD`: program and arguments.
    Exec(Vec<String>),
    /// `CMD-SHELL`: a line for `/bin/sh -c`.
    Shell(String),
    /// `NONE` or `disable: true`: also switches off what the image brings.
    Disabled,
}

impl Healthcheck {
    pub fn new(test: HealthTest) -> Self {
        Healthcheck {
            test,
            interval_s: None,
            timeout_s: None,
            retries: None,
            start_period_s: None,
            start_interval_s: None,
        }
    }
}

/// Probes stated in `x-seaworthy`; `None` means "work it out".
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Probes {
    pub startup: Option<Probe>,
    pub readiness: Option<Probe>,
    pub liveness: Option<Probe>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// `port: None` means the service's main port.
    Http {
        path: String,
        port: Option<u16>,
    },
    Tcp {
        port: Option<u16>,
    },
    Exec {
        command: Vec<String>,
    },
    /// Stated to be absent.
    Off,
}
