//! One revision of a release, byte for byte as Helm 4 keeps it.
//!
//! Source of the format: `pkg/release/v1` and `pkg/storage/driver` of helm.sh/helm/v4. Fields that we do not use are
//! carried along untouched.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// More than etcd lets a Secret hold, unpacked: what a hostile Secret may cost us.
const MAX_UNPACKED_BYTES: u64 = 64 << 20;
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    pub name: String,
    pub info: Info,
    /// The chart as Helm serialises it; kept whole so that Helm can upgrade and roll back.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub chart: Value,
    /// What the user set on top of the chart's values.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub config: Value,
    #[serde(default)]
    pub manifest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// The revision, from 1.
    pub version: u64,
    pub namespace: String,
    /// `ssa` or `csa`; empty means `csa`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub apply_method: String,
    /// What the user labelled the release with. Stored as labels of the Secret, and only there.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Info {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_deployed: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_deployed: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deleted: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default)]
    pub status: Status,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rollback_revision: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Helm leaves out an empty map.
fn is_nothing(values: &Value) -> bool {
    values.is_null() || values.as_object().is_some_and(Map::is_empty)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    #[default]
    Unknown,
    Deployed,
    Uninstalled,
    Superseded,
    Failed,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
}

impl Status {
    /// As Helm prints and labels it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Deployed => "deployed",
            Status::Uninstalled => "uninstalled",
            Status::Superseded => "superseded",
            Status::Failed => "failed",
            Status::Uninstalling => "uninstalling",
            Status::PendingInstall => "pending-install",
            Status::PendingUpgrade => "pending-upgrade",
            Status::PendingRollback => "pending-rollback",
        }
    }

    /// An operation was begun and its end was not recorded.
    pub fn is_pending(self) -> bool {
        matches!(
            self,
            Status::PendingInstall | Status::PendingUpgrade | Status::PendingRollback | Status::Uninstalling
        )
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hook {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub manifest: String,
    /// `pre-install`, `post-upgrade`, `test`, ...
    #[serde(default)]
    pub events: Vec<String>,
    #[serde(default)]
    pub last_run: LastRun,
    #[serde(default, skip_serializing_if = "is_no_weight")]
    pub weight: i64,
    /// `before-hook-creation` when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete_policies: Vec<String>,
    /// When the output is shown although nothing went wrong, or because something did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_log_policies: Vec<String>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Hook {
    pub fn runs_at(&self, event: &str) -> bool {
        self.events.iter().any(|name| name == event)
    }
}

/// How the last execution of a hook went. Times are RFC 3339 and empty until they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub started_at: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub completed_at: String,
    /// `Running`, `Succeeded`, `Failed`, `Unknown`; empty before the first run.
    #[serde(default)]
    pub phase: String,
}

fn is_no_weight(weight: &i64) -> bool {
    *weight == 0
}

impl Release {
    /// Whether the objects are applied by the server; a release without a note is of Helm 3 and is not.
    pub fn is_applied_by_server(&self) -> bool {
        self.apply_method == "ssa"
    }

    /// A field of the chart's `Chart.yaml`, empty when it has none.
    pub fn chart_field(&self, name: &str) -> &str {
        self.chart["metadata"][name].as_str().unwrap_or_default()
    }

    /// As it stands in `data.release`, before the API's own base64.
    pub fn encode(&self) -> std::io::Result<Vec<u8>> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&serde_json::to_vec(self)?)?;
        Ok(STANDARD.encode(gzip.finish()?).into_bytes())
    }

    /// Reads what Helm or we have written; plain JSON is accepted as Helm accepts it.
    pub fn decode(stored: &[u8]) -> std::io::Result<Self> {
        let packed = STANDARD.decode(stored).map_err(std::io::Error::other)?;
        let json = if packed.starts_with(&GZIP_MAGIC) {
            let mut json = Vec::new();
            GzDecoder::new(&packed[..]).take(MAX_UNPACKED_BYTES).read_to_end(&mut json)?;
            json
        } else {
            packed
        };
        Ok(serde_json::from_slice(&json)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        let json = r#"{"name":"todo","info":{"status":"deployed","last_deployed":"2026-01-01T00:00:00Z","resources":{"a":1}},
            "chart":{"metadata":{"name":"todo"}},"manifest":"---\n","version":3,"namespace":"todo","apply_method":"ssa","labels":null}"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_release_survives_being_stored() {
        let stored = release().encode().unwrap();
        let read = Release::decode(&stored).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), serde_json::to_value(release()).unwrap());
    }

    #[test]
    fn what_we_do_not_know_is_carried_along() {
        let json = serde_json::to_value(release()).unwrap();
        assert_eq!(json["info"]["resources"]["a"], 1);
        assert!(json.as_object().unwrap().contains_key("labels"));
    }

    #[test]
    fn plain_json_is_read_as_helm_reads_it() {
        let plain = STANDARD.encode(serde_json::to_vec(&release()).unwrap());
        assert_eq!(Release::decode(plain.as_bytes()).unwrap().version, 3);
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(Release::decode(b"!!").is_err());
        assert!(Release::decode(STANDARD.encode([0x1f, 0x8b, 0x08, 0]).as_bytes()).is_err());
    }
}
