//! `POST`: a new object, under the name given or one generated.

use axum::body::Body;
use drydock_store::{Expect, Txn, WriteError};
use http::{Response, StatusCode};
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::resource::admit::{self, Ownership};
use crate::resource::options::{OptionsOf, WriteOptions};
use crate::served::ServedKind;
use crate::server::Cx;
use crate::status::ApiError;
use crate::wire::body;
use crate::{meta, stored};

/// Letters and digits that cannot spell words, as generated names use them everywhere.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
const MAX_GENERATED: usize = 63;
const MAX_ATTEMPTS: usize = 8;

pub(crate) async fn create(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    if cx.path.name.is_some() {
        return Err(ApiError::method_not_allowed());
    }
    let options = WriteOptions::of(cx, OptionsOf::Create)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let decoded = cx.decode(&bytes)?;
    let object = admit::conform(cx, decoded, &options)?;
    if !matches!(meta::text(&object, "resourceVersion"), "" | "0") {
        return Err(ApiError::failed("resourceVersion should not be set on objects to be created"));
    }
    let stored = create_object(cx, object, Ownership::Track, &options).await?;
    cx.reply(StatusCode::CREATED, stored)
}

/// Stores a new object and returns it as stored.
pub(crate) async fn create_object(
    cx: &Cx,
    mut object: Value,
    ownership: Ownership,
    options: &WriteOptions,
) -> Result<Value, ApiError> {
    // Held until the Service is stored: its addresses are taken only then.
    let _addresses = match cx.kind.is("", "services") {
        true => Some(cx.server.service_addresses.lock().await),
        false => None,
    };
    let _turn = cx.server.custom.hold(&cx.kind).await;
    crate::admission::check_namespace(cx, meta::name(&object))?;
    // Only a name that we made up may have to be made up again.
    let is_named = !meta::name(&object).is_empty();
    for _ in 0..MAX_ATTEMPTS {
        let mut named = if is_named { std::mem::take(&mut object) } else { object.clone() };
        let generated = generate_name(&mut named);
        let new = admit::admit(cx, named, None, ownership, options).await?;
        let _quota = crate::admission::quota::reserve(cx, &new, None).await?;
        match put(cx, new, options.dry_run).await {
            Err(error) if generated && error.reason == "AlreadyExists" => {}
            Err(error) => return Err(error),
            Ok(stored) => {
                if cx.kind.is("", "namespaces") && !options.dry_run {
                    add_default_account(cx, meta::name(&stored), options).await;
                }
                return Ok(stored);
            }
        }
    }
    let prefix = meta::text(&object, "generateName");
    Err(ApiError::already_exists(cx.kind.group(), cx.kind.plural(), prefix))
}

/// A namespace comes with the account its pods act as, so that none is refused for being early. A controller puts it
/// back when it is lost, and makes it when this fails.
async fn add_default_account(cx: &Cx, namespace: &str, options: &WriteOptions) {
    let Some(kind) = ServedKind::find("", "v1", "serviceaccounts") else { return };
    let mut inside = cx.clone();
    inside.path.plural = kind.plural().to_owned();
    inside.kind = kind;
    (inside.path.namespace, inside.path.name) = (Some(namespace.to_owned()), None);
    let account = json!({
        "kind": "ServiceAccount", "apiVersion": "v1", "metadata": { "name": "default", "namespace": namespace },
    });
    let made = admit::admit(&inside, account, None, Ownership::Given, options).await;
    let outcome = match made {
        Ok(account) => put(&inside, account, false).await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, namespace, "the default account was not made with its namespace");
    }
}

async fn put(cx: &Cx, mut new: Value, dry_run: bool) -> Result<Value, ApiError> {
    let key = cx.kind.key(meta::namespace(&new), meta::name(&new));
    let exists = || ApiError::already_exists(cx.kind.group(), cx.kind.plural(), meta::name(&new));
    if dry_run {
        return match cx.server.store.get(&key) {
            Some(_) => Err(exists()),
            None => Ok(new),
        };
    }
    let mut txn = Txn::new().put(&*key, admit::encode(cx, &new)?, Expect::Absent);
    let home = cx.path.namespace.as_ref().map(|namespace| format!("core/namespaces//{namespace}"));
    if let Some(home) = &home {
        txn = txn.check(&**home, Expect::Present);
    }
    let _entered = cx.server.custom.enter(&cx.kind).await?;
    match admit::write(cx, txn, &new, false).await {
        Ok(revision) => {
            stored::with_revision(&mut new, revision);
            Ok(new)
        }
        Err(WriteError::Conflict { key: found, .. }) if *found == *key => Err(exists()),
        Err(WriteError::Conflict { .. }) => {
            Err(ApiError::not_found("", "namespaces", cx.path.namespace.as_deref().unwrap_or("")))
        }
        Err(error) => Err(admit::storage_error(error)),
    }
}

/// Gives an object without a name one that starts with its `generateName`.
fn generate_name(object: &mut Value) -> bool {
    let prefix = meta::text(object, "generateName");
    if !meta::name(object).is_empty() || prefix.is_empty() {
        return false;
    }
    let kept: String = prefix.chars().take(MAX_GENERATED - SUFFIX).collect();
    let name = kept + &random_suffix();
    meta::set(object, "name", Some(name.into()));
    true
}

/// Five letters that make a generated name its own.
pub(crate) fn random_suffix() -> String {
    let mut random = rand::rng();
    (0..SUFFIX).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}
