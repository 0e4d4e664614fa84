//! Makes a pod's volumes and says what each mount leads to.
//!
//! Reads: ConfigMap, Secret, PersistentVolumeClaim, PersistentVolume, ServiceAccount, token requests.
//! Writes: directories and files, through the node. Files are replaced as a whole, so that a change of a
//! ConfigMap arrives in a running pod. Directories of claims are never removed here.
//!
//! Start at [`Volumes::prepare`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, PersistentVolume, PersistentVolumeClaim, Pod, ServiceAccount, Volume,
};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::json;

use super::fields::Facts;
use super::files::{self, TokenKey};
use super::objects::{self, ConfigError, Objects};
use super::quantity;
use crate::client::{self, NodeClient};
use crate::protocol::{DirSpec, VolumeContent};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("cannot read what the volumes need from the API")]
    Api(#[from] kube::Error),
    #[error("the node cannot make volume \"{volume}\"")]
    Node {
        volume: String,
        #[source]
        source: client::Error,
    },
    #[error("{0}")]
    NotYet(String),
}

/// One made volume: what to mount, and whether it may ever be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Ready {
    pub path: PathBuf,
    pub read_only: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Volumes {
    pub ready: BTreeMap<String, Ready>,
    /// When the tokens should be replaced.
    pub refresh_at: Option<Instant>,
}

/// Everything needed to make volumes.
pub struct Maker<'a> {
    pub client: &'a Client,
    pub node: &'a NodeClient,
    /// The node's folder.
    pub dir: &'a Path,
    pub pod: &'a Pod,
    pub facts: &'a Facts,
}

impl Maker<'_> {
    /// Makes all volumes of the pod. Doing it again changes nothing but the content of files.
    pub async fn prepare(&self) -> Result<Volumes, Error> {
        let mut volumes = Volumes::default();
        let list = self.list();
        let (tokens, refresh_at) = self.tokens(list).await?;
        volumes.refresh_at = refresh_at;
        let objects = self.objects(list).await?;
        let sources = self.sources(&objects, &tokens);
        for volume in list {
            let ready = match files::of_volume(volume, &sources)? {
                Some(files) => self.write(volume, files).await?,
                None => self.directory(volume).await?,
            };
            volumes.ready.insert(volume.name.clone(), ready);
        }
        Ok(volumes)
    }

    /// Writes the files again after a change; directories stay as they are.
    pub async fn refresh(&self) -> Result<Option<Instant>, Error> {
        let list = self.list();
        let (tokens, refresh_at) = self.tokens(list).await?;
        let objects = self.objects(list).await?;
        let sources = self.sources(&objects, &tokens);
        for volume in list {
            if let Some(files) = files::of_volume(volume, &sources)? {
                self.write(volume, files).await?;
            }
        }
        Ok(refresh_at)
    }

    async fn objects(&self, list: &[Volume]) -> Result<Objects, Error> {
        let spec = k8s_openapi::api::core::v1::PodSpec { volumes: Some(list.to_vec()), ..Default::default() };
        Ok(Objects::fetch(self.client, self.namespace(), &objects::needed_by_volumes(&spec)).await?)
    }

    fn sources<'a>(
        &'a self,
        objects: &'a Objects,
        tokens: &'a BTreeMap<TokenKey, String>,
    ) -> files::Sources<'a> {
        files::Sources {
            pod: self.pod,
            facts: self.facts,
            objects,
            tokens,
            token_owner: common_user(self.pod),
            has_fs_group: self.fs_group().is_some(),
        }
    }

    fn namespace(&self) -> &str {
        self.pod.metadata.namespace.as_deref().unwrap_or("default")
    }

    fn uid(&self) -> &str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    fn fs_group(&self) -> Option<u32> {
        let context = self.pod.spec.as_ref()?.security_context.as_ref()?;
        u32::try_from(context.fs_group?).ok()
    }

    fn list(&self) -> &[Volume] {
        self.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
    }

    fn account(&self) -> &str {
        let named = self.pod.spec.as_ref().and_then(|s| s.service_account_name.as_deref());
        named.filter(|name| !name.is_empty()).unwrap_or("default")
    }

    async fn tokens(&self, list: &[Volume]) -> Result<(BTreeMap<TokenKey, String>, Option<Instant>), Error> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), self.namespace());
        let mut tokens = BTreeMap::new();
        let mut refresh_at = None;
        for key in files::tokens_needed(list) {
            let audiences: Vec<&str> =
                Some(key.audience.as_str()).filter(|a| !a.is_empty()).into_iter().collect();
            let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
                "spec": {"audiences": audiences, "expirationSeconds": key.expiration_s,
                         "boundObjectRef": {"apiVersion": "v1", "kind": "Pod",
                                            "name": self.pod.metadata.name, "uid": self.pod.metadata.uid}}});
            let answer: serde_json::Value =
                api.create_subresource("token", self.account(), &PostParams::default(), &request).await?;
            let token = answer.pointer("/status/token").and_then(|t| t.as_str()).unwrap_or_default();
            tokens.insert(key.clone(), token.to_owned());
            let life = Duration::from_secs(u64::try_from(key.expiration_s).unwrap_or(3600));
            let at = Instant::now() + life.mul_f32(0.8);
            refresh_at = Some(refresh_at.map_or(at, |earlier: Instant| earlier.min(at)));
        }
        Ok((tokens, refresh_at))
    }

    async fn write(&self, volume: &Volume, files: Vec<crate::protocol::VolumeFile>) -> Result<Ready, Error> {
        let name = format!("{}/{}", self.uid(), volume.name);
        let content = VolumeContent { volume: name, files, fs_group: self.fs_group() };
        let path = self.node.write_volume(content).await.map_err(|source| self.failed(volume, source))?;
        Ok(Ready { path, read_only: true })
    }

    async fn directory(&self, volume: &Volume) -> Result<Ready, Error> {
        if let Some(source) = &volume.empty_dir {
            let path = if source.medium.as_deref() == Some("Memory") {
                let name = format!("{}/{}", self.uid(), volume.name);
                let size = source.size_limit.as_ref().and_then(quantity::units).filter(|size| *size > 0);
                let made = self.node.make_tmpfs(&name, size, self.fs_group()).await;
                made.map_err(|source| self.failed(volume, source))?
            } else {
                let path = self.dir.join("pods").join(self.uid()).join("volumes").join(&volume.name);
                self.make(volume, &path).await?
            };
            return Ok(Ready { path, read_only: false });
        }
        if let Some(source) = &volume.host_path {
            return Ok(Ready { path: host_path(source)?, read_only: false });
        }
        if let Some(source) = &volume.persistent_volume_claim {
            return self.claim(volume, &source.claim_name, source.read_only == Some(true)).await;
        }
        if let Some(source) = &volume.ephemeral {
            // The claim of a generic ephemeral volume is named after the pod and made by a controller.
            let _ = source;
            let claim = format!("{}-{}", self.pod.metadata.name.as_deref().unwrap_or_default(), volume.name);
            return self.claim(volume, &claim, false).await;
        }
        Err(ConfigError::Invalid(format!(
            "volume \"{}\" is of a kind that drydock does not have",
            volume.name
        ))
        .into())
    }

    async fn claim(&self, volume: &Volume, name: &str, read_only: bool) -> Result<Ready, Error> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), self.namespace());
        let claim = claims
            .get_opt(name)
            .await?
            .ok_or_else(|| Error::NotYet(format!("persistentvolumeclaim \"{name}\" not found")))?;
        let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
        let backing = claim.spec.as_ref().and_then(|s| s.volume_name.clone()).filter(|_| bound);
        let backing = backing
            .ok_or_else(|| Error::NotYet(format!("persistentvolumeclaim \"{name}\" is not bound yet")))?;
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let object = api
            .get_opt(&backing)
            .await?
            .ok_or_else(|| Error::NotYet(format!("persistentvolume \"{backing}\" not found")))?;
        let spec = object.spec.unwrap_or_default();
        let path = match (&spec.host_path, &spec.local) {
            (Some(host), _) if !Path::new(&host.path).starts_with(self.dir) => host_path(host)?,
            (Some(host), _) => self.make(volume, Path::new(&host.path)).await?,
            (None, Some(local)) if Path::new(&local.path).starts_with(self.dir) => {
                self.make(volume, Path::new(&local.path)).await?
            }
            (None, Some(local)) => PathBuf::from(&local.path),
            (None, None) => {
                let text = format!("persistentvolume \"{backing}\" is neither hostPath nor local");
                return Err(ConfigError::Invalid(text).into());
            }
        };
        Ok(Ready { path, read_only })
    }

    async fn make(&self, volume: &Volume, path: &Path) -> Result<PathBuf, Error> {
        // Open to every user of the pod, as an emptyDir is; with an fsGroup the group owns it, and the mode says that
        // this was done, so that a second start leaves what is inside as the first one made it.
        let mode = if self.fs_group().is_some() { 0o2777 } else { 0o777 };
        let spec = DirSpec { path: path.to_owned(), mode, uid: None, gid: None, fs_group: self.fs_group() };
        self.node.make_dir(spec).await.map_err(|source| self.failed(volume, source))?;
        Ok(path.to_owned())
    }

    fn failed(&self, volume: &Volume, source: client::Error) -> Error {
        Error::Node { volume: volume.name.clone(), source }
    }
}

