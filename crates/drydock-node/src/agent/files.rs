//! The files of ConfigMap, Secret, downward API and projected volumes. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume};

use super::fields::{self, Facts};
use super::objects::{ConfigError, Objects};
use crate::protocol::VolumeFile;

const DEFAULT_MODE: u32 = 0o644;

/// What the files are made from. Tokens are fetched beforehand, by audience.
pub struct Sources<'a> {
    pub pod: &'a Pod,
    pub facts: &'a Facts,
    pub objects: &'a Objects,
    pub tokens: &'a BTreeMap<TokenKey, String>,
    /// The user all containers run as, when it is the same for all: a token belongs to it.
    pub token_owner: Option<u32>,
    /// With a group of its own, the volume's files may be read by it.
    pub has_fs_group: bool,
}

/// What makes two requests for a service-account token the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenKey {
    /// Empty: the API server's own.
    pub audience: String,
    pub expiration_s: i64,
}

/// The tokens that the pod's projected volumes need.
pub fn tokens_needed(volumes: &[Volume]) -> Vec<TokenKey> {
    let sources = volumes.iter().filter_map(|v| v.projected.as_ref()?.sources.as_ref()).flatten();
    let tokens = sources.filter_map(|s| s.service_account_token.as_ref());
    let mut keys: Vec<TokenKey> = tokens
        .map(|t| TokenKey {
            audience: t.audience.clone().unwrap_or_default(),
            expiration_s: t.expiration_seconds.unwrap_or(3600).max(600),
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

/// The files of `volume`, or `None` when it is not made of files we write.
pub fn of_volume(volume: &Volume, sources: &Sources<'_>) -> Result<Option<Vec<VolumeFile>>, ConfigError> {
    let mut files = Vec::new();
    if let Some(source) = &volume.config_map {
        let data = sources.objects.config_map(&source.name, source.optional == Some(true))?;
        let mode = mode(source.default_mode);
        add(
            &mut files,
            data,
            source.items.as_deref(),
            mode,
            source.optional == Some(true),
            "ConfigMap",
            &source.name,
        )?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let data = sources.objects.secret(name, source.optional == Some(true))?;
        let mode = mode(source.default_mode);
        add(&mut files, data, source.items.as_deref(), mode, source.optional == Some(true), "Secret", name)?;
    } else if let Some(source) = &volume.downward_api {
        for item in source.items.iter().flatten() {
            files.push(downward(item, mode(source.default_mode), sources)?);
        }
    } else if let Some(source) = &volume.projected {
        let mode = mode(source.default_mode);
        for part in source.sources.iter().flatten() {
            projected(&mut files, part, mode, sources)?;
        }
    } else {
        return Ok(None);
    }
    if let Some(bad) = files.iter().find(|f| !is_inside(&f.path)) {
        return Err(ConfigError::Invalid(format!(
            "volume {} has a path outside itself: {}",
            volume.name, bad.path
        )));
    }
    Ok(Some(files))
}

fn projected(
    files: &mut Vec<VolumeFile>,
    part: &k8s_openapi::api::core::v1::VolumeProjection,
    mode: u32,
    sources: &Sources<'_>,
) -> Result<(), ConfigError> {
    if let Some(source) = &part.config_map {
        let optional = source.optional == Some(true);
        let data = sources.objects.config_map(&source.name, optional)?;
        add(files, data, source.items.as_deref(), mode, optional, "ConfigMap", &source.name)?;
    }
    if let Some(source) = &part.secret {
        let optional = source.optional == Some(true);
        let data = sources.objects.secret(&source.name, optional)?;
        add(files, data, source.items.as_deref(), mode, optional, "Secret", &source.name)?;
    }
    for item in part.downward_api.iter().flat_map(|d| d.items.iter().flatten()) {
        files.push(downward(item, mode, sources)?);
    }
    if let Some(source) = &part.service_account_token {
        let key = TokenKey {
            audience: source.audience.clone().unwrap_or_default(),
            expiration_s: source.expiration_seconds.unwrap_or(3600).max(600),
        };
        if let Some(token) = sources.tokens.get(&key) {
            // As narrow as the users of the pod allow.
            let (mode, uid) = match sources.token_owner {
                _ if sources.has_fs_group => (0o640, None),
                Some(uid) => (0o600, Some(uid)),
                None => (0o644, None),
            };
            files.push(VolumeFile {
                path: source.path.clone(),
                mode,
                uid,
                bytes: token.clone().into_bytes(),
            });
        }
    }
    Ok(())
}

fn add(
    files: &mut Vec<VolumeFile>,
    data: Option<BTreeMap<String, Vec<u8>>>,
    items: Option<&[KeyToPath]>,
    mode: u32,
    optional: bool,
    kind: &'static str,
    name: &str,
) -> Result<(), ConfigError> {
    let Some(mut data) = data else { return Ok(()) };
    let Some(items) = items else {
        files.extend(data.into_iter().map(|(path, bytes)| VolumeFile { path, mode, uid: None, bytes }));
        return Ok(());
    };
    for item in items {
        match data.remove(&item.key) {
            Some(bytes) => {
                let mode = item.mode.map_or(mode, |mode| mode as u32);
                files.push(VolumeFile { path: item.path.clone(), mode, uid: None, bytes });
            }
            None if optional => {}
            None => {
                return Err(ConfigError::MissingKey { kind, name: name.to_owned(), key: item.key.clone() });
            }
        }
    }
    Ok(())
}

fn downward(
    item: &DownwardAPIVolumeFile,
    mode: u32,
    sources: &Sources<'_>,
) -> Result<VolumeFile, ConfigError> {
    let text = if let Some(selector) = &item.field_ref {
        fields::field(sources.pod, sources.facts, selector)?
    } else if let Some(selector) = &item.resource_field_ref {
        let own = sources.pod.spec.as_ref().and_then(|s| s.containers.first()).cloned().unwrap_or_default();
        fields::resource(sources.pod, &own, sources.facts, selector)?
    } else {
        String::new()
    };
    let mode = item.mode.map_or(mode, |mode| mode as u32);
    Ok(VolumeFile { path: item.path.clone(), mode, uid: None, bytes: text.into_bytes() })
}

fn mode(given: Option<i32>) -> u32 {
    given.map_or(DEFAULT_MODE, |mode| mode as u32 & 0o777)
}

fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| part != ".." && !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(volume: Value, expect: &str) {
        let mut volume = volume;
        volume["name"] = json!("v");
        let config_map = json!({"metadata": {"name": "cm"}, "data": {"a": "1", "b": "2"}});
        let secret = json!({"metadata": {"name": "sec"}, "data": {"pw": "eA=="}});
        let objects = Objects::of(
            vec![serde_json::from_value(config_map).unwrap()],
            vec![serde_json::from_value(secret).unwrap()],
        );
        let pod = serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "shop"}})).unwrap();
        let key = TokenKey { audience: String::new(), expiration_s: 3607 };
        let sources = Sources {
            pod: &pod,
            facts: &Facts::default(),
            objects: &objects,
            tokens: &BTreeMap::from([(key, "tok".to_owned())]),
            token_owner: Some(1000),
            has_fs_group: false,
        };
        let shown = match of_volume(&serde_json::from_value(volume).unwrap(), &sources) {
            Ok(None) => "not files".into(),
            Ok(Some(files)) => files
                .iter()
                .map(|f| format!("{}:{:o}={}", f.path, f.mode, String::from_utf8_lossy(&f.bytes)))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expect);
    }

    #[test]
    fn every_key_is_a_file() {
        check(json!({"configMap": {"name": "cm"}}), "a:644=1 b:644=2");
        check(json!({"secret": {"secretName": "sec", "defaultMode": 256}}), "pw:400=x");
    }
    #[test]
    fn items_choose_and_rename() {
        check(
            json!({"configMap": {"name": "cm", "items": [{"key": "b", "path": "conf/b.ini", "mode": 384}]}}),
            "conf/b.ini:600=2",
        );
    }
    #[test]
    fn a_missing_object_or_key_is_named_unless_optional() {
        check(json!({"configMap": {"name": "gone"}}), "configmap \"gone\" not found");
        check(
            json!({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}),
            "couldn't find key z in ConfigMap cm",
        );
        check(json!({"secret": {"secretName": "gone", "optional": true}}), "");
    }
    #[test]
    fn a_projected_volume_has_token_certificate_and_namespace() {
        check(
            json!({"projected": {"sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
                {"configMap": {"name": "cm", "items": [{"key": "a", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}),
            "token:600=tok ca.crt:644=1 namespace:644=shop",
        );
    }
    #[test]
    fn a_path_cannot_leave_the_volume() {
        check(
            json!({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../x"}]}}),
            "volume v has a path outside itself: ../x",
        );
    }
    #[test]
    fn directories_are_not_made_of_files() {
        check(json!({"emptyDir": {}}), "not files");
    }
}
