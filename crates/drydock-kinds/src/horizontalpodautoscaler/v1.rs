//! The older form of the same autoscalers: one target for processor use, everything else in annotations.
//!
//! Objects are stored in the newer form. Start at [`to_v2`] and [`from_v2`]; the annotations are those that clients of
//! a real cluster meet.

use k8s_openapi::api::autoscaling::v1::HorizontalPodAutoscaler;
use serde_json::{Map, Value, json};

use super::convert::{self, Direction};
use crate::edit::{ensure, start_status};
use crate::read::text;
use crate::spec::Stored;
use crate::{Column, Generation, KindSpec};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const ANNOTATIONS: [&str; 4] = [METRICS, BEHAVIOR, CURRENT, CONDITIONS];

pub const KIND: KindSpec = KindSpec::namespaced::<HorizontalPodAutoscaler>()
    .short_names(&["hpa"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::None)
    .stored_as(Stored { group: "autoscaling", version: "v2", to: to_v2, from: from_v2 })
    .default_with(|object| {
        to_v2(object);
        super::default(object);
        from_v2(object);
    })
    .prepare_with(|new, old| start_status(new, old, json!({ "currentReplicas": 0, "desiredReplicas": 0 })))
    .validate_with(|new, old| super::validate::validate(&newer(new), old.map(newer).as_ref()))
    .columns(&[
        super::REFERENCE,
        Column::compute("Targets", |object, _| Value::from(super::targets(&newer(object)))),
        super::MIN_PODS,
        super::MAX_PODS,
        super::REPLICAS,
        Column::age(),
    ]);

fn newer(object: &Value) -> Value {
    let mut object = object.clone();
    to_v2(&mut object);
    object
}

/// From the older form to the stored one.
fn to_v2(object: &mut Value) {
    let kept = take_annotations(object);
    let parse =
        |name: &str| kept.get(name).and_then(Value::as_str).and_then(|text| serde_json::from_str(text).ok());
    let as_list = |name: &str| match parse(name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    let cpu = object.get_mut("spec").and_then(|spec| take(spec, "targetCPUUtilizationPercentage"));
    let mut metrics: Vec<Value> =
        as_list(METRICS).iter().map(|metric| convert::spec(metric, Direction::Newer)).collect();
    metrics.extend(cpu.map(cpu_target));
    if let Some(spec) = ensure(object, "/spec").filter(|_| !metrics.is_empty()) {
        spec["metrics"] = metrics.into();
    }
    if let (Some(behavior), Some(spec)) = (parse(BEHAVIOR), object.get_mut("spec")) {
        spec["behavior"] = convert::recased(&behavior, Direction::Newer);
    }
    let Some(status) = object.get_mut("status").filter(|status| status.is_object()) else { return };
    let seen = take(status, "currentCPUUtilizationPercentage");
    let mut current: Vec<Value> =
        as_list(CURRENT).iter().map(|metric| convert::status(metric, Direction::Newer)).collect();
    if current.is_empty() {
        let cpu = |percent| json!({ "type": "Resource", "resource": { "name": "cpu", "current": { "averageUtilization": percent } } });
        current.extend(seen.map(cpu));
    }
    for (field, items) in [("currentMetrics", current), ("conditions", as_list(CONDITIONS))] {
        if !items.is_empty() {
            status[field] = items.into();
        }
    }
}

/// From the stored form to the older one.
fn from_v2(object: &mut Value) {
    take_annotations(object);
    let mut notes = Map::new();
    let mut note = |name: &str, value: Value| notes.insert(name.to_owned(), value.to_string().into());
    if let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) {
        let (cpu, others): (Vec<Value>, Vec<Value>) =
            taken_list(spec, "metrics").into_iter().partition(is_cpu_target);
        if let Some(first) = cpu.first() {
            spec["targetCPUUtilizationPercentage"] =
                first["resource"]["target"]["averageUtilization"].clone();
        }
        if !others.is_empty() {
            note(METRICS, others.iter().map(|metric| convert::spec(metric, Direction::Older)).collect());
        }
        if let Some(behavior) = take(spec, "behavior") {
            note(BEHAVIOR, convert::recased(&behavior, Direction::Older));
        }
    }
    if let Some(status) = object.get_mut("status").filter(|status| status.is_object()) {
        let current = taken_list(status, "currentMetrics");
        let cpu = current.iter().filter(|metric| text(metric, "/resource/name") == "cpu");
        let seen =
            cpu.filter_map(|metric| metric.pointer("/resource/current/averageUtilization")).next_back();
        if let Some(seen) = seen {
            status["currentCPUUtilizationPercentage"] = seen.clone();
        }
        if !current.is_empty() {
            note(CURRENT, current.iter().map(|metric| convert::status(metric, Direction::Older)).collect());
        }
        let conditions = taken_list(status, "conditions");
        if !conditions.is_empty() {
            note(CONDITIONS, conditions.into());
        }
    }
    if !notes.is_empty()
        && let Some(annotations) = ensure_annotations(object)
    {
        annotations.extend(notes);
    }
}

fn cpu_target(percent: Value) -> Value {
    let target = json!({ "type": "Utilization", "averageUtilization": percent });
    json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } })
}

