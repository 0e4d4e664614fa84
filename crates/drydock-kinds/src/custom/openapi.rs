//! Custom kinds in OpenAPI: their schemas as authors wrote them, with what every object has.
//!
//! For the documents that `kubectl explain`, `apply` and `create` read (`schema::openapi`). Nothing is kept: they are
//! made from the stored definitions when somebody asks, and clients cache them.
//!
//! Start at [`published`].

use serde_json::{Map, Value, json};

use crate::read::{flag, list, text};
use crate::schema::fnv;
use crate::schema::openapi::Published;

const SCHEMAS: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. Servers should \
    convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. Servers may infer \
    this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
const LIST_METADATA: &str = "Standard list metadata. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";

/// The served versions of a definition, as documents show them.
pub fn published(definition: &Value) -> Vec<Published> {
    served(definition).map(|version| published_version(definition, version)).collect()
}

/// Changes whenever what is published for a definition changes.
pub fn fingerprint(definition: &Value) -> u64 {
    let names = definition.pointer("/status/acceptedNames").unwrap_or(&Value::Null);
    fnv(fnv(0, definition["spec"].to_string().as_bytes()), names.to_string().as_bytes())
}

fn served(definition: &Value) -> impl Iterator<Item = &Value> {
    list(definition, "/spec/versions").iter().filter(|version| flag(version, "/served"))
}

/// `com.example.v1.Widget` for `Widget` in `example.com/v1`.
fn schema_name(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

fn published_version(definition: &Value, version: &Value) -> Published {
    let (group, version_name) = (text(definition, "/spec/group"), text(version, "/name"));
    let kind = text(definition, "/spec/names/kind");
    Published {
        group: group.to_owned(),
        version: version_name.to_owned(),
        kind: kind.to_owned(),
        plural: text(definition, "/spec/names/plural").to_owned(),
        namespaced: text(definition, "/spec/scope") == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        scale: version["subresources"]["scale"].is_object(),
        stored: true,
        builtin: false,
        definition: schema_name(group, version_name, kind),
        own: schemas_of(definition, version).into(),
    }
}

fn schemas_of(definition: &Value, version: &Value) -> [(String, Value); 2] {
    let (group, version_name) = (text(definition, "/spec/group"), text(version, "/name"));
    let names = &definition["spec"]["names"];
    let kind = text(names, "/kind");
    let kinds = |kind: &str| json!([{ "group": group, "version": version_name, "kind": kind }]);
    let name = schema_name(group, version_name, kind);
    let mut object = version["schema"]["openAPIV3Schema"].clone();
    if !object.is_object() {
        object = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    }
    complete(&mut object, true);
    object["x-kubernetes-group-version-kind"] = kinds(kind);
    let list = json!({
        "description": format!("{} is a list of {kind}", text(names, "/listKind")),
        "type": "object", "required": ["items"],
        "properties": {
            "apiVersion": { "description": API_VERSION, "type": "string" },
            "items": {
                "description": format!("List of {}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md", text(names, "/plural")),
                "type": "array", "items": { "allOf": [{ "$ref": format!("{SCHEMAS}{name}") }], "default": {} },
            },
            "kind": { "description": KIND, "type": "string" },
            "metadata": reference("ListMeta", LIST_METADATA),
        },
        "x-kubernetes-group-version-kind": kinds(text(names, "/listKind")),
    });
    [(name.clone(), object), (format!("{name}List"), list)]
}

fn reference(name: &str, description: &str) -> Value {
    json!({ "description": description, "allOf": [{ "$ref": format!("{SCHEMAS}{META}.{name}") }], "default": {} })
}

/// Adds what every object has to the root and to embedded resources.
fn complete(schema: &mut Value, is_root: bool) {
    if is_root || schema["x-kubernetes-embedded-resource"] == true {
        if !schema["properties"].is_object() {
            schema["properties"] = Value::Object(Map::new());
        }
        let properties = &mut schema["properties"];
        properties["apiVersion"] = json!({ "description": API_VERSION, "type": "string" });
        properties["kind"] = json!({ "description": KIND, "type": "string" });
        properties["metadata"] = reference("ObjectMeta", METADATA);
    }
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata").for_each(|(_, field)| complete(field, false));
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(key).filter(|inner| inner.is_object()) {
            complete(inner, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::openapi::document_text;

    fn definition() -> Value {
        json!({
            "metadata": { "name": "widgets.example.com" },
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": { "plural": "widgets", "kind": "Widget", "listKind": "WidgetList" },
                "versions": [
                    { "name": "v1", "served": true, "subresources": { "status": {}, "scale": {} }, "schema": { "openAPIV3Schema": {
                        "type": "object", "properties": { "spec": { "type": "object", "description": "What it should be." } },
                    } } },
                    { "name": "v0", "served": false },
                ],
            },
        })
    }

    #[test]
    fn a_document_has_the_schema_with_metadata_and_all_it_refers_to() {
        let text = document_text(&published(&definition())).expect("a served version");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
        assert_eq!(widget["properties"]["spec"]["description"], "What it should be.");
        assert_eq!(widget["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
        for reference in text.split("\"$ref\":\"").skip(1) {
            let name =
                reference.split('"').next().and_then(|target| target.strip_prefix(SCHEMAS)).unwrap_or("");
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_documents_paths_offer_field_validation_but_no_strategic_merge() {
        let text = document_text(&published(&definition())).expect("a served version");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let path = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}"];
        assert!(path["patch"]["parameters"].to_string().contains("fieldValidation"));
        assert!(!path["patch"]["requestBody"].to_string().contains("strategic"));
        assert!(
            document["paths"]
                .get("/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale")
                .is_some()
        );
    }

    #[test]
    fn a_version_that_is_not_served_has_no_document() {
        assert!(published(&definition()).iter().all(|kind| kind.version == "v1"));
    }

    #[test]
    fn a_changed_schema_changes_the_fingerprint() {
        let mut other = definition();
        other["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = json!("Changed.");
        assert_ne!(fingerprint(&definition()), fingerprint(&other));
    }
}
