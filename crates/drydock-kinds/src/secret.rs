//! Secret: configuration that only those who need it may read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Map, Value};

use crate::configmap::{MAX_DATA_BYTES, frozen, keys};
use crate::edit::fill;
use crate::field::{FieldError, Path};
use crate::meta::keeps;
use crate::read::{entries, text};
use crate::{Column, KindSpec, Selectable};

pub const KIND: KindSpec = KindSpec::namespaced::<Secret>()
    .default_with(default)
    .validate_with(validate)
    .selectable(&[Selectable::at("type", &["/type"])])
    .columns(&[
        Column::at("Type", "/type"),
        Column::compute("Data", |object, _| Value::from(entries(object, "/data").count())),
        Column::age(),
    ]);

/// `stringData` is for writing only: it is folded into `data`.
fn default(object: &mut Value) {
    fill(object, "type", "Opaque");
    let Some(fields) = object.as_object_mut() else { return };
    let Some(Value::Object(plain)) = fields.remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in plain {
        data.insert(key, Value::from(STANDARD.encode(value.as_str().unwrap_or_default())));
    }
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = keys(new, "data");
    let path = Path::root("data");
    let size: usize =
        entries(new, "/data").map(|(_, value)| value.as_str().map_or(0, str::len) / 4 * 3).sum();
    if size > MAX_DATA_BYTES {
        errors.push(FieldError::too_long(&path, MAX_DATA_BYTES));
    }
    let required: &[&str] = match text(new, "/type") {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    match text(new, "/type") {
        "kubernetes.io/dockerconfigjson" => errors.extend(is_json(new, ".dockerconfigjson", &path)),
        "kubernetes.io/dockercfg" => errors.extend(is_json(new, ".dockercfg", &path)),
        "kubernetes.io/basic-auth"
            if ["username", "password"].iter().all(|key| new["data"].get(*key).is_none()) =>
        {
            errors.extend(["username", "password"].map(|key| FieldError::required(&path.key(key), "")));
        }
        "kubernetes.io/service-account-token"
            if new["metadata"]["annotations"][ACCOUNT].as_str().unwrap_or("").is_empty() =>
        {
            errors.push(FieldError::required(&Path::root("metadata.annotations").key(ACCOUNT), ""));
        }
        _ => {}
    }
    let missing = required.iter().filter(|key| new["data"].get(**key).is_none());
    errors.extend(missing.map(|key| FieldError::required(&path.key(key), "")));
    if let Some(old) = old {
        errors.extend(keeps(new, old, "/type"));
        errors.extend(frozen(new, old, &["data"]));
    }
    errors
}

const ACCOUNT: &str = "kubernetes.io/service-account.name";

/// Credentials of registries are JSON; what is wrong is said without showing them.
fn is_json(secret: &Value, key: &str, path: &Path) -> Option<FieldError> {
    let bytes = STANDARD.decode(secret["data"].get(key)?.as_str()?).ok()?;
    let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes);
    let first = bytes.first().map(|byte| char::from(*byte));
    let detail = match (parsed, first) {
        (Ok(_), _) => return None,
        (Err(_), None) => "unexpected end of JSON input".to_owned(),
        (Err(_), Some(first)) => format!("invalid character '{first}' looking for beginning of value"),
    };
    Some(FieldError::invalid(&path.key(key), "<secret contents redacted>", detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn string_data_is_folded_into_data_and_wins() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "z"}});
        default(&mut secret);
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "eQ==", "b": "eg=="}}));
    }

    #[test]
    fn the_type_never_changes() {
        let errors = validate(&json!({"type": "a"}), Some(&json!({"type": "b"})));
        assert_eq!(errors[0].to_string(), r#"type: Invalid value: "a": field is immutable"#);
    }

    #[test]
    fn a_tls_secret_needs_both_parts() {
        let errors = validate(&json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}), None);
        assert_eq!(errors[0].to_string(), "data[tls.key]: Required value");
    }
}
