//! The paths of a kind and what can be done there, in the form of version 3.
//!
//! What clients look at: `x-kubernetes-action`, the kind an operation is about, and that writes list `fieldValidation`,
//! without which kubectl would validate by itself.

use serde_json::{Map, Value, json};

use super::{META, Published, SCALE, SCHEMAS};

pub(super) fn paths(kind: &Published) -> Vec<(String, Value)> {
    let base = format!("/{}", kind.home());
    let namespace = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{namespace}/{}", kind.plural);
    let named = Parameters { namespace: kind.namespaced, name: true };
    let unnamed = Parameters { name: false, ..named };
    let on_object = Operations::new(kind, named);
    let on_collection = Operations { path: unnamed, ..on_object.clone() };
    if !kind.stored {
        let create = on_collection.operation("post", &on_object.schema);
        return vec![(collection, json!({ "parameters": unnamed.list(), "post": create }))];
    }
    let mut paths = vec![
        (collection.clone(), on_collection.collection()),
        (format!("{collection}/{{name}}"), on_object.object(true)),
    ];
    if kind.namespaced {
        let everywhere =
            Operations { path: Parameters::default(), part: "ForAllNamespaces", ..on_object.clone() };
        paths.push((format!("{base}/{}", kind.plural), json!({ "get": everywhere.operation("list", "") })));
    }
    if kind.status {
        let status = Operations { part: "Status", ..on_object.clone() };
        paths.push((format!("{collection}/{{name}}/status"), status.object(false)));
    }
    if kind.scale {
        let identity = json!({ "group": "autoscaling", "version": "v1", "kind": "Scale" });
        let scale = Operations { identity, schema: SCALE.to_owned(), part: "Scale", ..on_object };
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
    fn list(self) -> Vec<Value> {
        let parameter = |name: &str, text: &str| json!({ "name": name, "in": "path", "description": text, "required": true, "schema": { "type": "string", "uniqueItems": true } });
        let name = self.name.then(|| parameter("name", "name of the object"));
        let namespace = self
            .namespace
            .then(|| parameter("namespace", "object name and auth scope, such as for teams and projects"));
        name.into_iter().chain(namespace).collect()
    }
}

#[derive(Clone)]
struct Operations<'k> {
    kind: &'k Published,
    /// Group, version and kind of what is sent.
    identity: Value,
    schema: String,
    path: Parameters,
    /// What the name of an operation ends in.
    part: &'static str,
}

impl<'k> Operations<'k> {
    fn new(kind: &'k Published, path: Parameters) -> Self {
        let identity = json!({ "group": kind.group, "version": kind.version, "kind": kind.kind });
        Self { kind, identity, schema: kind.definition.clone(), path, part: "" }
    }

    fn collection(&self) -> Value {
        json!({
            "parameters": self.path.list(),
            "get": self.operation("list", ""),
            "post": self.operation("post", &self.schema),
            "delete": self.operation("deletecollection", &format!("{META}.DeleteOptions")),
        })
    }

    fn object(&self, deletable: bool) -> Value {
        let mut operations = json!({
            "parameters": self.path.list(),
            "get": self.operation("get", ""),
            "put": self.operation("put", &self.schema),
            "patch": self.operation("patch", &format!("{META}.Patch")),
        });
        if deletable {
            operations["delete"] = self.operation("delete", &format!("{META}.DeleteOptions"));
        }
        operations
    }

