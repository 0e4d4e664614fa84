//! The API's way to the node: streams of containers, through whatever agent there is at the moment.

use std::sync::{Arc, PoisonError, RwLock};

use drydock_api::node::{
    LogOptions, LogStream, NodeBackend, NodeError, PodRef, PodUsage, Sample, Since, Usage,
};
use drydock_node::agent::{self, Agent};
use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

/// Holds the agent while the node is there; the API outlives it.
#[derive(Default)]
pub(crate) struct Backend {
    agent: RwLock<Option<Arc<Agent>>>,
}

impl Backend {
    pub fn set(&self, agent: Option<Arc<Agent>>) {
        *self.agent.write().unwrap_or_else(PoisonError::into_inner) = agent;
    }

    fn agent(&self) -> Result<Arc<Agent>, NodeError> {
        let agent = self.agent.read().unwrap_or_else(PoisonError::into_inner).clone();
        agent.ok_or_else(|| NodeError::Unavailable("the node is starting; try again in a moment".to_owned()))
    }
}

impl NodeBackend for Backend {
    fn measures(&self) -> bool {
        true
    }

    fn sample(&self) -> Option<Arc<Sample>> {
        let agent = self.agent().ok()?;
        Some(Arc::new(sample(agent.node_name(), &*agent.usage()?)))
    }

    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async move {
            let options = translate(options);
            let stream = self.agent()?.logs(&pod.namespace, &pod.name, options).await;
            Ok(stream.map_err(|error| NodeError::BadRequest(error.to_string()))?.boxed())
        })
    }
}

fn sample(node: &str, sample: &agent::Sample) -> Sample {
    let usage =
        |usage: &agent::Usage| Usage { cpu_nanocores: usage.cpu_nanocores, memory_bytes: usage.memory_bytes };
    let pods = sample.pods.iter().map(|pod| PodUsage {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        containers: pod.containers.iter().map(|(name, used)| (name.clone(), usage(used))).collect(),
    });
    Sample {
        at: sample.at,
        window: sample.window,
        node: node.to_owned(),
        node_usage: usage(&sample.node),
        pods: pods.collect(),
    }
}

fn translate(options: LogOptions) -> agent::LogOptions {
    let since = options.since.map(|since| match since {
        Since::Age(age) => Timestamp::now() - age,
        Since::Time(time) => time,
    });
    agent::LogOptions {
        container: Some(options.container),
        follow: options.follow,
        previous: options.previous,
        tail_lines: options.tail_lines,
        since,
        timestamps: options.timestamps,
        limit_bytes: options.limit_bytes,
    }
}
