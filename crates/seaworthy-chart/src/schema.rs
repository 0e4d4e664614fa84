//! `values.schema.json`: refuses a misspelt or mistyped value before anything is installed.
//!
//! Keys of components are closed, because `replcas: 3` that does nothing is worse than an error. What Kubernetes
//! itself describes (probes, security contexts, affinity) is left open.

use seaworthy_app::App;
use serde_json::{Map, Value, json};

use crate::component::Component;
use crate::storage;
use crate::values::component_values;

pub fn schema(app: &App, components: &[Component<'_>]) -> String {
    let mut properties = Map::new();
    properties.insert("global".to_owned(), json!({"type": "object"}));
    properties.insert("existingSecret".to_owned(), json!({"type": "string", "minLength": 1}));
    properties.insert("secretChecksum".to_owned(), json!({"type": "string"}));
    properties.insert("imagePullSecrets".to_owned(), json!({"type": "array", "items": {"type": "object"}}));
    if app.ingress.enabled {
        properties.insert("ingress".to_owned(), ingress());
    }
    let shared = storage::shared_claims(app, components);
    if !shared.is_empty() {
        let volumes: Map<String, Value> =
            shared.iter().map(|volume| (volume.name.clone(), claim())).collect();
        properties.insert("volumes".to_owned(), json!({"type": "object", "properties": volumes}));
    }
    for component in components {
        properties.insert(component.key.clone(), of_component(component));
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": format!("Values of {}", app.name),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    format!("{schema:#}\n")
}

fn of_component(component: &Component<'_>) -> Value {
    let properties: Map<String, Value> = component_values(component)
        .into_iter()
        .map(|setting| (setting.key.to_owned(), of_setting(setting.key)))
        .collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["image", "resources", "podSecurityContext", "securityContext"],
        "properties": properties,
    })
}

fn of_setting(key: &str) -> Value {
    match key {
        "replicas" | "preStopSleepSeconds" | "terminationGracePeriodSeconds" => {
            json!({"type": "integer", "minimum": 0})
        }
        "image" => closed(
            json!({
                "repository": {"type": "string", "minLength": 1},
                "tag": {"type": "string"},
                "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
                "pullPolicy": {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]},
            }),
            &["repository"],
        ),
        "command" | "args" => json!({"type": "array", "items": {"type": "string"}}),
        "env" | "podAnnotations" | "podLabels" | "nodeSelector" => {
            json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}})
        }
        "secretEnv" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "service" => closed(
            json!({"type": {"type": "string", "enum": ["ClusterIP", "NodePort", "LoadBalancer"]}}),
            &[],
        ),
        "autoscaling" => closed(
            json!({
                "enabled": {"type": "boolean"},
                "minReplicas": {"type": "integer", "minimum": 1},
                "maxReplicas": {"type": "integer", "minimum": 1},
                "targetCPUUtilizationPercentage": {"type": ["integer", "null"]},
                "targetMemoryUtilizationPercentage": {"type": ["integer", "null"]},
            }),
            &["enabled"],
        ),
        "persistence" => json!({"type": "object", "additionalProperties": claim()}),
        "tolerations" => json!({"type": "array", "items": {"type": "object"}}),
        _ => json!({"type": "object"}),
    }
}

fn ingress() -> Value {
    closed(
        json!({
            "enabled": {"type": "boolean"},
            "className": {"type": "string"},
            "host": {"type": "string"},
            "annotations": {"type": "object"},
            "tls": {"type": "array", "items": {"type": "object"}},
        }),
        &["enabled"],
    )
}

fn claim() -> Value {
    closed(
        json!({
            "size": {"type": "string", "pattern": "^[0-9.]+[KMGTPE]?i?$"},
            "storageClass": {"type": "string"},
            "accessModes": {"type": "array", "items": {"type": "string"}},
        }),
        &["size"],
    )
}

fn closed(properties: Value, required: &[&str]) -> Value {
    let mut schema = json!({"type": "object", "additionalProperties": false, "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}
