//! ServiceAccount: every pod acts as an account of its namespace, and finds the account's token in a file.

use serde_json::{Value, json};

use super::{find, forbidden, items, push};
use crate::meta;
use crate::resource::create::random_suffix;
use crate::server::Cx;
use crate::status::ApiError;

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
const TOKEN_EXPIRATION_S: u32 = 3607;
/// Set by who wants pods of an account to use only the secrets it lists.
const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";

pub(super) fn mutate(cx: &Cx, pod: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if old.is_some() || !pod["spec"].is_object() {
        return Ok(());
    }
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or("").is_empty() {
        pod["spec"]["serviceAccountName"] = "default".into();
    }
    // The older name of the same field, which typed clients still read.
    pod["spec"]["serviceAccount"] = pod["spec"]["serviceAccountName"].clone();
    let namespace = meta::namespace(pod).to_owned();
    let name = pod["spec"]["serviceAccountName"].as_str().unwrap_or("").to_owned();
    let account = find(cx, &format!("core/serviceaccounts/{namespace}/{name}"))?;
    let Some(account) = account else {
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(forbidden(cx, pod, &why));
    };
    let spec = &mut pod["spec"];
    let wanted = spec["automountServiceAccountToken"].as_bool();
    if wanted.or(account["automountServiceAccountToken"].as_bool()) != Some(false) {
        add_token_volume(spec);
    }
    if items(spec, "imagePullSecrets").is_empty() && !items(&account, "imagePullSecrets").is_empty() {
        spec["imagePullSecrets"] = account["imagePullSecrets"].clone();
    }
    if account["metadata"]["annotations"][ENFORCE_MOUNTABLE] == "true" {
        check_secrets(&pod["spec"], &account).map_err(|why| forbidden(cx, pod, &why))?;
    }
    Ok(())
}

/// A volume with token, CA and namespace in every container that has nothing else in that place.
fn add_token_volume(spec: &mut Value) {
    let known = items(spec, "volumes").iter().filter_map(|volume| volume["name"].as_str());
    let known = known.into_iter().find(|name| name.starts_with(VOLUME)).map(str::to_owned);
    let name = known.clone().unwrap_or_else(|| format!("{VOLUME}{}", random_suffix()));
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if items(container, "volumeMounts").iter().any(|mount| mount["mountPath"] == TOKEN_PATH) {
                continue;
            }
            let mount = json!({ "name": name, "mountPath": TOKEN_PATH, "readOnly": true });
            push(container, "volumeMounts", mount);
            mounted = true;
        }
    }
    if mounted && known.is_none() {
        let sources = json!([
            { "serviceAccountToken": { "path": "token", "expirationSeconds": TOKEN_EXPIRATION_S } },
            { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [{
                "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
            }] } },
        ]);
        push(
            spec,
            "volumes",
            json!({ "name": name, "projected": { "defaultMode": 420, "sources": sources } }),
        );
    }
}

fn check_secrets(spec: &Value, account: &Value) -> Result<(), String> {
    let name = meta::name(account);
    let lists = |field: &str, secret: &str| items(account, field).iter().any(|known| known["name"] == secret);
    let because = format!("is not allowed because service account {name} does not reference that");
    for volume in items(spec, "volumes") {
        if let Some(secret) =
            volume["secret"]["secretName"].as_str().filter(|secret| !lists("secrets", secret))
        {
            return Err(format!("volume with secret.secretName={secret:?} {because} secret"));
        }
    }
    for (list, word) in [("initContainers", "init container"), ("containers", "container")] {
        for container in items(spec, list) {
            let own = container["name"].as_str().unwrap_or("");
            for variable in items(container, "env") {
                let secret = variable["valueFrom"]["secretKeyRef"]["name"].as_str();
                if let Some(secret) = secret.filter(|secret| !lists("secrets", secret)) {
                    let variable = variable["name"].as_str().unwrap_or("");
                    return Err(format!(
                        "{word} {own} with envVar {variable} referencing secret.secretName={secret:?} {because} secret"
                    ));
                }
            }
            let sources =
                items(container, "envFrom").iter().filter_map(|from| from["secretRef"]["name"].as_str());
            if let Some(secret) = sources.into_iter().find(|secret| !lists("secrets", secret)) {
                return Err(format!(
                    "{word} {own} with envFrom referencing secret.secretName={secret:?} {because} secret"
                ));
            }
        }
    }
    for (index, secret) in items(spec, "imagePullSecrets").iter().enumerate() {
        let secret = secret["name"].as_str().unwrap_or("");
        if !lists("imagePullSecrets", secret) {
            return Err(format!("imagePullSecrets[{index}].name={secret:?} {because} imagePullSecret"));
        }
    }
    Ok(())
}
