//! OpenAPI v3 documents, one per group version, made on request from the catalog and the schemas.
//!
//! For `/openapi/v3` and thereby `kubectl explain`, `apply` and `create --validate`. Nothing is kept between requests:
//! a document is large and asked for rarely, and clients cache it under its hash.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::artefact::{FNV_START, described, fingerprint, fnv};
use super::types::Schema;
use crate::catalog::catalog;
use crate::spec::KindSpec;

const SCHEMAS: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The path of each group version below `/openapi/v3/` with the hash of its document: `apis/apps/v1`.
pub fn index() -> BTreeMap<String, String> {
    let groups: BTreeSet<(&str, &str)> = catalog().iter().map(|spec| (spec.group, spec.version)).collect();
    groups.into_iter().map(|(group, version)| (prefix(group, version), hash(group, version))).collect()
}

/// The document of one group version as JSON text; `None` when no kind lives there.
pub fn document_text(group: &str, version: &str) -> Option<String> {
    let kinds = catalog().iter().filter(|spec| spec.group == group && spec.version == version);
    let kinds: Vec<Published> = kinds.map(Published::of).collect();
    (!kinds.is_empty()).then(|| write_document(&kinds, Vec::new()))
}

/// A document with the paths of these kinds, all built-in schemas that they mention, and `own` ones.
/// Written definition by definition: a whole document as a tree would take ten times the memory of its text.
pub(crate) fn write_document(kinds: &[Published], own: Vec<(String, Value)>) -> String {
    let paths: Map<String, Value> = kinds.iter().flat_map(paths).collect();
    let wanted = Schema::builtin().closure(kinds.iter().flat_map(roots));
    let info = json!({ "title": "Kubernetes", "version": "v1.36.0" });
    let mut text =
        format!(r#"{{"openapi":"3.0.0","info":{info},"paths":{},"components":{{"schemas":{{"#, json!(paths));
    let schemas = own.into_iter().chain(described(|name| wanted.contains(name)));
    for (index, (name, definition)) in schemas.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        text.push_str(&format!("{comma}{}:{definition}", Value::from(name)));
    }
    text.push_str("}}}");
    text
}

/// What the paths of a kind are made of, whatever brought the kind.
pub(crate) struct Published {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub status: bool,
    pub scale: bool,
    pub merges_strategically: bool,
    /// Whether there is more to it than creating it.
    pub is_stored: bool,
    /// The name of its schema.
    pub schema: String,
}

impl Published {
    fn of(spec: &KindSpec) -> Self {
        let schema = Schema::builtin().kind_name(spec.group, spec.version, spec.kind);
        Self {
            group: spec.group.to_owned(),
            version: spec.version.to_owned(),
            kind: spec.kind.to_owned(),
            plural: spec.plural.to_owned(),
            namespaced: spec.is_namespaced(),
            status: spec.status,
            scale: spec.scale.is_some(),
            merges_strategically: true,
            is_stored: spec.verbs.contains(&"list"),
            schema: schema.unwrap_or_default().to_owned(),
        }
    }
}

/// [`document_text`] as a tree, for those who look into it.
pub fn document(group: &str, version: &str) -> Option<Value> {
    document_text(group, version).and_then(|text| serde_json::from_str(&text).ok())
}

/// `apis/apps/v1`, as documents are listed.
pub fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

fn hash(group: &str, version: &str) -> String {
    let parts = [group, version, env!("CARGO_PKG_VERSION")];
    let hash = parts.iter().fold(FNV_START ^ fingerprint(), |hash, part| fnv(hash, part.as_bytes()));
    format!("{hash:016X}")
}

/// The definitions that a kind's operations mention.
fn roots(kind: &Published) -> Vec<String> {
    let shared = ["DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status", "WatchEvent"];
    let mut names: Vec<String> = shared.iter().map(|name| format!("{META}.{name}")).collect();
    names.extend([kind.schema.clone(), format!("{}List", kind.schema)]);
    if kind.scale {
        names.push("io.k8s.api.autoscaling.v1.Scale".to_owned());
    }
    names
}

fn paths(kind: &Published) -> Vec<(String, Value)> {
    let base = format!("/{}", prefix(&kind.group, &kind.version));
    let namespace = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{namespace}/{}", kind.plural);
    let gvk = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
    let patches = if kind.merges_strategically { PATCH_TYPES } else { CUSTOM_PATCH_TYPES };
    let on_object = Operations { kind: &gvk, schema: &kind.schema, path: Parameters::named(kind), patches };
    if !kind.is_stored {
        let post = Operations { path: Parameters::of(kind), ..on_object };
        return vec![(collection, json!({ "post": post.operation("post", &kind.schema) }))];
    }
    let mut paths = vec![
        (collection.clone(), Operations { path: Parameters::of(kind), ..on_object }.collection()),
        (format!("{collection}/{{name}}"), on_object.object(true)),
    ];
    if kind.namespaced {
        let everywhere = Operations { path: Parameters::default(), ..on_object };
        paths.push((format!("{base}/{}", kind.plural), json!({ "get": everywhere.operation("list", "") })));
    }
    if kind.status {
        paths.push((format!("{collection}/{{name}}/status"), on_object.object(false)));
    }
    if kind.scale {
        let gvk = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        let schema = "io.k8s.api.autoscaling.v1.Scale";
        let scale = Operations { kind: &gvk, schema, path: Parameters::named(kind), patches };
        paths.push((format!("{collection}/{{name}}/scale"), scale.object(false)));
    }
    paths
}

