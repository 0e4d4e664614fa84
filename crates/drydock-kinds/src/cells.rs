//! Cells that several kinds print: selectors, containers, counts.

use serde_json::Value;

use crate::column::Column;
use crate::read::{entries, flag, list, number, or, text, texts};

/// CONTAINERS and IMAGES of a pod template, shown with `-o wide`.
pub(crate) const CONTAINERS: Column =
    Column::compute("Containers", |object, _| joined(object, "/name")).wide();
pub(crate) const IMAGES: Column = Column::compute("Images", |object, _| joined(object, "/image")).wide();
pub(crate) const SELECTOR: Column =
    Column::compute("Selector", |object, _| Value::from(selector(object.pointer("/spec/selector")))).wide();

fn joined(object: &Value, field: &str) -> Value {
    let template = object.pointer("/spec/template/spec");
    let pod = template.or_else(|| object.pointer("/spec/jobTemplate/spec/template/spec"));
    let names = pod.map(|pod| list(pod, "/containers")).unwrap_or_default().iter();
    Value::from(names.map(|container| text(container, field)).collect::<Vec<_>>().join(","))
}

/// `3/5`
pub(crate) fn ratio(object: &Value, part: &str, whole: &str) -> Value {
    Value::from(format!("{}/{}", number(object, part), number(object, whole)))
}

/// A text, or `<none>`.
pub(crate) fn or_none(text: &str) -> Value {
    Value::from(or(text, "<none>"))
}

/// At most three texts and how many more there are.
pub(crate) fn some_of(all: &[String]) -> Value {
    const SHOWN: usize = 3;
    Value::from(match all.len() {
        0 => "<unset>".to_owned(),
        count if count > SHOWN => format!("{} + {} more...", all[..SHOWN].join(","), count - SHOWN),
        _ => all.join(","),
    })
}

/// A label map as `a=b,c=d`; `<none>` when empty.
pub(crate) fn label_map(labels: Option<&Value>) -> String {
    let pairs = labels.into_iter().flat_map(|labels| entries(labels, ""));
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or(&pairs.join(","), "<none>").to_owned()
}

/// A `LabelSelector` or a plain label map in the grammar of `-l`.
pub(crate) fn selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return "<none>".to_owned() };
    if selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none() {
        return label_map(Some(selector));
    }
    let labels = entries(selector, "/matchLabels")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = list(selector, "/matchExpressions").iter().map(expression);
    let parts: Vec<String> = labels.chain(expressions).collect();
    or(&parts.join(","), "<none>").to_owned()
}

fn expression(requirement: &Value) -> String {
    let key = text(requirement, "/key");
    let values: Vec<&str> = texts(requirement, "/values").collect();
    match text(requirement, "/operator") {
        "In" => format!("{key} in ({})", values.join(",")),
        "NotIn" => format!("{key} notin ({})", values.join(",")),
        "Exists" => key.to_owned(),
        _ => format!("!{key}"),
    }
}

/// `ROX`, `RWO` ... as volumes are listed.
pub(crate) fn access_modes(modes: &[Value]) -> String {
    let known = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let present = known.iter().filter(|(mode, _)| modes.iter().any(|value| value.as_str() == Some(mode)));
    present.map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

/// The name, marked when an annotation says that this object is the default of its kind.
pub(crate) fn name_or_default(object: &Value, annotation: &str) -> Value {
    let name = text(object, "/metadata/name");
    let marked = object["metadata"]["annotations"][annotation].as_str() == Some("true");
    Value::from(if marked { format!("{name} (default)") } else { name.to_owned() })
}

/// A deleted object is `Terminating`, whatever its phase says.
pub(crate) fn phase(object: &Value) -> Value {
    let deleted = object.pointer("/metadata/deletionTimestamp").is_some();
    Value::from(if deleted { "Terminating" } else { text(object, "/status/phase") })
}

pub(crate) fn boolean(object: &Value, pointer: &str) -> Value {
    Value::from(flag(object, pointer))
}
