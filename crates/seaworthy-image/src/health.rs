//! The health check of an image: Docker's addition to the configuration that the OCI standard describes.
//!
//! Docker and Podman run it; Kubernetes does not look at it and has probes instead.

use serde::Serialize;

const NANOSECONDS: u64 = 1_000_000_000;

/// What to run, and how often. What is not stated is left to whoever runs the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthCheck {
    /// Program and arguments.
    pub command: Vec<String>,
    pub interval_s: Option<u32>,
    pub timeout_s: Option<u32>,
    pub start_period_s: Option<u32>,
    pub retries: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    test: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
}

impl Serialize for HealthCheck {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanoseconds = |seconds: Option<u32>| seconds.map(|seconds| u64::from(seconds) * NANOSECONDS);
        let test = std::iter::once("CMD".to_owned()).chain(self.command.iter().cloned()).collect();
        Document {
            test,
            interval: nanoseconds(self.interval_s),
            timeout: nanoseconds(self.timeout_s),
            start_period: nanoseconds(self.start_period_s),
            retries: self.retries,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_health_check_is_written_as_docker_reads_it() {
        let check = HealthCheck {
            command: vec!["/app/web".into(), "health".into()],
            interval_s: Some(10),
            retries: Some(3),
            ..HealthCheck::default()
        };
        let expect = r#"{"Test":["CMD","/app/web","health"],"Interval":10000000000,"Retries":3}"#;
        assert_eq!(serde_json::to_string(&check).unwrap(), expect);
    }
}
