//! Workloads whose replicas an autoscaler decides: an upgrade leaves that number alone, whatever the chart says.

use std::collections::BTreeSet;

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Client;
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::manifest::Object;

/// Namespace, kind and name of what an autoscaler scales.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scaled(BTreeSet<(String, String, String)>);

impl Scaled {
    /// Asks for the autoscalers of the namespaces that have workloads among `objects`. A cluster that knows none, or
    /// does not tell us, has none.
    pub async fn find(client: &Client, namespace: &str, objects: &[Object]) -> Scaled {
        let namespaces: BTreeSet<&str> = objects
            .iter()
            .filter(|object| object.value["spec"]["replicas"].is_number())
            .map(|object| object.namespace().unwrap_or(namespace))
            .collect();
        let mut scaled = Scaled::default();
        for namespace in namespaces {
            let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
            match api.list(&ListParams::default()).await {
                Ok(found) => found.items.iter().for_each(|autoscaler| scaled.add(namespace, autoscaler)),
                Err(error) => tracing::debug!(%error, namespace, "the autoscalers are not known"),
            }
        }
        scaled
    }

    fn add(&mut self, namespace: &str, autoscaler: &HorizontalPodAutoscaler) {
        let target = &autoscaler.spec.scale_target_ref;
        self.0.insert((namespace.to_owned(), target.kind.clone(), target.name.clone()));
    }

    /// Puts the live number of replicas into what is wanted, where an autoscaler decides it.
    pub fn keep_replicas(&self, wanted: &mut Value, live: &Value, namespace: &str) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace =
            wanted["metadata"]["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or(namespace);
        let key = (namespace.to_owned(), text(&wanted["kind"]), text(&wanted["metadata"]["name"]));
        if wanted["spec"]["replicas"].is_number()
            && live["spec"]["replicas"].is_number()
            && self.0.contains(&key)
        {
            wanted["spec"]["replicas"] = live["spec"]["replicas"].clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(target: &str, wanted: Value, expect: Value) {
        let scaled = Scaled(BTreeSet::from([("shop".into(), "Deployment".into(), target.into())]));
        let mut object =
            json!({ "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "replicas": wanted } });
        scaled.keep_replicas(&mut object, &json!({ "spec": { "replicas": 7 } }), "shop");
        assert_eq!(object["spec"]["replicas"], expect);
    }

    #[test]
    fn the_autoscalers_number_stays() {
        check("web", json!(2), json!(7));
    }

    #[test]
    fn without_an_autoscaler_the_chart_decides() {
        check("api", json!(2), json!(2));
    }

    #[test]
    fn a_chart_that_says_nothing_still_says_nothing() {
        check("web", Value::Null, Value::Null);
    }
}
