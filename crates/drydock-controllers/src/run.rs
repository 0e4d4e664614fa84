//! Starts every controller in one place and waits for all of them at shutdown.
//!
//! Order matters once: controllers connect to the caches before the watches start.
//! Start at [`run`].

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::controller::{Connected, Controller};
use crate::cx::{Config, Cx};
use crate::events::{Recorder, write_events};
use crate::supervise::supervise;
use crate::{
    aggregation, claims, cronjob, daemonset, deployment, disruption, endpoints, garbage, hpa, job, namespace,
    replicaset, resourcequota, scheduler, serviceaccount, statefulset,
};

/// Between tries to make the default StorageClass, while the server is not up yet.
const CLASS_RETRY: Duration = Duration::from_millis(250);

/// Every controller, in the order a pod meets them.
fn controllers() -> Vec<Controller> {
    vec![
        deployment::controller(),
        replicaset::controller(),
        replicaset::replication_controller(),
        statefulset::controller(),
        daemonset::controller(),
        job::controller(),
        cronjob::controller(),
        hpa::controller(),
        claims::controller(),
        claims::volume::controller(),
        scheduler::controller(),
        endpoints::controller(),
        disruption::controller(),
        resourcequota::controller(),
        serviceaccount::controller(),
        aggregation::controller(),
        namespace::controller(),
        garbage::controller(),
    ]
}

/// Runs all controllers against `client` until `shutdown`; returns when the last one has stopped.
pub async fn run(client: Client, config: Config, shutdown: CancellationToken) {
    let (recorder, notes) = Recorder::new();
    let clock = config.clock.clone();
    let cx = Arc::new(Cx::new(client.clone(), config, recorder));
    let mut tasks = JoinSet::new();
    let connected: Vec<Connected> =
        controllers().into_iter().map(|controller| controller.connect(&cx)).collect();
    garbage::connect(&cx);
    for kind in cx.kinds.all() {
        kind.spawn_watch(&mut tasks, &shutdown);
    }
    for controller in connected {
        tasks.spawn(controller.run(cx.clone(), shutdown.clone()));
    }
    tasks.spawn(write_events(client, clock, notes, shutdown.clone()));
    let (discovering, stop) = (cx.clone(), shutdown.clone());
    tasks.spawn(supervise("discovery".into(), shutdown.clone(), move || {
        garbage::discover(discovering.clone(), stop.clone())
    }));
    tasks.spawn(make_standard_class(cx.clone(), shutdown.clone()));
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(error = &error as &dyn std::error::Error, "controller task ended badly");
        }
    }
}

async fn make_standard_class(cx: Arc<Cx>, shutdown: CancellationToken) {
    while let Err(error) = claims::ensure_standard_class(&cx).await {
        tracing::debug!(error = &error as &dyn std::error::Error, "default storage class not made yet");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(CLASS_RETRY) => {}
        }
    }
}
