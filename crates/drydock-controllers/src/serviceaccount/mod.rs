//! Gives every namespace its `default` ServiceAccount and the cluster's CA certificate.
//!
//! Reads: Namespace, ServiceAccount, ConfigMap `kube-root-ca.crt`. Writes: both of the latter.
//! Puts them back when somebody deletes or changes them; leaves terminating namespaces alone.
//!
//! Start at [`reconcile`].

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cache::Meta;
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::{Object, WriteError};
use crate::kinds::ROOT_CA;
use crate::owner::is_deleting;
use crate::queue::Queue;
use crate::watches::Watches;

const NAME: &str = "serviceaccount-controller";
const DEFAULT: &str = "default";
const CA_FILE: &str = "ca.crt";
const DESCRIBED: &str = "kubernetes.io/description";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                           endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
                           guaranteed across distributions of Kubernetes clusters.";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 2,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.namespaces);
    watches.on(&kinds.service_accounts, |_, queue, old, new| wake_namespace(queue, new.or(old), DEFAULT));
    watches.on(&kinds.root_cas, |_, queue, old, new| wake_namespace(queue, new.or(old), ROOT_CA));
}

fn wake_namespace<K: Object>(queue: &Queue, changed: Option<&Arc<K>>, name: &str) {
    let key = changed.map(|object| Key::of(Meta::meta(&**object)));
    if let Some(key) = key.filter(|key| key.name == name) {
        queue.add(Key::cluster(key.namespace));
    }
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let living = |ns: &Arc<k8s_openapi::api::core::v1::Namespace>| !is_deleting(&ns.metadata);
    if cx.kinds.namespaces.get(key).filter(living).is_none() {
        return Ok(Next::WaitForChange);
    }
    ensure_account(cx, &key.name).await?;
    ensure_root_ca(cx, &key.name).await?;
    Ok(Next::WaitForChange)
}

async fn ensure_account(cx: &Cx, namespace: &str) -> Result<(), WriteError> {
    if cx.kinds.service_accounts.get(&Key::new(namespace, DEFAULT)).is_some() {
        return Ok(());
    }
    let account = ServiceAccount { metadata: named(namespace, DEFAULT), ..ServiceAccount::default() };
    unless_there(cx.kinds.service_accounts.create(&account).await)
}

async fn ensure_root_ca(cx: &Cx, namespace: &str) -> Result<(), WriteError> {
    let data = Some([(CA_FILE.to_owned(), cx.config.root_ca_pem.clone())].into());
    match cx.kinds.root_cas.get(&Key::new(namespace, ROOT_CA)) {
        Some(there) if there.data == data && is_described(&there.metadata) => Ok(()),
        Some(there) => {
            let map = ConfigMap { metadata: described(there.metadata.clone()), data, ..(*there).clone() };
            cx.kinds.root_cas.replace(&map).await.map(drop)
        }
        None => {
            let metadata = described(named(namespace, ROOT_CA));
            let map = ConfigMap { metadata, data, ..ConfigMap::default() };
            unless_there(cx.kinds.root_cas.create(&map).await)
        }
    }
}

fn is_described(metadata: &ObjectMeta) -> bool {
    metadata.annotations.as_ref().and_then(|all| all.get(DESCRIBED)).is_some_and(|text| !text.is_empty())
}

fn described(mut metadata: ObjectMeta) -> ObjectMeta {
    metadata.annotations.get_or_insert_default().insert(DESCRIBED.into(), DESCRIPTION.into());
    metadata
}

fn named(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta { namespace: Some(namespace.into()), name: Some(name.into()), ..ObjectMeta::default() }
}

/// Somebody else was faster: the watch will show what they made.
fn unless_there<K>(created: Result<Arc<K>, WriteError>) -> Result<(), WriteError> {
    match created {
        Err(error) if !error.is_already_exists() => Err(error),
        _ => Ok(()),
    }
}