fn is_cpu_target(metric: &Value) -> bool {
    text(metric, "/type") == "Resource"
        && text(metric, "/resource/name") == "cpu"
        && metric.pointer("/resource/target/averageUtilization").is_some()
}

fn take(parent: &mut Value, field: &str) -> Option<Value> {
    parent.as_object_mut()?.remove(field)
}

fn taken_list(parent: &mut Value, field: &str) -> Vec<Value> {
    match take(parent, field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn ensure_annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    ensure(object, "/metadata")?;
    ensure(object, "/metadata/annotations")?.as_object_mut()
}

/// Removes and returns the annotations that only carry what the older form has no field for.
fn take_annotations(object: &mut Value) -> Map<String, Value> {
    let mut taken = Map::new();
    let Some(Value::Object(annotations)) = object.pointer_mut("/metadata/annotations") else { return taken };
    for name in ANNOTATIONS {
        taken.extend(annotations.remove_entry(name));
    }
    if annotations.is_empty()
        && let Some(Value::Object(metadata)) = object.get_mut("metadata")
    {
        metadata.remove("annotations");
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip(v2: Value, older: Value) {
        let mut object = v2.clone();
        from_v2(&mut object);
        for (pointer, expect) in crate::read::entries(&older, "") {
            assert_eq!(object.pointer(pointer), Some(expect), "{object:#}");
        }
        to_v2(&mut object);
        assert_eq!(object, v2);
    }

    #[test]
    fn the_processor_target_is_a_field_of_its_own() {
        round_trip(
            json!({"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "metrics": [cpu_target(json!(60))]}}),
            json!({"/spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 60}, "/metadata": {"name": "a"}}),
        );
    }

    #[test]
    fn what_the_older_form_has_no_field_for_travels_in_annotations() {
        let memory = json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
        let pods = json!({"type": "Pods", "pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "5"}}});
        let queue = json!({"type": "External", "external": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}}, "target": {"type": "Value", "value": "7"}}});
        let down = json!({"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}});
        round_trip(
            json!({"metadata": {"annotations": {"own": "1"}}, "spec": {"metrics": [memory, pods, queue], "behavior": down}}),
            json!({
                "/metadata/annotations/own": "1",
                "/metadata/annotations/autoscaling.alpha.kubernetes.io~1metrics":
                    r#"[{"resource":{"name":"memory","targetAverageValue":"1Gi"},"type":"Resource"},{"pods":{"metricName":"hits","targetAverageValue":"5"},"type":"Pods"},{"external":{"metricName":"q","metricSelector":{"matchLabels":{"a":"b"}},"targetValue":"7"},"type":"External"}]"#,
                "/metadata/annotations/autoscaling.alpha.kubernetes.io~1behavior":
                    r#"{"ScaleDown":{"Policies":[{"PeriodSeconds":60,"Type":"Percent","Value":10}],"SelectPolicy":"Max"}}"#,
            }),
        );
    }

    #[test]
    fn the_status_keeps_its_load_and_conditions() {
        let load = json!([{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 9, "averageValue": "30m"}}}]);
        round_trip(
            json!({"metadata": {"annotations": {"own": "1"}}, "spec": {}, "status": {"desiredReplicas": 1, "currentMetrics": load, "conditions": [{"type": "AbleToScale", "status": "True"}]}}),
            json!({"/status": {"desiredReplicas": 1, "currentCPUUtilizationPercentage": 9}}),
        );
    }
}
