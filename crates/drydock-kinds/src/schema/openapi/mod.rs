//! OpenAPI documents: version 3, one per group version, and version 2, one for everything.
//!
//! For `/openapi/v3` and `/openapi/v2`, and thereby `kubectl explain`, `apply` and `create --validate`. Made on request
//! from what is [`Published`]: kinds of the catalog, whose schemas are in the artefact, and custom kinds, which bring
//! their own (`custom::openapi`). Definitions are handed out one by one: a whole document as a tree would take ten times the memory of its
//! text. Nothing is kept here.

mod operations;
mod v2;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

pub use v2::Version2;

use super::artefact::{FNV_START, described, fingerprint, fnv};
use super::types::Schema;
use crate::spec::KindSpec;

const SCHEMAS: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// A kind as documents show it, whatever brought the kind.
#[derive(Debug, Clone)]
pub struct Published {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub status: bool,
    pub scale: bool,
    /// Whether objects are kept; reviews are only answered.
    pub stored: bool,
    /// Custom kinds have no protobuf form and no strategic merge.
    pub builtin: bool,
    /// The name of its definition; that of its list has `List` behind it.
    pub definition: String,
    /// Definitions that it brings along, by name; those of built-in kinds are in the artefact.
    pub own: Vec<(String, Value)>,
}

impl From<&KindSpec> for Published {
    fn from(spec: &KindSpec) -> Self {
        Self {
            plural: spec.plural.to_owned(),
            namespaced: spec.is_namespaced(),
            status: spec.status,
            scale: spec.scale.is_some(),
            stored: spec.verbs.contains(&"list"),
            ..Self::builtin(spec.group, spec.version, spec.kind)
        }
    }
}

impl Published {
    /// A built-in kind that is only created, until more is said about it.
    pub fn builtin(group: &str, version: &str, kind: &str) -> Self {
        let definition = Schema::builtin().kind_name(group, version, kind).unwrap_or_default().to_owned();
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: String::new(),
            namespaced: false,
            status: false,
            scale: false,
            stored: false,
            builtin: true,
            definition,
            own: Vec::new(),
        }
    }

    /// The path of the document it is in, below `/openapi/v3/`: `apis/apps/v1`.
    pub fn home(&self) -> String {
        home(&self.group, &self.version)
    }

    /// Published definitions that its operations mention.
    fn roots(&self) -> Vec<String> {
        let shared = ["DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status", "WatchEvent"];
        let mut names: Vec<String> = shared.iter().map(|name| format!("{META}.{name}")).collect();
        names.extend([self.definition.clone(), format!("{}List", self.definition)]);
        if self.scale {
            names.push(SCALE.to_owned());
        }
        names
    }
}

/// `apis/apps/v1`, as documents are listed.
pub fn home(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// A number that changes with the document of these built-in kinds.
pub fn hash<'k>(kinds: impl Iterator<Item = &'k Published>) -> u64 {
    let start = fnv(FNV_START ^ fingerprint(), env!("CARGO_PKG_VERSION").as_bytes());
    kinds.fold(start, |hash, kind| {
        let shape = [kind.namespaced, kind.status, kind.scale, kind.stored].map(u8::from);
        let hash = [&kind.group, &kind.version, &kind.kind, &kind.plural]
            .into_iter()
            .fold(hash, |hash, text| fnv(fnv(hash, text.as_bytes()), b"/"));
        fnv(hash, &shape)
    })
}

