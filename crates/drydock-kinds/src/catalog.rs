//! The catalog: every kind the engine serves, one line each.
//!
//! Routes, discovery, OpenAPI and tables are derived from it; a kind that is not listed here does not exist.

use crate::spec::KindSpec;

const CATALOG: &[KindSpec] = &[
    crate::namespace::KIND,
    crate::node::KIND,
    crate::pod::KIND,
    crate::service::KIND,
    crate::endpoints::KIND,
    crate::configmap::KIND,
    crate::secret::KIND,
    crate::serviceaccount::KIND,
    crate::persistentvolume::KIND,
    crate::persistentvolumeclaim::KIND,
    crate::event::KIND,
    crate::replicationcontroller::KIND,
    crate::podtemplate::KIND,
    crate::binding::KIND,
    crate::componentstatus::KIND,
    crate::resourcequota::KIND,
    crate::limitrange::KIND,
    crate::deployment::KIND,
    crate::replicaset::KIND,
    crate::statefulset::KIND,
    crate::daemonset::KIND,
    crate::controllerrevision::KIND,
    crate::job::KIND,
    crate::cronjob::KIND,
    crate::horizontalpodautoscaler::KIND,
    crate::horizontalpodautoscaler::v1::KIND,
    crate::poddisruptionbudget::KIND,
    crate::ingress::KIND,
    crate::ingressclass::KIND,
    crate::networkpolicy::KIND,
    crate::ipaddress::KIND,
    crate::servicecidr::KIND,
    crate::endpointslice::KIND,
    crate::eventsevent::KIND,
    crate::lease::KIND,
    crate::role::KIND,
    crate::rolebinding::KIND,
    crate::clusterrole::KIND,
    crate::clusterrolebinding::KIND,
    crate::storageclass::KIND,
    crate::csidriver::KIND,
    crate::csinode::KIND,
    crate::csistoragecapacity::KIND,
    crate::volumeattachment::KIND,
    crate::volumeattributesclass::KIND,
    crate::priorityclass::KIND,
    crate::runtimeclass::KIND,
    crate::certificatesigningrequest::KIND,
    crate::flowschema::KIND,
    crate::prioritylevelconfiguration::KIND,
    crate::deviceclass::KIND,
    crate::resourceclaim::KIND,
    crate::resourceclaimtemplate::KIND,
    crate::resourceslice::KIND,
    crate::apiservice::KIND,
    crate::customresourcedefinition::KIND,
    crate::mutatingadmissionpolicy::KIND,
    crate::mutatingadmissionpolicybinding::KIND,
    crate::mutatingwebhookconfiguration::KIND,
    crate::validatingadmissionpolicy::KIND,
    crate::validatingadmissionpolicybinding::KIND,
    crate::validatingwebhookconfiguration::KIND,
];

/// All kinds, in the order discovery lists them.
pub fn catalog() -> &'static [KindSpec] {
    CATALOG
}

/// Looks a kind up by what a URL names: group (empty for core), version and plural.
pub fn by_plural(group: &str, version: &str, plural: &str) -> Option<&'static KindSpec> {
    CATALOG.iter().find(|spec| spec.plural == plural && spec.version == version && spec.group == group)
}

/// Looks a kind up by group (empty for core), version and kind.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static KindSpec> {
    CATALOG.iter().find(|spec| spec.kind == kind && spec.version == version && spec.group == group)
}