/// Checks and, where its type allows, creates a path of the host.
fn host_path(source: &HostPathVolumeSource) -> Result<PathBuf, Error> {
    let path = PathBuf::from(&source.path);
    let wrong = |what: &str| {
        let text = format!("hostPath type check failed: {} is not {what}", source.path);
        Error::from(ConfigError::Invalid(text))
    };
    let cannot =
        |error: std::io::Error| ConfigError::Invalid(format!("cannot create {}: {error}", source.path));
    match source.type_.as_deref().unwrap_or_default() {
        "DirectoryOrCreate" => std::fs::create_dir_all(&path).map_err(cannot)?,
        "FileOrCreate" if !path.exists() => std::fs::write(&path, b"").map_err(cannot)?,
        "Directory" if !path.is_dir() => return Err(wrong("a directory")),
        "File" if !path.is_file() => return Err(wrong("a file")),
        "Socket" | "CharDevice" | "BlockDevice" if !path.exists() => return Err(wrong("there")),
        // No type: a missing path becomes a directory, as with docker.
        "" if !path.exists() => std::fs::create_dir_all(&path).map_err(cannot)?,
        _ => {}
    }
    Ok(path)
}

/// The user that every container of the pod runs as, if it is stated and the same.
fn common_user(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let mut users = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(of_pod));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then(|| u32::try_from(first).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_belongs_to_a_user_only_when_all_containers_share_it() {
        let pod = |spec| serde_json::from_value::<Pod>(json!({"spec": spec})).unwrap();
        let same =
            json!({"securityContext": {"runAsUser": 1000}, "containers": [{"name": "a"}, {"name": "b"}]});
        let differ = json!({"securityContext": {"runAsUser": 1000},
            "containers": [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 0}}]});
        assert_eq!(common_user(&pod(same)), Some(1000));
        assert_eq!(common_user(&pod(differ)), None);
    }
}
