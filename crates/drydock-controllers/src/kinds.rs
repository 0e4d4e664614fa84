//! Every kind the controllers share, each cached once. Start at [`Kinds::new`].

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::core::ApiResource;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kind::{Kind, Object};
use crate::supervise::supervise;

/// The ConfigMap every namespace gets; the only ConfigMaps worth caching here.
pub const ROOT_CA: &str = "kube-root-ca.crt";

pub struct Kinds {
    pub pods: Arc<Kind<Pod>>,
    pub replica_sets: Arc<Kind<ReplicaSet>>,
    pub replication_controllers: Arc<Kind<ReplicationController>>,
    pub deployments: Arc<Kind<Deployment>>,
    pub stateful_sets: Arc<Kind<StatefulSet>>,
    pub daemon_sets: Arc<Kind<DaemonSet>>,
    pub revisions: Arc<Kind<ControllerRevision>>,
    pub jobs: Arc<Kind<Job>>,
    pub cron_jobs: Arc<Kind<CronJob>>,
    pub services: Arc<Kind<Service>>,
    pub endpoint_slices: Arc<Kind<EndpointSlice>>,
    pub endpoints: Arc<Kind<Endpoints>>,
    pub nodes: Arc<Kind<Node>>,
    pub namespaces: Arc<Kind<Namespace>>,
    pub claims: Arc<Kind<PersistentVolumeClaim>>,
    pub volumes: Arc<Kind<PersistentVolume>>,
    pub storage_classes: Arc<Kind<StorageClass>>,
    pub service_accounts: Arc<Kind<ServiceAccount>>,
    pub root_cas: Arc<Kind<ConfigMap>>,
    pub autoscalers: Arc<Kind<HorizontalPodAutoscaler>>,
    pub budgets: Arc<Kind<PodDisruptionBudget>>,
    pub quotas: Arc<Kind<ResourceQuota>>,
    pub cluster_roles: Arc<Kind<ClusterRole>>,
}

/// A kind of whatever type, as far as its metadata goes.
pub trait AnyKind: Send + Sync {
    fn resource(&self) -> ApiResource;
    fn spawn_watch(&self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken);
    /// Calls `listener` with the metadata before and after each change.
    fn on_metadata(&self, listener: MetadataListener);
    fn synced(&self) -> watch::Receiver<bool>;
}

pub type MetadataListener = Box<dyn Fn(Option<&ObjectMeta>, Option<&ObjectMeta>) + Send + Sync>;

impl<K: Object> AnyKind for Arc<Kind<K>> {
    fn resource(&self) -> ApiResource {
        Kind::<K>::resource()
    }

    fn spawn_watch(&self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        let (kind, shutdown) = (self.clone(), shutdown.clone());
        let name = format!("watch of {}", K::plural(&()));
        tasks.spawn(supervise(name, shutdown.clone(), move || kind.clone().watch(shutdown.clone())));
    }

    fn on_metadata(&self, listener: MetadataListener) {
        self.cache.subscribe(move |old, new| listener(old.map(|old| old.meta()), new.map(|new| new.meta())));
    }

    fn synced(&self) -> watch::Receiver<bool> {
        self.cache.synced()
    }
}

impl Kinds {
    pub fn new(client: &Client) -> Kinds {
        let only_root_cas = watcher::Config::default().fields(&format!("metadata.name={ROOT_CA}"));
        Kinds {
            pods: Kind::new(client.clone()),
            replica_sets: Kind::new(client.clone()),
            replication_controllers: Kind::new(client.clone()),
            deployments: Kind::new(client.clone()),
            stateful_sets: Kind::new(client.clone()),
            daemon_sets: Kind::new(client.clone()),
            revisions: Kind::new(client.clone()),
            jobs: Kind::new(client.clone()),
            cron_jobs: Kind::new(client.clone()),
            services: Kind::new(client.clone()),
            endpoint_slices: Kind::new(client.clone()),
            endpoints: Kind::new(client.clone()),
            nodes: Kind::new(client.clone()),
            namespaces: Kind::new(client.clone()),
            claims: Kind::new(client.clone()),
            volumes: Kind::new(client.clone()),
            storage_classes: Kind::new(client.clone()),
            service_accounts: Kind::new(client.clone()),
            root_cas: Kind::with(client.clone(), only_root_cas),
            autoscalers: Kind::new(client.clone()),
            budgets: Kind::new(client.clone()),
            quotas: Kind::new(client.clone()),
            cluster_roles: Kind::new(client.clone()),
        }
    }

    pub fn all(&self) -> Vec<&dyn AnyKind> {
        let mut all = self.complete();
        all.push(&self.root_cas);
        all
    }

    /// The kinds whose cache holds every object of that kind.
    pub fn complete(&self) -> Vec<&dyn AnyKind> {
        vec![
            &self.pods,
            &self.replica_sets,
            &self.replication_controllers,
            &self.deployments,
            &self.stateful_sets,
            &self.daemon_sets,
            &self.revisions,
            &self.jobs,
            &self.cron_jobs,
            &self.services,
            &self.endpoint_slices,
            &self.endpoints,
            &self.nodes,
            &self.namespaces,
            &self.claims,
            &self.volumes,
            &self.storage_classes,
            &self.service_accounts,
            &self.autoscalers,
            &self.budgets,
            &self.quotas,
            &self.cluster_roles,
        ]
    }
}
