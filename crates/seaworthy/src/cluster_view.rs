//! What a chart may see of the cluster while it is rendered: version, APIs, and objects through `lookup`.

use std::sync::Arc;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use seaworthy_helm::{Capabilities, ClusterLookup};
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Or};

/// Groups asked for their kinds at the same time.
const AT_ONCE: usize = 8;

/// The cluster's version and APIs, as Helm tells them to templates.
pub async fn capabilities(client: &Client) -> Result<Capabilities, Failure> {
    let version =
        client.apiserver_version().await.or_fail(Kind::Cluster, "cannot ask for the cluster's version")?;
    let mut versions: Vec<String> = vec!["v1".into()];
    let groups =
        client.list_api_groups().await.or_fail(Kind::Cluster, "cannot ask for the cluster's APIs")?;
    let of_groups = groups.groups.into_iter().flat_map(|group| group.versions);
    versions.extend(of_groups.map(|version| version.group_version));
    let asked = versions.iter().map(|version| kinds(client, version));
    let kinds: Vec<Vec<String>> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let api_versions = versions.iter().cloned().chain(kinds.into_iter().flatten()).collect();
    Ok(Capabilities { kube_version: version.git_version, api_versions, ..Capabilities::default() })
}

/// `apps/v1/Deployment` and so on. An aggregated API that does not answer has no kinds, as in Helm.
async fn kinds(client: &Client, api_version: &str) -> Vec<String> {
    let listed = match api_version.contains('/') {
        true => client.list_api_group_resources(api_version).await,
        false => client.list_core_api_resources(api_version).await,
    };
    let resources = listed.map(|list| list.resources).unwrap_or_default();
    resources.into_iter().map(|resource| format!("{api_version}/{}", resource.kind)).collect()
}

/// `lookup` against a cluster. Rendering has a thread of its own, so waiting there keeps nobody else waiting.
pub fn lookup(client: &Client) -> Arc<dyn ClusterLookup> {
    Arc::new(Live { client: client.clone(), runtime: tokio::runtime::Handle::current() })
}

struct Live {
    client: Client,
    runtime: tokio::runtime::Handle,
}

impl ClusterLookup for Live {
    fn lookup(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Value, String> {
        self.runtime.block_on(self.find(api_version, kind, namespace, name))
    }
}

impl Live {
    async fn find(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Value, String> {
        let told = |error: kube::Error| match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        let Some((resource, is_namespaced)) = self.resource(api_version, kind).await.map_err(told)? else {
            return Err(format!("the cluster has no kind `{kind}` in `{api_version}`"));
        };
        let api: Api<DynamicObject> = match is_namespaced && !namespace.is_empty() {
            true => Api::namespaced_with(self.client.clone(), namespace, &resource),
            false => Api::all_with(self.client.clone(), &resource),
        };
        if name.is_empty() {
            let list = api.list(&ListParams::default()).await.map_err(told)?;
            let items: Vec<Value> = list.items.iter().map(|object| typed(object, &resource)).collect();
            return Ok(json!({ "apiVersion": api_version, "kind": format!("{kind}List"),
                "metadata": { "resourceVersion": list.metadata.resource_version }, "items": items }));
        }
        let found = api.get_opt(name).await.map_err(told)?;
        Ok(found.map_or_else(|| json!({}), |object| typed(&object, &resource)))
    }

    async fn resource(&self, api_version: &str, kind: &str) -> kube::Result<Option<(ApiResource, bool)>> {
        let listed = match api_version.contains('/') {
            true => self.client.list_api_group_resources(api_version).await,
            false => self.client.list_core_api_resources(api_version).await,
        };
        let resources = match listed {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            listed => listed?.resources,
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let found = resources.into_iter().find(|one| one.kind == kind && !one.name.contains('/'));
        Ok(found.map(|one| {
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.to_owned(),
                kind: one.kind,
                plural: one.name,
            };
            (resource, one.namespaced)
        }))
    }
}

fn typed(object: &DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = resource.api_version.clone().into();
    value["kind"] = resource.kind.clone().into();
    value
}