    fn operation(&self, action: &str, body: &str) -> Value {
        let answer = match action {
            "list" => format!("{}List", self.kind.definition),
            "delete" | "deletecollection" => format!("{META}.Status"),
            _ => self.schema.clone(),
        };
        let answers: &[&str] = match self.kind.builtin {
            false => &["application/json", "application/yaml"],
            true => &["application/json", "application/vnd.kubernetes.protobuf", "application/yaml"],
        };
        let (verb, text) = self.words(action);
        let mut operation = json!({
            "tags": [self.tag()],
            "description": text,
            "operationId": self.id(verb),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": self.identity,
            "parameters": query(action),
            "responses": {
                "200": { "description": "OK", "content": content(answers, &answer) },
                "401": { "description": "Unauthorized" },
            },
        });
        if matches!(action, "post" | "put" | "patch") {
            operation["responses"]["201"] =
                json!({ "description": "Created", "content": content(answers, &answer) });
        }
        if !body.is_empty() {
            let types: &[&str] = match (action, self.kind.builtin) {
                ("patch", false) => &PATCH_TYPES[..3],
                ("patch", true) => PATCH_TYPES,
                _ => &["*/*"],
            };
            let mut request = json!({ "content": content(types, body) });
            if !action.starts_with("delete") {
                request["required"] = true.into();
            }
            operation["requestBody"] = request;
        }
        operation
    }

    /// The first word of an operation's name, and what it does.
    fn words(&self, action: &str) -> (&'static str, String) {
        let kind = &self.kind.kind;
        let part = match self.part {
            "Status" => "status of the ",
            "Scale" => "scale of the ",
            _ => "the ",
        };
        match action {
            "list" => ("list", format!("list or watch objects of kind {kind}")),
            "get" => ("read", format!("read {part}specified {kind}")),
            "post" => ("create", format!("create a {kind}")),
            "put" => ("replace", format!("replace {part}specified {kind}")),
            "patch" => ("patch", format!("partially update {part}specified {kind}")),
            "delete" => ("delete", format!("delete a {kind}")),
            _ => ("deleteCollection", format!("delete collection of {kind}")),
        }
    }

    /// `readAppsV1NamespacedDeploymentStatus`.
    fn id(&self, verb: &str) -> String {
        let scope = match self.path.namespace {
            true => "Namespaced",
            false => "",
        };
        format!("{verb}{}{}{scope}{}{}", self.group(), capital(&self.kind.version), self.kind.kind, self.part)
    }

    /// `Apps` or `RbacAuthorization`: the group as names of operations have it.
    fn group(&self) -> String {
        match self.kind.group.as_str() {
            "" => "Core".to_owned(),
            group if !self.kind.builtin => group.split('.').map(capital).collect(),
            group => group.trim_end_matches(".k8s.io").split('.').map(capital).collect(),
        }
    }

    fn tag(&self) -> String {
        let group = self.group();
        let mut letters = group.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        let lower: String = first.into_iter().chain(letters).collect();
        format!("{lower}_{}", self.kind.version)
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The last is for built-in kinds only.
const PATCH_TYPES: &[&str] = &[
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

fn content(types: &[&str], schema: &str) -> Value {
    let entry = json!({ "schema": { "$ref": format!("{SCHEMAS}{schema}") } });
    types.iter().map(|name| ((*name).to_owned(), entry.clone())).collect::<Map<_, _>>().into()
}

const DRY_RUN: (&str, &str) = ("dryRun", "string");
const WRITING: &[(&str, &str)] =
    &[DRY_RUN, ("fieldManager", "string"), ("fieldValidation", "string"), ("pretty", "string")];
const APPLYING: &[(&str, &str)] = &[
    DRY_RUN,
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
    ("force", "boolean"),
    ("pretty", "string"),
];
const LISTING: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("pretty", "string"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const DELETING: &[(&str, &str)] = &[
    DRY_RUN,
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("pretty", "string"),
    ("propagationPolicy", "string"),
];
const SELECTING: &[(&str, &str)] = &[
    ("continue", "string"),
    DRY_RUN,
    ("fieldSelector", "string"),
    ("gracePeriodSeconds", "integer"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("orphanDependents", "boolean"),
    ("pretty", "string"),
    ("propagationPolicy", "string"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
];

fn query(action: &str) -> Vec<Value> {
    let names = match action {
        "post" | "put" => WRITING,
        "patch" => APPLYING,
        "list" => LISTING,
        "delete" => DELETING,
        "deletecollection" => SELECTING,
        _ => &[("pretty", "string")],
    };
    let parameter = |(name, kind): &(&str, &str)| json!({ "name": name, "in": "query", "schema": { "type": kind, "uniqueItems": true } });
    names.iter().map(parameter).collect()
}
