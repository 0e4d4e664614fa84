//! The API's way to the node: streams of containers, through whatever agent there is at the moment.

use std::sync::{Arc, PoisonError, RwLock};

use drydock_api::node::{LogOptions, LogStream, NodeBackend, NodeError, PodRef, Since};
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
    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async move {
            let options = translate(options);
            let stream = self.agent()?.logs(&pod.namespace, &pod.name, options).await;
            Ok(stream.map_err(|error| NodeError::BadRequest(error.to_string()))?.boxed())
        })
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
