//! `values.yaml`: every setting a person may want to change, with what it is for.
//!
//! Start at [`values_yaml`]; [`component_values`] holds one service's data, which the schema describes.

use seaworthy_app::{App, Volume};
use serde_json::{Map, Value, json};

use crate::component::Component;
use crate::{limits, storage, yaml};

pub fn values_yaml(app: &App, components: &[Component<'_>]) -> String {
    let mut text = format!(
        "# Values of {}. Written from the Compose file; edit freely, an edited file is kept.\n\n",
        app.name
    );
    text.push_str(&secrets(app));
    text.push_str(
        "# Names of Secrets for private registries: [{name: my-registry}].\nimagePullSecrets: []\n",
    );
    if app.ingress.enabled {
        text.push_str(&ingress(app));
    }
    let shared = storage::shared_claims(app, components);
    if !shared.is_empty() {
        text.push_str("\n# Volumes that no StatefulSet owns. They outlive the release.\n");
        let volumes: Map<String, Value> =
            shared.iter().map(|volume| (volume.name.clone(), shared_volume(volume))).collect();
        text.push_str(&format!("volumes:{}\n", yaml::after_key(&Value::Object(volumes), 2)));
    }
    for component in components {
        text.push('\n');
        text.push_str(&component_text(component));
    }
    text
}

/// `values-dev.yaml`: the same app for one small machine. What a pod may use stays, what it reserves shrinks.
pub fn dev_values_yaml(components: &[Component<'_>]) -> String {
    let mut text = String::from(
        "# Lighter values for one machine: helm upgrade --install ... --values values-dev.yaml\n",
    );
    for component in components {
        text.push_str(&format!("\n{}:\n", component.key));
        let requests = yaml::after_key(&limits::light_requests(component.service), 6);
        text.push_str(&format!("  resources:\n    requests:{requests}\n"));
        if component.pre_stop_sleep_s > 0 {
            text.push_str("  preStopSleepSeconds: 1\n");
        }
    }
    text
}

fn secrets(app: &App) -> String {
    let mut text = String::new();
    if app.secrets.is_empty() {
        text.push_str("# A Secret with the app's secrets. The app has none yet.\n");
    } else {
        text.push_str("# A Secret that must exist before the pods can start. `seaworthy up` makes it; by hand, give it\n# these keys:\n");
        for secret in &app.secrets {
            let users = if secret.services.is_empty() {
                "other secrets".to_owned()
            } else {
                secret.services.join(", ")
            };
            text.push_str(&format!("#   {} (used by {users})\n", secret.key));
        }
    }
    text.push_str(&format!("existingSecret: {}\n", yaml::scalar(&app.secret_name())));
    text.push_str("# Any text that changes when the Secret does: pods that use it are then rolled.\nsecretChecksum: \"\"\n\n");
    text
}

fn ingress(app: &App) -> String {
    format!(
        "\n# The way in from outside the cluster.\ningress:\n  enabled: true\n  # Ingress class; empty leaves it to the cluster's default class.\n  className: {}\n  host: {}\n  annotations: {{}}\n  # [{{secretName: my-certificate, hosts: [{}]}}]\n  tls: []\n",
        yaml::quoted(&app.ingress.class),
        yaml::scalar(&app.ingress.host),
        app.ingress.host
    )
}

fn shared_volume(volume: &Volume) -> Value {
    json!({
        "size": storage::size(volume),
        "storageClass": volume.class.clone().unwrap_or_default(),
        "accessModes": ["ReadWriteOnce"],
    })
}

/// A key of a component, its value, and the comment above it.
pub struct Setting {
    pub key: &'static str,
    pub value: Value,
    comment: &'static str,
}

/// The settings of one component, in the order of the file.
pub fn component_values(component: &Component<'_>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut add = |key, value: Value, comment| settings.push(Setting { key, value, comment });
    let (repository, tag, digest) = &component.image;
    if component.kind != seaworthy_app::WorkloadKind::Job {
        add("replicas", json!(component.service.replicas), "");
    }
    let image = json!({"repository": repository, "tag": tag, "digest": digest, "pullPolicy": "IfNotPresent"});
    add("image", image, "An empty tag means the chart's appVersion; a digest wins over a tag.");
    add("command", json!(component.command), "Replaces the image's entrypoint.");
    add("args", json!(component.args), "Replaces the image's command.");
    let env: Map<String, Value> =
        component.env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    add("env", Value::Object(env), "Plain configuration, through a ConfigMap. A change rolls the pods.");
    let secret_env: Map<String, Value> =
        component.secret_env.iter().map(|(name, key)| ((*name).to_owned(), json!(key))).collect();
    add("secretEnv", Value::Object(secret_env), "Variables taken from keys of `existingSecret`.");
    add("resources", component.resources.clone(), "");
    let probe = |probe: &Option<Value>| probe.clone().unwrap_or_else(|| json!({}));
    add("startupProbe", probe(&component.probes.startup), "Until it succeeds the other two wait.");
    add("readinessProbe", probe(&component.probes.readiness), "While it fails the pod gets no requests.");
    add("livenessProbe", probe(&component.probes.liveness), "When it fails the container is restarted.");
    if component.has_service && !component.ports.is_empty() {
        add("service", json!({"type": "ClusterIP"}), "");
    }
    if component.kind == seaworthy_app::WorkloadKind::Deployment {
        add("autoscaling", autoscaling(component), "While enabled, it decides the number of replicas.");
    }
    if !component.storage.own.is_empty() {
        add(
            "persistence",
            persistence(component),
            "Claims of the StatefulSet. Kubernetes does not change them afterwards.",
        );
    }
    if component.pre_stop_sleep_s > 0 {
        let comment = "A pod that is told to stop serves this much longer, while others learn of it.";
        add("preStopSleepSeconds", json!(component.pre_stop_sleep_s), comment);
    }
    let grace_s = component.service.stop_grace_period_s.max(component.pre_stop_sleep_s);
    add("terminationGracePeriodSeconds", json!(grace_s), "");
    add("podSecurityContext", component.security.pod.clone(), "");
    add("securityContext", component.security.container.clone(), "");
    let annotations: Map<String, Value> =
        component.annotations.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    add("podAnnotations", Value::Object(annotations), "");
    add("podLabels", json!({}), "");
    add("nodeSelector", json!({}), "");
    add("tolerations", json!([]), "");
    add("affinity", json!({}), "");
    settings
}

fn component_text(component: &Component<'_>) -> String {
    let workload = &component.service.workload;
    let kind = format!("{:?}", component.kind);
    let mut text =
        format!("# {}: a {kind}, because {}.\n{}:\n", component.name(), workload.reason, component.key);
    for Setting { key, value, comment } in component_values(component) {
        if !comment.is_empty() {
            text.push_str(&format!("  # {comment}\n"));
        }
        let written = match (key, &value) {
            ("image", Value::Object(_)) => image_text(component),
            _ => yaml::after_key(&value, 4),
        };
        text.push_str(&format!("  {key}:{written}\n"));
    }
    text
}

/// In the order people expect, and with the tag always quoted.
fn image_text(component: &Component<'_>) -> String {
    let (repository, tag, digest) = &component.image;
    format!(
        "\n    repository: {}\n    tag: {}\n    digest: {}\n    pullPolicy: IfNotPresent",
        yaml::scalar(repository),
        yaml::quoted(tag),
        yaml::quoted(digest)
    )
}

fn autoscaling(component: &Component<'_>) -> Value {
    let stated = component.autoscale;
    let bounds = stated.unwrap_or_default();
    json!({
        "enabled": stated.is_some(),
        "minReplicas": bounds.min,
        "maxReplicas": bounds.max,
        "targetCPUUtilizationPercentage": bounds.cpu_percent,
        "targetMemoryUtilizationPercentage": bounds.memory_percent,
    })
}

fn persistence(component: &Component<'_>) -> Value {
    let claims = component.storage.own.iter().map(|claimed| {
        let class = claimed.volume.class.clone().unwrap_or_default();
        (claimed.volume.name.clone(), json!({"size": storage::size(claimed.volume), "storageClass": class}))
    });
    Value::Object(claims.collect())
}
