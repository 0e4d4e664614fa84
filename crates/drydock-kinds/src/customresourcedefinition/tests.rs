//! Definitions that are refused, and why.

use serde_json::{Value, json};

use super::KIND;

fn definition(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": { "plural": "widgets", "kind": "Widget" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": { "type": "object", "properties": {
                "spec": { "type": "object", "properties": { "a": { "type": "string" } } },
            } } } }],
        },
    });
    change(&mut object);
    (KIND.default)(&mut object);
    (KIND.prepare)(&mut object, None);
    object
}

#[track_caller]
fn check(change: impl FnOnce(&mut Value), expect: &[&str]) {
    let errors = KIND.check(&definition(change), None);
    assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expect);
}

/// Checks with this schema for the field `a`; `ROOT` in the expectation is where the schema stands.
#[track_caller]
fn check_field(schema: Value, expect: &[&str]) {
    let at = "spec.versions[0].schema.openAPIV3Schema.properties[a]";
    let expect: Vec<String> = expect.iter().map(|text| text.replace("ROOT", at)).collect();
    let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    check(
        |object| {
            object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = json!({ "a": schema })
        },
        &expect,
    );
}

#[test]
fn a_sound_definition_passes_and_gets_its_defaults() {
    check(|_| {}, &[]);
    let object = definition(|_| {});
    assert_eq!(
        object["spec"]["names"],
        json!({ "plural": "widgets", "kind": "Widget", "singular": "widget", "listKind": "WidgetList" })
    );
    assert_eq!(object["spec"]["conversion"], json!({ "strategy": "None" }));
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
}

