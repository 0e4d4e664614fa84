//! What a container finds in its file system besides its image.

use std::path::PathBuf;

/// A named volume of the app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    pub name: String,
    /// `None` means 1 GiB.
    pub size_bytes: Option<u64>,
    /// Storage class; `None` leaves the choice to the cluster.
    pub class: Option<String>,
    /// Not created by the app: it must exist under this claim name.
    pub external: Option<String>,
}

/// Something mounted that is not a file of the app.
#[derive(Debug, Clone, PartialEq)]
pub enum Mount {
    /// A volume of [`crate::App::volumes`].
    Volume { volume: String, target: String, read_only: bool, sub_path: Option<String> },
    /// A volume without a name: lives as long as the pod.
    Anonymous { target: String },
    /// Memory.
    Tmpfs { target: String, size_bytes: Option<u64> },
    /// A path of the host. No cluster has it, so charts leave it out and say so.
    Bind { source: PathBuf, target: String, read_only: bool },
}

impl Mount {
    pub fn target(&self) -> &str {
        match self {
            Mount::Volume { target, .. }
            | Mount::Anonymous { target }
            | Mount::Tmpfs { target, .. }
            | Mount::Bind { target, .. } => target,
        }
    }
}

/// A text file that becomes part of a ConfigMap.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFile {
    /// A valid ConfigMap key.
    pub name: String,
    pub content: String,
}

/// A config or a secret as a file in a container.
#[derive(Debug, Clone, PartialEq)]
pub struct FileMount {
    pub source: FileSource,
    /// Absolute path of the file in the container.
    pub target: String,
    /// Permission bits, for example `0o440`; `None` means readable by all.
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FileSource {
    /// Name of one of [`crate::App::configs`].
    Config(String),
    /// Key of one of [`crate::App::secrets`].
    Secret(String),
}
