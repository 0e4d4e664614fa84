//! The ConfigMaps and Secrets a pod names, read when its containers need them.
//!
//! Read from the API itself, not from a mirror: a pod made right after its ConfigMap must find it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret};
use kube::{Api, Client};

/// Names to look up, and afterwards to be woken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    pub config_maps: BTreeSet<String>,
    pub secrets: BTreeSet<String>,
}

/// Why a container or volume cannot be made as the pod asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{kind} \"{name}\" not found")]
    Missing { kind: &'static str, name: String },
    #[error("couldn't find key {key} in {kind} {name}")]
    MissingKey { kind: &'static str, name: String, key: String },
    #[error("{0}")]
    Invalid(String),
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    config_maps: BTreeMap<String, ConfigMap>,
    secrets: BTreeMap<String, Secret>,
}

impl Objects {
    pub async fn fetch(client: &Client, namespace: &str, needed: &Needed) -> kube::Result<Self> {
        let mut found = Objects::default();
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        for name in &needed.config_maps {
            if let Some(object) = config_maps.get_opt(name).await? {
                found.config_maps.insert(name.clone(), object);
            }
        }
        for name in &needed.secrets {
            if let Some(object) = secrets.get_opt(name).await? {
                found.secrets.insert(name.clone(), object);
            }
        }
        Ok(found)
    }

    /// All keys of a ConfigMap; `None` when it is absent and may be.
    pub fn config_map(
        &self,
        name: &str,
        optional: bool,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, ConfigError> {
        match self.config_maps.get(name) {
            Some(object) => {
                let text = object.data.iter().flatten().map(|(k, v)| (k.clone(), v.clone().into_bytes()));
                let binary = object.binary_data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone()));
                Ok(Some(text.chain(binary).collect()))
            }
            None if optional => Ok(None),
            None => Err(ConfigError::Missing { kind: "configmap", name: name.to_owned() }),
        }
    }

    /// All keys of a Secret; `None` when it is absent and may be.
    pub fn secret(
        &self,
        name: &str,
        optional: bool,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, ConfigError> {
        match self.secrets.get(name) {
            Some(object) => {
                Ok(Some(object.data.iter().flatten().map(|(k, v)| (k.clone(), v.0.clone())).collect()))
            }
            None if optional => Ok(None),
            None => Err(ConfigError::Missing { kind: "secret", name: name.to_owned() }),
        }
    }

    #[cfg(test)]
    pub fn of(config_maps: Vec<ConfigMap>, secrets: Vec<Secret>) -> Self {
        let name = |meta: &kube::api::ObjectMeta| meta.name.clone().unwrap();
        Objects {
            config_maps: config_maps.into_iter().map(|o| (name(&o.metadata), o)).collect(),
            secrets: secrets.into_iter().map(|o| (name(&o.metadata), o)).collect(),
        }
    }
}

/// What the environment of `container` refers to.
pub fn needed_by_env(container: &Container) -> Needed {
    let mut needed = Needed::default();
    for source in container.env_from.iter().flatten() {
        needed.config_maps.extend(source.config_map_ref.iter().map(|r| r.name.clone()));
        needed.secrets.extend(source.secret_ref.iter().map(|r| r.name.clone()));
    }
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        needed.config_maps.extend(source.config_map_key_ref.iter().map(|r| r.name.clone()));
        needed.secrets.extend(source.secret_key_ref.iter().map(|r| r.name.clone()));
    }
    needed
}

/// What the volumes of the pod refer to.
pub fn needed_by_volumes(spec: &PodSpec) -> Needed {
    let mut needed = Needed::default();
    for volume in spec.volumes.iter().flatten() {
        needed.config_maps.extend(volume.config_map.iter().map(|v| v.name.clone()));
        needed.secrets.extend(volume.secret.iter().filter_map(|v| v.secret_name.clone()));
        let sources = volume.projected.iter().filter_map(|p| p.sources.as_ref()).flatten();
        for source in sources {
            needed.config_maps.extend(source.config_map.iter().map(|v| v.name.clone()));
            needed.secrets.extend(source.secret.iter().map(|v| v.name.clone()));
        }
    }
    needed
}

/// Everything a change of which concerns this pod.
pub fn needed_by_pod(spec: &PodSpec) -> Needed {
    let mut all = needed_by_volumes(spec);
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        let env = needed_by_env(container);
        all.config_maps.extend(env.config_maps);
        all.secrets.extend(env.secrets);
    }
    all
}
