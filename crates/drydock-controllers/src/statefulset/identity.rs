//! Names, labels and claims that stay with an ordinal, whichever pod holds it. Pure.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{owner, pods};

pub const REVISION_LABEL: &str = "controller-revision-hash";
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

fn set_name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set_name(set))
}

/// The ordinal a pod's name gives it in this set.
pub fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let text = pod.metadata.name.as_deref()?.strip_prefix(set_name(set))?.strip_prefix('-')?;
    let ordinal: i32 = text.parse().ok().filter(|ordinal| *ordinal >= 0)?;
    (ordinal.to_string() == text).then_some(ordinal)
}

fn claim_name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}", template.metadata.name.as_deref().unwrap_or_default(), pod_name(set, ordinal))
}

fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_deref()).unwrap_or_default()
}

/// The claims an ordinal needs.
pub fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let selector = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    let claim = |template: &PersistentVolumeClaim| {
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(selector.clone());
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(claim_name(set, template, ordinal)),
                namespace: set.metadata.namespace.clone(),
                labels: Some(labels),
                annotations: template.metadata.annotations.clone(),
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        }
    };
    templates(set).iter().map(claim).collect()
}

/// The pod of an ordinal, as `template` of `revision` describes it.
pub fn pod(set: &StatefulSet, ordinal: i32, template: &PodTemplateSpec, revision: &str) -> Pod {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pods::from_template(template, namespace, owner::reference(set));
    let name = pod_name(set, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(POD_NAME.into(), name.clone());
    labels.insert(POD_INDEX.into(), ordinal.to_string());
    labels.insert(REVISION_LABEL.into(), revision.to_owned());
    pod.metadata.name = Some(name.clone());
    // Says nothing, as the name is given, and is there in every cluster.
    pod.metadata.generate_name = Some(format!("{}-", set_name(set)));
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(name);
    spec.subdomain =
        set.spec.as_ref().and_then(|spec| spec.service_name.clone()).filter(|name| !name.is_empty());
    let claimed: Vec<Volume> = templates(set).iter().map(|template| volume(set, template, ordinal)).collect();
    let volumes = spec.volumes.get_or_insert_default();
    // A claim template hides a volume of the same name.
    volumes.retain(|volume| !claimed.iter().any(|claimed| claimed.name == volume.name));
    volumes.extend(claimed);
    pod
}

fn volume(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> Volume {
    let claim_name = claim_name(set, template, ordinal);
    Volume {
        name: template.metadata.name.clone().unwrap_or_default(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
        ..Volume::default()
    }
}

/// The ordinal a claim belongs to, if it is one of this set's.
pub fn claim_ordinal(set: &StatefulSet, claim: &PersistentVolumeClaim) -> Option<i32> {
    let name = claim.metadata.name.as_deref()?;
    templates(set).iter().find_map(|template| {
        let prefix = format!("{}-{}-", template.metadata.name.as_deref()?, set_name(set));
        let text = name.strip_prefix(&prefix)?;
        text.parse().ok().filter(|ordinal: &i32| *ordinal >= 0 && ordinal.to_string() == text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set() -> StatefulSet {
        let set = json!({
            "metadata": { "name": "db", "namespace": "ns" },
            "spec": {
                "serviceName": "db", "selector": { "matchLabels": { "app": "db" } },
                "template": { "metadata": { "labels": { "app": "db" } }, "spec": {
                    "containers": [], "volumes": [{ "name": "data", "emptyDir": {} }],
                } },
                "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {} }],
            },
        });
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn a_pod_carries_its_identity_and_its_own_claim() {
        let set = set();
        let template = set.spec.as_ref().unwrap().template.clone();
        let pod = pod(&set, 2, &template, "db-abc");
        let labels = pod.metadata.labels.unwrap();
        assert_eq!(labels[POD_NAME], "db-2");
        assert_eq!(labels[POD_INDEX], "2");
        assert_eq!(labels[REVISION_LABEL], "db-abc");
        let spec = pod.spec.unwrap();
        assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-2"), Some("db")));
        let volumes = spec.volumes.unwrap();
        assert_eq!(volumes.len(), 1);
        assert_eq!(volumes[0].persistent_volume_claim.as_ref().unwrap().claim_name, "data-db-2");
        assert_eq!(claims(&set, 2)[0].metadata.name.as_deref(), Some("data-db-2"));
    }

    #[track_caller]
    fn check(name: &str, expect: Option<i32>) {
        let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
        assert_eq!(ordinal(&set(), &Pod { metadata, ..Pod::default() }), expect);
    }

    #[test]
    fn only_names_made_by_the_set_have_an_ordinal() {
        check("db-0", Some(0));
        check("db-12", Some(12));
        check("db-01", None);
        check("db-x", None);
        check("other-0", None);
    }
}
