//! One metric of an autoscaler: reads the samples and asks [`recommend`] for a size. Start at [`propose`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::recommend::{Answer, Question, Sample, TOLERANCE, Target, recommend};
use super::target::{Scaled, detail};
use super::{NAME, Subject};
use crate::cx::Cx;
use crate::quantity::milli;

/// What one metric asks for.
pub struct Proposal {
    pub replicas: i32,
    /// The metric, in the words of an event.
    pub metric: String,
    pub status: MetricStatus,
}

/// Why a metric asks for nothing.
pub struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

/// A use of processor or memory, of whole pods or of one container each.
struct Resource<'a> {
    name: &'a str,
    container: Option<&'a str>,
    target: &'a MetricTarget,
}

pub async fn propose(
    cx: &Cx,
    subject: &Subject,
    scaled: &Scaled,
    spec: &MetricSpec,
) -> Result<Proposal, Refusal> {
    let (resource, reason) = match (&spec.resource, &spec.container_resource) {
        (Some(source), _) => {
            let resource = Resource { name: &source.name, container: None, target: &source.target };
            (resource, "FailedGetResourceMetric")
        }
        (None, Some(source)) => {
            let container = Some(source.container.as_str());
            let resource = Resource { name: &source.name, container, target: &source.target };
            (resource, "FailedGetContainerResourceMetric")
        }
        (None, None) => return Err(no_adapter(spec)),
    };
    let answer = resource.ask(cx, subject, scaled).await;
    let answer = answer.map_err(|message| Refusal { reason, message })?;
    Ok(Proposal { replicas: answer.replicas, metric: resource.in_words(), status: resource.status(&answer) })
}

fn no_adapter(spec: &MetricSpec) -> Refusal {
    let (reason, group) = match spec.type_.as_str() {
        "Pods" => ("FailedGetPodsMetric", "custom.metrics.k8s.io"),
        "Object" => ("FailedGetObjectMetric", "custom.metrics.k8s.io"),
        _ => ("FailedGetExternalMetric", "external.metrics.k8s.io"),
    };
    let message = format!("unable to get metrics: no known available metric versions found for {group}");
    Refusal { reason, message }
}