#[test]
fn the_name_follows_from_plural_and_group() {
    check(
        |object| object["metadata"]["name"] = json!("x.example.com"),
        &[r#"metadata.name: Invalid value: "x.example.com": must be spec.names.plural+"."+spec.group"#],
    );
}

#[test]
fn versions_are_unique_and_one_of_them_is_stored() {
    let why = "spec.versions: Invalid value: ";
    let errors =
        KIND.check(&definition(|object| object["spec"]["versions"][0]["storage"] = json!(false)), None);
    let text = errors[0].to_string();
    assert!(
        text.starts_with(why) && text.ends_with("must have exactly one version marked as storage version"),
        "{text}"
    );
    check(
        |object| {
            let version = &mut object["spec"]["versions"][0];
            version.as_object_mut().unwrap().remove("schema");
        },
        &["spec.versions[0].schema.openAPIV3Schema: Required value"],
    );
}

#[test]
fn a_conversion_webhook_is_refused_by_its_field() {
    check(
        |object| {
            let mut second = object["spec"]["versions"][0].clone();
            second["name"] = json!("v2");
            second["storage"] = json!(false);
            object["spec"]["versions"].as_array_mut().unwrap().push(second);
            object["spec"]["conversion"] =
                json!({ "strategy": "Webhook", "webhook": { "conversionReviewVersions": ["v1"] } });
        },
        &[
            r#"spec.conversion.strategy: Invalid value: "Webhook": drydock does not call conversion webhooks yet: serve a single version, or use None when versions differ in nothing but their name"#,
        ],
    );
}

#[test]
fn a_schema_is_structural() {
    check_field(json!({}), &["ROOT.type: Required value: must not be empty for specified object fields"]);
    check_field(json!({ "type": "array" }), &["ROOT.items: Required value: must be specified"]);
    check_field(
        json!({ "type": "array", "items": {} }),
        &["ROOT.items.type: Required value: must not be empty for specified array items"],
    );
    check_field(
        json!({ "type": "object", "anyOf": [{ "type": "object" }] }),
        &["ROOT.anyOf[0].type: Forbidden: must be empty to be structural"],
    );
    check_field(
        json!({ "type": "object", "oneOf": [{ "properties": { "b": { "minimum": 1 } } }] }),
        &["ROOT.properties[b]: Required value: because it is defined in ROOT.oneOf[0].properties[b]"],
    );
    check_field(
        json!({ "x-kubernetes-int-or-string": true, "anyOf": [{ "type": "integer" }, { "type": "string" }] }),
        &[],
    );
    check_field(
        json!({ "type": "text" }),
        &[
            r#"ROOT.type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string""#,
        ],
    );
}

#[test]
fn what_a_cluster_does_not_support_is_refused() {
    check_field(
        json!({ "type": "array", "uniqueItems": true, "items": { "type": "string" } }),
        &[
            "ROOT.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ],
    );
    check_field(
        json!({ "type": "object", "properties": { "b": { "type": "string" } }, "additionalProperties": { "type": "string" } }),
        &["ROOT.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    check_field(
        json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": false }),
        &["ROOT.x-kubernetes-preserve-unknown-fields: Invalid value: false: must be true or undefined"],
    );
}

#[test]
fn list_keys_are_required_scalars() {
    check_field(
        json!({ "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": { "type": "object", "properties": { "n": { "type": "string" } } } }),
        &[
            "ROOT.items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ],
    );
    check_field(
        json!({ "type": "array", "x-kubernetes-list-type": "map", "items": { "type": "object" } }),
        &[
            "ROOT.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map",
        ],
    );
}

#[test]
fn a_default_fits_its_schema() {
    check_field(
        json!({ "type": "integer", "default": "x" }),
        &[r#"ROOT.default: Invalid value: "string":  in body must be of type integer: "string""#],
    );
    check_field(
        json!({ "type": "object", "default": { "x": 1 }, "properties": { "a": { "type": "string" } } }),
        &[r#"ROOT.default: Invalid value: {"x":1}: must not have unknown fields"#],
    );
}

#[test]
fn a_hostile_pattern_is_refused() {
    let errors = KIND.check(
        &definition(|object| {
            object["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] =
                json!({ "a": { "type": "string", "pattern": "((a{1000}){1000}){1000}" } });
        }),
        None,
    );
    assert!(errors[0].to_string().contains("must be a valid regular expression, but isn't"), "{}", errors[0]);
}

#[test]
fn columns_and_scale_paths_are_checked() {
    check(
        |object| {
            let version = &mut object["spec"]["versions"][0];
            version["additionalPrinterColumns"] =
                json!([{ "name": "A", "type": "text", "jsonPath": "spec.a" }]);
            version["subresources"] =
                json!({ "scale": { "specReplicasPath": ".status.a", "statusReplicasPath": ".status.a" } });
        },
        &[
            r#"spec.versions[0].subresources.scale.specReplicasPath: Invalid value: ".status.a": should be a json path under .spec"#,
            r#"spec.versions[0].additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string"#,
            r#"spec.versions[0].additionalPrinterColumns[0].JSONPath: Invalid value: "spec.a": must be a simple json path starting with ."#,
        ],
    );
}

#[test]
fn groups_of_kubernetes_need_an_approval() {
    check(
        |object| {
            object["metadata"]["name"] = json!("widgets.x.k8s.io");
            object["spec"]["group"] = json!("x.k8s.io");
        },
        &[
            r#"metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111"#,
        ],
    );
}

#[test]
fn group_and_plural_never_change_and_scope_not_once_established() {
    let old = definition(|_| {});
    let mut new = old.clone();
    new["spec"]["scope"] = json!("Cluster");
    assert_eq!(KIND.check(&new, Some(&old)), []);
    let mut old = old;
    old["status"]["conditions"] = json!([{ "type": "Established", "status": "True" }]);
    let texts: Vec<String> = KIND.check(&new, Some(&old)).iter().map(ToString::to_string).collect();
    assert_eq!(texts, [r#"spec.scope: Invalid value: "Cluster": field is immutable"#]);
}

#[test]
fn a_version_that_was_stored_stays() {
    let old = definition(|_| {});
    let mut new = old.clone();
    new["spec"]["versions"][0]["name"] = json!("v2");
    (KIND.prepare)(&mut new, Some(&old));
    let texts: Vec<String> = KIND.check(&new, Some(&old)).iter().map(ToString::to_string).collect();
    assert!(
        texts[0].starts_with(
            r#"status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was"#
        ),
        "{texts:?}"
    );
}

#[test]
fn rules_are_compiled_when_they_are_written() {
    let rule = |rule: Value| json!({ "type": "object", "x-kubernetes-validations": [rule] });
    check_field(rule(json!({ "rule": "self == self" })), &[]);
    check_field(
        rule(json!({ "rule": "self.a ==" })),
        &[
            r#"ROOT.x-kubernetes-validations[0].rule: Invalid value: {"rule":"self.a =="}: compilation failed: ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>'"#,
        ],
    );
    check_field(
        rule(json!({ "rule": "true", "fieldPath": ".nowhere", "reason": "Because" })),
        &[
            r#"ROOT.x-kubernetes-validations[0].reason: Unsupported value: "Because": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired""#,
            r#"ROOT.x-kubernetes-validations[0].fieldPath: Invalid value: ".nowhere": must be a valid path"#,
        ],
    );
    check_field(
        json!({ "type": "array", "items": { "type": "string", "x-kubernetes-validations": [{ "rule": "self == oldSelf" }] } }),
        &[
            r#"ROOT.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within ROOT"#,
        ],
    );
}