/// The document of one group version as JSON text; `None` when there are no kinds.
pub fn document_text(kinds: &[Published]) -> Option<String> {
    if kinds.is_empty() {
        return None;
    }
    let paths: Map<String, Value> = kinds.iter().flat_map(operations::paths).collect();
    let head = json!({ "title": "Kubernetes", "version": "v1.36.0" });
    let mut text =
        format!(r#"{{"openapi":"3.0.0","info":{head},"paths":{},"components":{{"schemas":{{"#, json!(paths));
    for (index, (name, definition)) in definitions(kinds).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{}:{definition}", Value::from(name)));
    }
    let security = json!({
        "BearerToken": {
            "type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header",
        },
    });
    text.push_str(&format!(r#"}},"securitySchemes":{security}}}}}"#));
    Some(text)
}

/// All definitions that these kinds need, in the form of version 3.
fn definitions(kinds: &[Published]) -> impl Iterator<Item = (String, Value)> {
    let roots: BTreeSet<String> = kinds.iter().flat_map(Published::roots).collect();
    let wanted = Schema::builtin().closure(roots.into_iter());
    let own = kinds.iter().flat_map(|kind| kind.own.iter().cloned());
    described(move |name| wanted.contains(name)).chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::catalog;

    fn published() -> Vec<Published> {
        catalog().iter().map(Published::from).collect()
    }

    fn of(group: &str, version: &str) -> Vec<Published> {
        published().into_iter().filter(|kind| kind.group == group && kind.version == version).collect()
    }

    fn document(kinds: &[Published]) -> Value {
        serde_json::from_str(&document_text(kinds).expect("there are kinds")).expect("a document is JSON")
    }

    fn widget() -> Published {
        let schema = json!({
            "type": "object",
            "properties": { "spec": { "type": "object", "properties": {
                "size": { "type": "integer", "nullable": true, "default": 3 },
                "port": { "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] },
                "free": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
            } } },
        });
        Published {
            plural: "widgets".to_owned(),
            namespaced: true,
            stored: true,
            builtin: false,
            definition: "com.example.v1.Widget".to_owned(),
            own: vec![("com.example.v1.Widget".to_owned(), schema)],
            ..Published::builtin("example.com", "v1", "Widget")
        }
    }

    #[test]
    fn every_reference_of_every_document_resolves() {
        let groups: BTreeSet<(String, String)> =
            published().into_iter().map(|kind| (kind.group, kind.version)).collect();
        for (group, version) in groups {
            let document = document(&of(&group, &version));
            let text = document.to_string();
            for reference in text.split("\"$ref\":\"").skip(1) {
                let target = reference.split('"').next().unwrap_or_default();
                let name = target.strip_prefix(SCHEMAS).expect("references stay inside");
                assert!(document["components"]["schemas"].get(name).is_some(), "{group}/{version}: {name}");
            }
        }
    }

    #[test]
    fn writing_operations_offer_field_validation() {
        let document = document(&of("apps", "v1"));
        let object = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        for verb in ["put", "patch"] {
            assert!(object[verb]["parameters"].to_string().contains("fieldValidation"), "{verb}");
            assert_eq!(object[verb]["x-kubernetes-group-version-kind"]["kind"], "Deployment");
        }
    }

    #[test]
    fn schemas_keep_descriptions_and_merge_keys() {
        let document = document(&of("apps", "v1"));
        let schemas = &document["components"]["schemas"];
        assert!(
            schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]["description"].is_string()
        );
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    }

    #[test]
    fn hashes_differ_between_groups() {
        assert_ne!(hash(of("apps", "v1").iter()), hash(of("", "v1").iter()));
    }

    #[test]
    fn version_2_says_the_same_in_its_own_words() {
        let kinds: Vec<Published> = of("apps", "v1").into_iter().chain([widget()]).collect();
        let document = Version2::new(&kinds);
        let definitions: Map<String, Value> = document.definitions().collect();
        let spec = &definitions["io.k8s.api.apps.v1.DeploymentSpec"]["properties"];
        assert_eq!(spec["template"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodTemplateSpec");
        assert!(spec["template"].get("allOf").is_none() && spec["template"].get("default").is_none());
        assert_eq!(definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["format"], "int-or-string");
        assert_eq!(definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
        let spec = &definitions["com.example.v1.Widget"]["properties"]["spec"]["properties"];
        assert_eq!(spec["size"], json!({}), "what may be null has no type there");
        assert!(spec["port"].get("type").is_none() && spec["port"].get("anyOf").is_none());
        assert!(spec["free"].get("type").is_none());
        let paths: Map<String, Value> = document.paths().collect();
        let patch = &paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
        let parameters = patch["parameters"].as_array().expect("a list");
        assert!(parameters.iter().any(|p| p["name"] == "fieldValidation" && p["type"] == "string"));
        assert_eq!(
            patch["responses"]["200"]["schema"]["$ref"],
            "#/definitions/io.k8s.api.apps.v1.Deployment"
        );
    }
}
