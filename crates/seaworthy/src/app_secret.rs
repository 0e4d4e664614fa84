//! The Secret an app's chart refers to: made once, kept for the life of the app, never printed.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use seaworthy_app::{App, SecretSource};
use sha2::{Digest as _, Sha256};

use crate::failure::{Failure, Kind, Or};

const MANAGER: &str = "seaworthy";
/// Length of generated values; letters and digits, so about 238 bits.
const GENERATED_LENGTH: usize = 40;
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Creates the namespace unless it exists.
pub async fn ensure_namespace(client: &Client, name: &str) -> Result<(), Failure> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let wanted = Namespace {
        metadata: ObjectMeta { name: Some(name.into()), ..Default::default() },
        ..Default::default()
    };
    match namespaces
        .create(&PostParams { field_manager: Some(MANAGER.into()), ..Default::default() }, &wanted)
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        created => created.map(drop).or_fail(Kind::Cluster, format!("cannot create the namespace `{name}`")),
    }
}

/// Writes the app's Secret and returns a digest of its content, which rolls the pods when it changes.
///
/// Generated values that the cluster already holds are kept: the database was set up with them.
pub async fn ensure(client: &Client, namespace: &str, app: &App) -> Result<Option<String>, Failure> {
    if app.secrets.is_empty() {
        return Ok(None);
    }
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let name = app.secret_name();
    let existing =
        secrets.get_opt(&name).await.or_fail(Kind::Cluster, format!("cannot read the secret `{name}`"))?;
    let existing = existing.and_then(|secret| secret.data).unwrap_or_default();
    let values = values(app, &existing)?;
    let digest = digest(&values);
    let mut secret = Secret { type_: Some("Opaque".into()), ..Default::default() };
    secret.metadata.name = Some(name.clone());
    secret.labels_mut().insert("app.kubernetes.io/part-of".into(), app.name.clone());
    secret.data =
        Some(values.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))).collect());
    let params = PatchParams::apply(MANAGER).force();
    secrets
        .patch(&name, &params, &Patch::Apply(&secret))
        .await
        .or_fail(Kind::Cluster, format!("cannot write the secret `{name}`"))?;
    Ok(Some(digest))
}

fn values(app: &App, existing: &BTreeMap<String, ByteString>) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for secret in &app.secrets {
        match &secret.source {
            SecretSource::Generate => {
                let kept =
                    existing.get(&secret.key).and_then(|value| String::from_utf8(value.0.clone()).ok());
                values.insert(secret.key.clone(), kept.unwrap_or_else(generate));
            }
            SecretSource::Given(text) => drop(values.insert(secret.key.clone(), text.reveal().to_owned())),
            SecretSource::Template(_) => {}
        }
    }
    for secret in app.secrets.iter().filter(|secret| matches!(secret.source, SecretSource::Template(_))) {
        let resolved = secret.source.resolve(|key| values.get(key).cloned());
        let unresolved = || {
            Failure::new(
                Kind::Input,
                anyhow::anyhow!("the secret `{}` refers to one that is not known", secret.key),
            )
        };
        values.insert(secret.key.clone(), resolved.ok_or_else(unresolved)?);
    }
    Ok(values)
}

fn generate() -> String {
    use rand::RngExt;
    let mut random = rand::rng();
    (0..GENERATED_LENGTH).map(|_| ALPHABET[random.random_range(0..ALPHABET.len())] as char).collect()
}

fn digest(values: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (key, value) in values {
        hash.update((key.len() as u64).to_le_bytes());
        hash.update(key);
        hash.update((value.len() as u64).to_le_bytes());
        hash.update(value);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaworthy_app::{SecretText, SecretValue};

    fn app() -> App {
        let secret = |key: &str, source| SecretValue { key: key.into(), services: Vec::new(), source };
        let url = SecretSource::Template(SecretText::new("postgres://todo:${PW}@db/todo"));
        App {
            name: "todo".into(),
            secrets: vec![secret("URL", url), secret("PW", SecretSource::Generate)],
            ..App::default()
        }
    }

    #[test]
    fn a_generated_value_is_kept_and_templates_follow_it() {
        let existing = BTreeMap::from([("PW".to_owned(), ByteString(b"old".to_vec()))]);
        let values = values(&app(), &existing).unwrap();
        assert_eq!(values["URL"], "postgres://todo:old@db/todo");
    }

    #[test]
    fn a_first_value_is_long_and_never_the_same() {
        let [one, two] =
            [values(&app(), &BTreeMap::new()).unwrap(), values(&app(), &BTreeMap::new()).unwrap()];
        assert_eq!(one["PW"].len(), GENERATED_LENGTH);
        assert_ne!(one["PW"], two["PW"]);
        assert_ne!(digest(&one), digest(&two));
    }
}
