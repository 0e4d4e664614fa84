//! Publishes which pods stand behind each Service, as EndpointSlices and as legacy Endpoints.
//!
//! Reads: Service, Pod, EndpointSlice, Endpoints. Writes: the slices it manages itself and the
//! Endpoints named like the Service. Services without a selector are left to whoever fills them.
//!
//! Start at [`reconcile`]; the pure parts are [`backends`] (pods to endpoints) and [`plan`].

mod backends;
mod legacy;
mod plan;
mod trigger;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use self::plan::{MANAGED_BY, MANAGER, Plan, SERVICE_NAME, plan};
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::is_deleting;
use crate::queue::Queue;
use crate::selector;
use crate::watches::Watches;

const NAME: &str = "endpoint-slice-controller";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.services);
    watches.on(&kinds.pods, |cx, queue, old, new| {
        [old, new].into_iter().flatten().for_each(|pod| wake_services_of(cx, queue, pod));
    });
    watches.on(&kinds.endpoint_slices, |_, queue, old, new| {
        if let Some(key) = new.or(old).and_then(|slice| service_of(slice)) {
            queue.add(key);
        }
    });
    // Endpoints bear their service's name.
    watches.own(&kinds.endpoints);
}

fn wake_services_of(cx: &Cx, queue: &Queue, pod: &Pod) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    for service in cx.kinds.services.cache.in_namespace(namespace) {
        if selects(&service, pod) {
            queue.add(Key::of(&service.metadata));
        }
    }
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let wanted =
        service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).filter(|wanted| !wanted.is_empty());
    wanted.is_some_and(|wanted| selector::matches_map(wanted, pod.metadata.labels.as_ref()))
}

/// The service of a slice that we manage.
fn service_of(slice: &EndpointSlice) -> Option<Key> {
    let labels = slice.metadata.labels.as_ref()?;
    let ours = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    let name = labels.get(SERVICE_NAME).filter(|_| ours)?;
    Some(Key::new(slice.metadata.namespace.clone().unwrap_or_default(), name))
}

/// One Service with the pods it selects and what is published about it.
pub struct Observed {
    pub service: Arc<Service>,
    pub pods: Vec<Arc<Pod>>,
    pub slices: Vec<Arc<EndpointSlice>>,
    pub endpoints: Option<Arc<Endpoints>>,
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, WriteError> {
    let Some(service) = cx.kinds.services.get(key) else {
        forget(cx, key).await?;
        return Ok(Next::WaitForChange);
    };
    if let Some(observed) = observe(cx, key, service) {
        act(cx, plan(&observed)).await?;
    }
    Ok(Next::WaitForChange)
}

fn observe(cx: &Cx, key: &Key, service: Arc<Service>) -> Option<Observed> {
    let spec = service.spec.as_ref()?;
    let filled_by_us = spec.selector.as_ref().is_some_and(|wanted| !wanted.is_empty());
    if !filled_by_us || spec.type_.as_deref() == Some("ExternalName") || is_deleting(&service.metadata) {
        return None;
    }
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| selects(&service, pod));
    let mut slices = cx.kinds.endpoint_slices.cache.in_namespace(&key.namespace);
    slices.retain(|slice| !is_deleting(&slice.metadata) && service_of(slice).as_ref() == Some(key));
    Some(Observed { service, pods, slices, endpoints: cx.kinds.endpoints.get(key) })
}

/// Slices are owned by the Service and collected with it; Endpoints are only named like it.
async fn forget(cx: &Cx, key: &Key) -> Result<(), WriteError> {
    let ours = |endpoints: &Arc<Endpoints>| legacy::is_ours(endpoints);
    match cx.kinds.endpoints.get(key).filter(ours) {
        Some(endpoints) => cx.kinds.endpoints.delete(&endpoints.metadata).await,
        None => Ok(()),
    }
}

async fn act(cx: &Cx, plan: Plan) -> Result<(), WriteError> {
    for slice in &plan.create {
        cx.kinds.endpoint_slices.create(slice).await?;
    }
    for slice in &plan.replace {
        cx.kinds.endpoint_slices.replace(slice).await?;
    }
    for slice in &plan.delete {
        cx.kinds.endpoint_slices.delete(&slice.metadata).await?;
    }
    match &plan.endpoints {
        Some(endpoints) if endpoints.metadata.resource_version.is_some() => {
            cx.kinds.endpoints.replace(endpoints).await.map(drop)
        }
        Some(endpoints) => cx.kinds.endpoints.create(endpoints).await.map(drop),
        None => Ok(()),
    }
}
