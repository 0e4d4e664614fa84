//! The objects of a manifest, each with the template it came from.

use seaworthy_template::yaml;
use serde_json::Value;

use crate::error::{Error, Result};

const KEEP: &str = "helm.sh/resource-policy";

/// One object as the chart wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub value: Value,
    /// `todo/templates/backend/deployment.yaml`, from the manifest's own comment.
    pub source_file: String,
}

impl Object {
    pub fn api_version(&self) -> &str {
        self.value["apiVersion"].as_str().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }

    /// As people name it: `Deployment/backend`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// Whether the chart wants it to stay when the release goes.
    pub fn is_kept(&self) -> bool {
        self.value["metadata"]["annotations"][KEEP].as_str() == Some("keep")
    }

    /// Whether both mean the same object of the cluster. The version of the API does not matter.
    pub fn is_same(&self, other: &Object) -> bool {
        let group =
            |object: &Object| object.api_version().rsplit_once('/').map(|(group, _)| group.to_owned());
        (self.kind(), self.name(), self.namespace()) == (other.kind(), other.name(), other.namespace())
            && group(self) == group(other)
    }
}

/// Objects in the order of the manifest, which is the order in which Helm installs them.
pub(crate) fn objects(release: &str, manifest: &str) -> Result<Vec<Object>> {
    let broken = |reason: String| Error::Manifest { release: release.to_owned(), reason };
    let mut objects = Vec::new();
    for document in yaml::split_documents(manifest) {
        let source_file = document
            .lines()
            .find_map(|line| line.strip_prefix("# Source: "))
            .unwrap_or_default()
            .trim()
            .to_owned();
        let value = yaml::read(&document).map_err(|error| broken(format!("{source_file}: {error}")))?;
        if value.is_null() {
            continue;
        }
        let object = Object { value, source_file };
        if object.kind().is_empty() || object.name().is_empty() || object.api_version().is_empty() {
            return Err(broken(format!(
                "{}: an object needs `apiVersion`, `kind` and `metadata.name`",
                object.source_file
            )));
        }
        objects.push(object);
    }
    Ok(objects)
}

/// What `old` had and `new` has no more, last installed first.
pub(crate) fn gone<'a>(old: &'a [Object], new: &[Object]) -> Vec<&'a Object> {
    let mut gone: Vec<&Object> =
        old.iter().filter(|object| !new.iter().any(|kept| kept.is_same(object))).collect();
    gone.retain(|object| !object.is_kept());
    gone.reverse();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "---\n# Source: todo/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\n# Source: todo/templates/b.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: b\n  annotations:\n    helm.sh/resource-policy: keep\n";

    #[test]
    fn each_object_knows_its_template() {
        let objects = objects("todo", TWO).unwrap();
        let told: Vec<String> =
            objects.iter().map(|object| format!("{} {}", object.title(), object.source_file)).collect();
        assert_eq!(told, ["ConfigMap/a todo/templates/a.yaml", "Secret/b todo/templates/b.yaml"]);
    }

    #[test]
    fn what_left_the_manifest_goes_unless_it_is_to_be_kept() {
        let old = objects("todo", TWO).unwrap();
        let gone = gone(&old, &[]);
        assert_eq!(gone.iter().map(|object| object.name()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn an_object_without_a_name_is_refused_with_its_place() {
        let error = objects("todo", "---\n# Source: x.yaml\nkind: A\n").unwrap_err();
        assert!(error.to_string().contains("x.yaml: an object needs"), "{error}");
    }
}
