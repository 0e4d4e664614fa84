//! ValidatingAdmissionPolicies and their bindings: what they deny, warn about, and read as parameters.

use http::StatusCode;
use serde_json::{Value, json};

use crate::podsecurity::ask;
use crate::{World, world};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn make(world: &World, path: &str, object: Value) {
    let (code, _, answer) = ask(world, "POST", path, &object).await;
    assert_eq!(code, StatusCode::CREATED, "{answer}");
}

/// A policy about ConfigMaps with these further fields of its specification.
async fn policy(world: &World, fields: Value) {
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["configmaps"] });
    let mut spec = json!({ "matchConstraints": { "resourceRules": [rule] } });
    json_patch::merge(&mut spec, &fields);
    make(
        world,
        &format!("{GROUP}/validatingadmissionpolicies"),
        json!({ "metadata": { "name": "p" }, "spec": spec }),
    )
    .await;
}

async fn binding(world: &World, fields: Value) {
    let mut spec = json!({ "policyName": "p", "validationActions": ["Deny"] });
    json_patch::merge(&mut spec, &fields);
    make(
        world,
        &format!("{GROUP}/validatingadmissionpolicybindings"),
        json!({ "metadata": { "name": "b" }, "spec": spec }),
    )
    .await;
}

fn map(name: &str, data: Value) -> Value {
    json!({ "metadata": { "name": name, "labels": { "team": "a" } }, "data": data })
}

#[tokio::test]
async fn what_a_policy_denies_is_not_stored() {
    let world = world().await;
    policy(&world, json!({ "validations": [{ "expression": "object == null || object.data.size() < 2", "message": "one entry is enough" }] })).await;
    make(&world, MAPS, map("before", json!({ "a": "1", "b": "2" }))).await;
    binding(&world, json!({})).await;
    let (code, _, answer) = ask(&world, "POST", MAPS, &map("m", json!({ "a": "1", "b": "2" }))).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let why = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: one entry is enough";
    assert_eq!(answer["message"], format!("configmaps \"m\" is forbidden: {why}"));
    assert_eq!(answer["reason"], "Invalid");
    assert_eq!(answer["details"]["causes"], json!([{ "message": why }]));
    make(&world, MAPS, map("m", json!({ "a": "1" }))).await;
    let (code, ..) = ask(&world, "DELETE", &format!("{MAPS}/before"), &Value::Null).await;
    assert_eq!(code, StatusCode::OK);
}

#[tokio::test]
async fn a_binding_may_only_warn() {
    let world = world().await;
    policy(&world, json!({ "validations": [{ "expression": "has(object.data)", "messageExpression": "'no data in ' + object.metadata.name" }] })).await;
    binding(&world, json!({ "validationActions": ["Warn", "Audit"] })).await;
    let (code, warnings, _) = ask(&world, "POST", MAPS, &json!({ "metadata": { "name": "m" } })).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(
        warnings,
        [r#""Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': no data in m""#]
    );
}

#[tokio::test]
async fn a_policy_reads_its_parameters_and_the_namespace() {
    let world = world().await;
    policy(&world, json!({
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "matchConditions": [{ "name": "not-limits", "expression": "request.name != 'limits'" }],
        "variables": [{ "name": "most", "expression": "int(params.data.most)" }],
        "validations": [{ "expression": "object.data.size() <= variables.most", "reason": "Forbidden",
            "messageExpression": "'at most ' + string(variables.most) + ' in ' + namespaceObject.metadata.name" }],
    })).await;
    make(&world, MAPS, map("limits", json!({ "most": "1" }))).await;
    binding(&world, json!({ "paramRef": { "name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny" } })).await;
    let (code, _, answer) = ask(&world, "POST", MAPS, &map("m", json!({ "a": "1", "b": "2" }))).await;
    assert_eq!(code, StatusCode::FORBIDDEN);
    assert!(
        answer["message"].as_str().unwrap().ends_with("denied request: at most 1 in default"),
        "{answer}"
    );
    ask(&world, "DELETE", &format!("{MAPS}/limits"), &Value::Null).await;
    let (_, _, answer) = ask(&world, "POST", MAPS, &map("m", json!({ "a": "1" }))).await;
    let why =
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert!(answer["message"].as_str().unwrap().ends_with(why), "{answer}");
}

#[tokio::test]
async fn a_binding_chooses_by_labels_and_what_fails_to_evaluate_is_refused() {
    let world = world().await;
    policy(&world, json!({ "validations": [{ "expression": "object.lost == 1" }] })).await;
    binding(&world, json!({ "matchResources": { "objectSelector": { "matchLabels": { "team": "a" } } } }))
        .await;
    let (code, _, answer) = ask(&world, "POST", MAPS, &map("m", json!({}))).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let why = "expression 'object.lost == 1' resulted in error: no such key: lost";
    assert!(answer["message"].as_str().unwrap().ends_with(why), "{answer}");
    make(&world, MAPS, json!({ "metadata": { "name": "m", "labels": { "team": "b" } } })).await;
}

#[tokio::test]
async fn a_policy_of_one_version_counts_for_the_other_unless_it_says_exactly_that_one() {
    let world = world().await;
    let rule = |version: &str| {
        json!({ "matchConstraints": { "resourceRules": [{ "apiGroups": ["autoscaling"],
        "apiVersions": [version], "operations": ["CREATE"], "resources": ["horizontalpodautoscalers"] }] },
        "validations": [{ "expression": "object.spec.targetCPUUtilizationPercentage < 50", "message": "too busy" }] })
    };
    policy(&world, rule("v1")).await;
    binding(&world, json!({})).await;
    let metric = json!({ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } } });
    let scaler = json!({ "metadata": { "name": "h" }, "spec": { "maxReplicas": 3, "metrics": [metric],
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } } });
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let (_, _, answer) = ask(&world, "POST", path, &scaler).await;
    assert!(answer["message"].as_str().is_some_and(|text| text.ends_with("too busy")), "{answer}");
    let exact = json!({ "spec": { "matchConstraints": { "matchPolicy": "Exact" } } });
    ask(&world, "PATCH", &format!("{GROUP}/validatingadmissionpolicies/p"), &exact).await;
    assert_eq!(ask(&world, "POST", path, &scaler).await.0, StatusCode::CREATED);
}