impl Resource<'_> {
    async fn ask(&self, cx: &Cx, subject: &Subject, scaled: &Scaled) -> Result<Answer, String> {
        let target = self.target()?;
        let word = match target {
            Target::Utilization(_) => "utilization",
            Target::Average(_) => "usage",
        };
        let failed = |message: String| format!("failed to get {} {word}: {message}", self.name);
        let samples = self
            .samples(cx, subject, scaled)
            .await
            .map_err(|error| failed(format!("unable to get metrics for resource {}: {error}", self.name)))?;
        let pods = pods(cx, subject, scaled).await.map_err(failed)?;
        let requests = match target {
            Target::Utilization(_) => self.requests(&pods).map_err(failed)?,
            Target::Average(_) => BTreeMap::new(),
        };
        let question = Question {
            pods: &pods,
            samples,
            requests,
            target,
            is_cpu: self.name == "cpu",
            current: scaled.current,
            tolerance: tolerance(subject),
            now: subject.now,
        };
        recommend(question).map_err(failed)
    }

    fn target(&self) -> Result<Target, String> {
        if let Some(average) = &self.target.average_value {
            let wanted = milli(average).filter(|value| *value > 0);
            return wanted.map(Target::Average).ok_or_else(|| format!("invalid target {:?}", average.0));
        }
        self.target.average_utilization.filter(|percent| *percent > 0).map(Target::Utilization).ok_or_else(|| {
            "invalid resource metric source: neither an average utilization target nor an average value (usage) \
             target was set"
                .to_owned()
        })
    }

    async fn samples(
        &self,
        cx: &Cx,
        subject: &Subject,
        scaled: &Scaled,
    ) -> Result<BTreeMap<String, Sample>, String> {
        let kind = GroupVersionKind::gvk("metrics.k8s.io", "v1beta1", "PodMetrics");
        let resource = ApiResource::from_gvk_with_plural(&kind, "pods");
        let api: Api<DynamicObject> =
            Api::namespaced_with(cx.client.clone(), &subject.key.namespace, &resource);
        let listed = api.list(&ListParams::default().labels(&scaled.selector)).await.map_err(|error| {
            format!("unable to fetch metrics from resource metrics API: {}", detail(&error))
        })?;
        let sampled = listed
            .items
            .iter()
            .filter_map(|metrics| Some((metrics.metadata.name.clone()?, self.sample(&metrics.data)?)));
        let samples: BTreeMap<String, Sample> = sampled.collect();
        if samples.is_empty() {
            return Err("no metrics returned from resource metrics API".into());
        }
        Ok(samples)
    }

    /// The use of one pod; `None` while a container has no sample.
    fn sample(&self, metrics: &Value) -> Option<Sample> {
        let containers = metrics["containers"].as_array()?;
        let wanted =
            containers.iter().filter(|container| self.container.is_none_or(|name| container["name"] == name));
        let values: Option<Vec<i128>> = wanted
            .map(|container| milli(&Quantity(container["usage"][self.name].as_str()?.to_owned())))
            .collect();
        let values = values.filter(|values| !values.is_empty())?;
        let at: Timestamp = metrics["timestamp"].as_str()?.parse().ok()?;
        let window: SignedDuration = metrics["window"].as_str().and_then(|text| text.parse().ok())?;
        Some(Sample { value: values.iter().sum(), at, window })
    }

    fn requests(&self, pods: &[Arc<Pod>]) -> Result<BTreeMap<String, i128>, String> {
        pods.iter().map(|pod| Ok((name_of(pod), self.request(pod)?))).collect()
    }

    fn request(&self, pod: &Pod) -> Result<i128, String> {
        let Some(spec) = &pod.spec else { return Ok(0) };
        let sidecars = spec.init_containers.iter().flatten();
        let sidecars = sidecars.filter(|init| init.restart_policy.as_deref() == Some("Always"));
        let containers = spec.containers.iter().chain(sidecars);
        let wanted = containers.filter(|one| self.container.is_none_or(|name| one.name == name));
        let requested = |container: &Container| {
            let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
            requests.and_then(|requests| milli(requests.get(self.name)?)).ok_or_else(|| {
                format!(
                    "missing request for {} in container {} of Pod {}",
                    self.name,
                    container.name,
                    name_of(pod)
                )
            })
        };
        wanted.map(requested).sum()
    }

    fn in_words(&self) -> String {
        match (self.target.average_utilization, self.container) {
            (None, _) => format!("{} resource", self.name),
            (Some(_), None) => format!("{} resource utilization (percentage of request)", self.name),
            (Some(_), Some(_)) => {
                format!("{} container resource utilization (percentage of request)", self.name)
            }
        }
    }

    fn status(&self, answer: &Answer) -> MetricStatus {
        let current = MetricValueStatus {
            average_utilization: answer.utilization,
            average_value: Some(shown(self.name, answer.average)),
            value: None,
        };
        let name = self.name.to_owned();
        match self.container {
            None => MetricStatus {
                type_: "Resource".into(),
                resource: Some(ResourceMetricStatus { name, current }),
                ..MetricStatus::default()
            },
            Some(container) => MetricStatus {
                type_: "ContainerResource".into(),
                container_resource: Some(ContainerResourceMetricStatus {
                    container: container.to_owned(),
                    name,
                    current,
                }),
                ..MetricStatus::default()
            },
        }
    }
}

/// Thousandths as people read them: `250m` of a processor, whole bytes of memory.
fn shown(resource: &str, thousandths: i128) -> Quantity {
    let bytes = thousandths / 1000;
    Quantity(match resource {
        "memory" if bytes % 1024 == 0 => format!("{}Ki", bytes / 1024),
        "memory" => bytes.to_string(),
        _ => format!("{thousandths}m"),
    })
}

fn tolerance(subject: &Subject) -> (f64, f64) {
    let behavior = subject.autoscaler.spec.behavior.as_ref();
    let rules = behavior.map(|behavior| (behavior.scale_down.as_ref(), behavior.scale_up.as_ref()));
    let (down, up) = rules.unwrap_or_default();
    let of = |quantity: Option<&Quantity>| {
        quantity.and_then(milli).map_or(TOLERANCE, |thousandths| thousandths as f64 / 1000.0)
    };
    (of(down.and_then(|rules| rules.tolerance.as_ref())), of(up.and_then(|rules| rules.tolerance.as_ref())))
}

async fn pods(cx: &Cx, subject: &Subject, scaled: &Scaled) -> Result<Vec<Arc<Pod>>, String> {
    let api: Api<Pod> = Api::namespaced(cx.client.clone(), &subject.key.namespace);
    let listed = api.list(&ListParams::default().labels(&scaled.selector)).await;
    let listed = listed.map_err(|error| {
        tracing::debug!(controller = NAME, error = &error as &dyn std::error::Error, "pods not listed");
        format!("unable to get pods while calculating replica count: {}", detail(&error))
    })?;
    Ok(listed.items.into_iter().map(Arc::new).collect())
}

fn name_of(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}
