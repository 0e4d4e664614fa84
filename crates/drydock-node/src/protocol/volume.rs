//! Volumes that only the node may write: in its private memory, or owned by users it alone can map.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The files of a ConfigMap, Secret, downward API or projected volume.
///
/// They live in the node's private memory file system and change all at once, as the kubelet does it: a
/// new time-stamped directory, then one rename of the `..data` link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VolumeContent {
    /// `<pod uid>/<volume name>`.
    pub volume: String,
    pub files: Vec<VolumeFile>,
    /// Group of every file, which then may also read it.
    #[serde(default)]
    pub fs_group: Option<u32>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct VolumeFile {
    /// Relative, may have folders, must not contain `..`.
    pub path: String,
    pub mode: u32,
    /// Owner, default root: service-account tokens belong to the user who runs.
    #[serde(default)]
    pub uid: Option<u32>,
    #[serde(with = "base64_bytes")]
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for VolumeFile {
    /// Says how much, never what: the bytes may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VolumeFile").field("path", &self.path).field("len", &self.bytes.len()).finish()
    }
}

/// A directory inside the node's folder, for emptyDir and claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DirSpec {
    /// Absolute and inside the node's folder. Parents are created.
    pub path: PathBuf,
    pub mode: u32,
    #[serde(default)]
    pub uid: Option<u32>,
    #[serde(default)]
    pub gid: Option<u32>,
    /// Give everything in it to this group, group-writable, as `fsGroup` asks.
    #[serde(default)]
    pub fs_group: Option<u32>,
}

mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}