/// Which parameters a path holds.
#[derive(Clone, Copy, Default)]
struct Parameters {
    namespace: bool,
    name: bool,
}

impl Parameters {
    fn of(kind: &Published) -> Self {
        Self { namespace: kind.namespaced, name: false }
    }

    fn named(kind: &Published) -> Self {
        Self { name: true, ..Self::of(kind) }
    }

    fn list(self) -> Vec<Value> {
        let parameter = |name: &str| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "uniqueItems": true } });
        let name = self.name.then(|| parameter("name"));
        name.into_iter().chain(self.namespace.then(|| parameter("namespace"))).collect()
    }
}

#[derive(Clone, Copy)]
struct Operations<'a> {
    kind: &'a Value,
    schema: &'a str,
    path: Parameters,
    patches: &'static [&'static str],
}

impl Operations<'_> {
    fn collection(self) -> Value {
        json!({
            "parameters": self.path.list(),
            "get": self.operation("list", ""),
            "post": self.operation("post", self.schema),
            "delete": self.operation("deletecollection", &format!("{META}.DeleteOptions")),
        })
    }

    fn object(self, deletable: bool) -> Value {
        let mut operations = json!({
            "parameters": self.path.list(),
            "get": self.operation("get", ""),
            "put": self.operation("put", self.schema),
            "patch": self.operation("patch", &format!("{META}.Patch")),
        });
        if deletable {
            operations["delete"] = self.operation("delete", &format!("{META}.DeleteOptions"));
        }
        operations
    }

    fn operation(self, action: &str, body: &str) -> Value {
        let answer = match action {
            "list" => format!("{}List", self.schema),
            "delete" | "deletecollection" => format!("{META}.Status"),
            _ => self.schema.to_owned(),
        };
        let mut operation = json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.kind,
            "parameters": query(action),
            "responses": { "200": { "description": "OK", "content": content(&["application/json"], &answer) } },
        });
        if !body.is_empty() {
            let types: &[&str] = if action == "patch" { self.patches } else { &["*/*"] };
            operation["requestBody"] =
                json!({ "content": content(types, body), "required": action != "delete" });
        }
        operation
    }
}

const PATCH_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

const CUSTOM_PATCH_TYPES: &[&str] =
    &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"];

fn content(types: &[&str], schema: &str) -> Value {
    let entry = json!({ "schema": { "$ref": format!("{SCHEMAS}{schema}") } });
    types.iter().map(|name| ((*name).to_owned(), entry.clone())).collect::<Map<_, _>>().into()
}

/// `fieldValidation` matters most: kubectl validates by itself where an operation does not list it.
fn query(action: &str) -> Vec<Value> {
    let names: &[(&str, &str)] = match action {
        "post" | "put" => &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")],
        "patch" => &[
            ("dryRun", "string"),
            ("fieldManager", "string"),
            ("fieldValidation", "string"),
            ("force", "boolean"),
        ],
        "list" => &[
            ("allowWatchBookmarks", "boolean"),
            ("continue", "string"),
            ("fieldSelector", "string"),
            ("labelSelector", "string"),
            ("limit", "integer"),
            ("resourceVersion", "string"),
            ("resourceVersionMatch", "string"),
            ("sendInitialEvents", "boolean"),
            ("timeoutSeconds", "integer"),
            ("watch", "boolean"),
        ],
        "delete" | "deletecollection" => {
            &[("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")]
        }
        _ => &[],
    };
    let parameter = |(name, kind): &(&str, &str)| json!({ "name": name, "in": "query", "schema": { "type": kind, "uniqueItems": true } });
    names.iter().map(parameter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_of_the_catalog_has_a_document_whose_references_resolve() {
        for spec in catalog() {
            let document = document(spec.group, spec.version).expect("a kind has a document");
            let text = document.to_string();
            for reference in text.split("\"$ref\":\"").skip(1) {
                let target = reference.split('"').next().unwrap_or_default();
                let name = target.strip_prefix(SCHEMAS).expect("references stay inside");
                assert!(document["components"]["schemas"].get(name).is_some(), "{}: {name}", spec.kind);
            }
        }
    }

    #[test]
    fn writing_operations_offer_field_validation() {
        let document = document("apps", "v1").expect("apps has a document");
        let object = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
        for verb in ["put", "patch"] {
            assert!(object[verb]["parameters"].to_string().contains("fieldValidation"), "{verb}");
            assert_eq!(object[verb]["x-kubernetes-group-version-kind"]["kind"], "Deployment");
        }
    }

    #[test]
    fn schemas_keep_descriptions_and_merge_keys() {
        let document = document("apps", "v1").expect("apps has a document");
        let schemas = &document["components"]["schemas"];
        assert!(
            schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"]["description"].is_string()
        );
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    }

    #[test]
    fn hashes_differ_between_groups() {
        let index = index();
        assert_ne!(index["apis/apps/v1"], index["api/v1"]);
    }
}
