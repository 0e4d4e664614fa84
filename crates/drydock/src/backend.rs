//! The API's way to the node: streams of containers, through whatever agent there is at the moment.

use std::sync::{Arc, PoisonError, RwLock};

use drydock_api::node::{
    Duplex, ExecOptions, LogOptions, LogStream, NodeBackend, NodeError, Outcome, Output, PodRef, PodUsage,
    Reader, Sample, Session, Since, Size, Usage, Writer,
};
use drydock_node::agent::{self, Agent, PodName, StreamError};
use drydock_node::client::{Attached, ExecSession, Streams, Terminal, Wanted};
use futures::StreamExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::mpsc;

/// Sizes of a window that is being dragged; the last one counts.
const QUEUED_SIZES: usize = 8;

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

    fn check(&self) -> Result<(), NodeError> {
        self.agent().map(drop)
    }

    fn logs(&self, pod: PodRef, options: LogOptions) -> BoxFuture<'_, Result<LogStream, NodeError>> {
        Box::pin(async move {
            let options = translate(options);
            let stream = self.agent()?.logs(&pod.namespace, &pod.name, options).await;
            Ok(stream.map_err(|error| NodeError::BadRequest(error.to_string()))?.boxed())
        })
    }

    fn exec(&self, pod: PodRef, options: ExecOptions) -> BoxFuture<'_, Result<Session, NodeError>> {
        Box::pin(async move {
            let ExecOptions { container, command, stdin, stdout, stderr, tty } = options;
            let wanted = Wanted { stdin, stdout, stderr };
            let started = self.agent()?.exec(&name(pod), &container, command, tty, wanted).await;
            let (session, streams) = started.map_err(|error| refused(&error))?;
            Ok(of_exec(session, streams, wanted))
        })
    }

    fn attach(&self, pod: PodRef, options: ExecOptions) -> BoxFuture<'_, Result<Session, NodeError>> {
        Box::pin(async move {
            let attached = self.agent()?.attach(&name(pod), &options.container).await;
            Ok(of_attachment(attached.map_err(|error| refused(&error))?, &options))
        })
    }

    fn port_forward(&self, pod: PodRef, port: u16) -> BoxFuture<'_, Result<Box<dyn Duplex>, NodeError>> {
        Box::pin(async move {
            let stream = self.agent()?.connect(&name(pod), port).await.map_err(|error| refused(&error))?;
            // Small packets are keystrokes as often as not.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

fn name(pod: PodRef) -> PodName {
    PodName { namespace: pod.namespace, name: pod.name, uid: pod.uid }
}

/// The error and its causes in one line, as it reaches the user.
fn refused(error: &StreamError) -> NodeError {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.ends_with(&text) {
            said.push_str(&format!(": {text}"));
        }
        cause = error.source();
    }
    match error {
        StreamError::NoPod(_) | StreamError::NotRunning(_) => NodeError::NotFound(said),
        _ => NodeError::Unavailable(said),
    }
}

fn of_exec(mut session: ExecSession, streams: Streams, wanted: Wanted) -> Session {
    let Streams { stdin, stdout, stderr, terminal } = streams;
    let end = async move {
        match session.wait().await {
            Ok(exit) => Outcome::of_code(exit.code),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    };
    let mut made = Session {
        stdin: stdin.map(|stdin| Box::new(stdin) as Writer),
        stdout: stdout.map(|stdout| Box::new(stdout) as Reader),
        stderr: stderr.map(|stderr| Box::new(stderr) as Reader),
        resize: terminal.clone().map(follow_sizes),
        end: Some(Box::pin(end)),
        detaches: false,
    };
    if let Some(terminal) = terminal {
        // Read even when nobody wants it: a program whose terminal is full stands still.
        made.stdout = Some(Box::new(terminal.clone()));
        made.stdin = wanted.stdin.then(|| Box::new(terminal) as Writer);
    }
    made
}

fn of_attachment(attached: Attached, options: &ExecOptions) -> Session {
    let Attached { streams: Streams { stdin, stdout, stderr, terminal }, stdin_once } = attached;
    let terminal_input = terminal.clone().map(|terminal| Box::new(terminal) as Writer);
    let input = stdin.map(|stdin| Box::new(stdin) as Writer).or(terminal_input);
    Session {
        // Handed out once, the container's input ends when nobody of ours holds it.
        stdin: input.filter(|_| options.stdin),
        stdout: stdout.map(|stdout| Box::new(stdout) as Reader),
        stderr: stderr.map(|stderr| Box::new(stderr) as Reader),
        resize: terminal.map(follow_sizes),
        end: None,
        detaches: !stdin_once,
    }
}

/// Ends with the session, which holds the sender.
fn follow_sizes(terminal: Terminal) -> mpsc::Sender<Size> {
    let (sender, mut sizes) = mpsc::channel::<Size>(QUEUED_SIZES);
    tokio::spawn(async move {
        while let Some((columns, rows)) = sizes.recv().await {
            if let Err(error) = terminal.resize(columns, rows) {
                tracing::debug!(%error, "a terminal did not take its size");
            }
        }
    });
    sender
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
        output: options.stream.map(|output| match output {
            Output::Stdout => agent::Output::Stdout,
            Output::Stderr => agent::Output::Stderr,
        }),
    }
}
