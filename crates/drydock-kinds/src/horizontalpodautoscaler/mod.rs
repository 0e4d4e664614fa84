//! HorizontalPodAutoscaler: as many pods as the load asks for.

mod convert;
pub(crate) mod v1;
mod validate;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};

use crate::column::ColumnType;
use crate::edit::{ensure, fill_at, start_status};
use crate::read::{list, or, text};
use crate::{Column, KindSpec};

const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

const REFERENCE: Column = Column::compute("Reference", |object, _| {
    let target = &object["spec"]["scaleTargetRef"];
    Value::from(format!("{}/{}", text(target, "/kind"), text(target, "/name")))
});
const MIN_PODS: Column = Column::compute("MinPods", |object, _| match object.pointer("/spec/minReplicas") {
    Some(count) => Value::from(count.to_string()),
    None => Value::from("<unset>"),
});
const MAX_PODS: Column = Column::number("MaxPods", "/spec/maxReplicas").typed(ColumnType::String);
const REPLICAS: Column = Column::number("Replicas", "/status/currentReplicas").typed(ColumnType::String);

pub const KIND: KindSpec = KindSpec::namespaced::<HorizontalPodAutoscaler>()
    .short_names(&["hpa"])
    .categories(&["all"])
    .with_status()
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, json!({ "desiredReplicas": 0 })))
    .validate_with(validate::validate)
    .columns(&[
        REFERENCE,
        Column::compute("Targets", |object, _| Value::from(targets(object))),
        MIN_PODS,
        MAX_PODS,
        REPLICAS,
        Column::age(),
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    fill_at(object, "/spec", json!({ "minReplicas": 1 }));
    if list(object, "/spec/metrics").is_empty() {
        let target = json!({ "type": "Utilization", "averageUtilization": 80 });
        object["spec"]["metrics"] =
            json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]);
    }
    if object.pointer("/spec/behavior").is_none() {
        return;
    }
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    let up = json!({ "stabilizationWindowSeconds": 0, "selectPolicy": "Max", "policies": [pods, percent] });
    let down = json!({ "selectPolicy": "Max", "policies": [percent] });
    fill_at(object, "/spec/behavior/scaleUp", up);
    fill_at(object, "/spec/behavior/scaleDown", down);
}

fn targets(object: &Value) -> String {
    const SHOWN: usize = 2;
    let current = list(object, "/status/currentMetrics");
    let specs = list(object, "/spec/metrics");
    let lines: Vec<String> =
        specs.iter().enumerate().map(|(index, spec)| target(spec, current.get(index))).collect();
    match lines.len() {
        0 => "<none>".to_owned(),
        count if count > SHOWN => format!("{} + {} more...", lines[..SHOWN].join(", "), count - SHOWN),
        _ => lines.join(", "),
    }
}

/// `cpu: 40%/80%`
fn target(spec: &Value, current: Option<&Value>) -> String {
    let kind = text(spec, "/type");
    let field = SOURCES.iter().find(|(name, _)| *name == kind).map_or("", |(_, field)| field);
    let source = &spec[field];
    let seen = current.map(|current| &current[field]["current"]);
    let unknown = "<unknown>".to_owned();
    let amount = |values: Option<&Value>, name: &str| {
        values.and_then(|values| values[name].as_str()).map(str::to_owned).unwrap_or_else(|| unknown.clone())
    };
    let label = match kind {
        "Resource" | "ContainerResource" => format!("{}: ", text(source, "/name")),
        _ => String::new(),
    };
    if let Some(wanted) = source["target"].get("averageUtilization") {
        let seen = seen.and_then(|seen| seen["averageUtilization"].as_i64());
        let seen = seen.map_or(unknown, |percent| format!("{percent}%"));
        return format!("{label}{seen}/{wanted}%");
    }
    match source["target"].get("averageValue").and_then(Value::as_str) {
        Some(wanted) => {
            let note = if matches!(kind, "External" | "Object") { " (avg)" } else { "" };
            format!("{label}{}/{wanted}{note}", amount(seen, "averageValue"))
        }
        None => format!("{label}{}/{}", amount(seen, "value"), or(text(source, "/target/value"), "<auto>")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_metrics_the_cpu_is_kept_at_eighty_percent() {
        let mut object = json!({"spec": {"maxReplicas": 3}});
        default(&mut object);
        assert_eq!(object["spec"]["minReplicas"], 1);
        assert_eq!(targets(&object), "cpu: <unknown>/80%");
    }

    #[test]
    fn the_current_load_is_shown_beside_the_target() {
        let object = json!({
            "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 60}}}]},
            "status": {"currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 12}}}]},
        });
        assert_eq!(targets(&object), "cpu: 12%/60%");
    }
}