/// Looks a kind up by what an object says about itself: `apps/v1` and `Deployment`.
pub fn by_api_version(api_version: &str, kind: &str) -> Option<&'static KindSpec> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    by_kind(group, version, kind)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::schema::{Schema, conform};

    #[test]
    fn every_kind_has_a_schema() {
        for spec in catalog() {
            let found = Schema::builtin().kind(spec.group, spec.version, spec.kind);
            assert!(found.is_some(), "{} has no schema", spec.kind);
        }
    }

    #[test]
    fn names_and_short_names_are_unambiguous() {
        let mut seen = HashSet::new();
        for spec in catalog() {
            for name in spec.short_names.iter().copied().chain([spec.plural]) {
                // Two groups or versions may show the same objects under the same name.
                assert!(seen.insert((name, spec.stored.is_some())), "{name} stands for two kinds");
            }
            assert_eq!(
                by_plural(spec.group, spec.version, spec.plural).map(|found| found.kind),
                Some(spec.kind)
            );
            assert_eq!(
                by_api_version(&spec.api_version(), spec.kind).map(|found| found.plural),
                Some(spec.plural)
            );
        }
    }

    #[test]
    fn defaults_run_twice_change_nothing_more() {
        for spec in catalog() {
            let mut object = json!({"metadata": {"name": "a", "uid": "u"}});
            (spec.default)(&mut object);
            (spec.prepare)(&mut object, None);
            let once = object.clone();
            (spec.default)(&mut object);
            assert_eq!(object, once, "{}", spec.kind);
        }
    }

    #[test]
    fn defaults_agree_with_the_schema() {
        for spec in catalog() {
            let root = Schema::builtin().kind(spec.group, spec.version, spec.kind).expect("a schema");
            let mut object = json!({"metadata": {"name": "a", "uid": "u"}});
            (spec.default)(&mut object);
            (spec.prepare)(&mut object, None);
            assert_eq!(conform(&mut object, root), Ok(vec![]), "{}", spec.kind);
        }
    }

    #[test]
    fn every_kind_prints_its_columns_for_an_empty_object() {
        let now = "2026-01-01T00:00:00Z".parse().expect("a time");
        for spec in catalog() {
            let cells: Vec<Value> =
                spec.table_columns().map(|column| column.value(&json!({}), now)).collect();
            assert!(cells.len() > 1, "{}", spec.kind);
            assert_eq!(
                spec.table_columns().filter(|column| column.format == "name").count(),
                1,
                "{}",
                spec.kind
            );
        }
    }

    #[track_caller]
    fn reads<T: serde::de::DeserializeOwned + k8s_openapi::Resource>(mut object: Value) {
        let spec = by_kind(T::GROUP, T::VERSION, T::KIND).expect("a served kind");
        let root = Schema::builtin().kind(spec.group, spec.version, spec.kind).expect("a schema");
        object["metadata"] = json!({"name": "a", "namespace": "b", "uid": "u"});
        assert_eq!(conform(&mut object, root), Ok(vec![]));
        (spec.default)(&mut object);
        (spec.prepare)(&mut object, None);
        assert_eq!(spec.check(&object, None), []);
        let typed: Result<T, _> = serde_json::from_value(object);
        assert!(typed.is_ok(), "{}: {:?}", T::KIND, typed.err());
    }

    #[test]
    fn typed_clients_read_what_a_minimal_manifest_becomes() {
        use k8s_openapi::api::{
            apps::v1 as apps, autoscaling::v2 as scaling, batch::v1 as batch, core::v1 as core,
        };
        use k8s_openapi::api::{networking::v1 as net, policy::v1 as policy};
        let pod = json!({"containers": [{
            "name": "a", "image": "b", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": 1, "memory": "64Mi"}},
            "readinessProbe": {"httpGet": {"port": "http"}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }], "volumes": [{"name": "v"}]});
        let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": pod});
        let workload = json!({"selector": {"matchLabels": {"app": "a"}}, "template": template});
        reads::<core::Pod>(json!({"spec": pod}));
        reads::<apps::Deployment>(json!({"spec": workload}));
        reads::<apps::ReplicaSet>(json!({"spec": workload}));
        reads::<apps::DaemonSet>(json!({"spec": workload}));
        reads::<apps::StatefulSet>(json!({"spec": workload}));
        let mut once = pod.clone();
        once["restartPolicy"] = json!("Never");
        reads::<batch::Job>(json!({"spec": {"template": {"spec": once}}}));
        reads::<batch::CronJob>(
            json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": once}}}}}),
        );
        reads::<core::Service>(json!({"spec": {"ports": [{"port": 80}]}}));
        reads::<core::PersistentVolumeClaim>(
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}),
        );
        reads::<core::Secret>(json!({"stringData": {"a": "b"}}));
        let backend = json!({"service": {"name": "a", "port": {"number": 80}}});
        reads::<net::Ingress>(
            json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}}),
        );
        reads::<net::NetworkPolicy>(
            json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 80}]}]}}),
        );
        reads::<policy::PodDisruptionBudget>(json!({"spec": {"minAvailable": 1, "selector": {}}}));
        reads::<scaling::HorizontalPodAutoscaler>(
            json!({"spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}}}),
        );
    }

    /// Set `SEAWORTHY_CORPORA` to a folder with `kubernetes-api-v1.36` to run this; it is skipped without.
    #[test]
    fn published_objects_have_no_field_that_we_do_not_know() {
        let Ok(folder) = std::env::var("SEAWORTHY_CORPORA") else { return };
        for spec in catalog() {
            // Published elsewhere than the other kinds.
            if spec.group == "apiregistration.k8s.io" {
                continue;
            }
            let group = if spec.group.is_empty() { "core" } else { spec.group };
            let path = format!("{folder}/kubernetes-api-v1.36/{group}.{}.{}.json", spec.version, spec.kind);
            let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let mut object: Value = serde_json::from_slice(&text).expect("JSON");
            let root = Schema::builtin().kind(spec.group, spec.version, spec.kind).expect("a schema");
            assert_eq!(conform(&mut object, root), Ok(vec![]), "{}", spec.kind);
        }
    }
}
