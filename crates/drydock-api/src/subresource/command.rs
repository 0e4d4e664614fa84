//! `pods/NAME/exec` and `pods/NAME/attach`: a command in a container, or the container's own process.

use axum::body::Body;
use drydock_streams::remote::{self, Start, Wanted};
use drydock_streams::spdy::Limits;
use drydock_streams::{Service, Transport};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use serde_json::Value;

use super::{running, upgrade};
use crate::meta;
use crate::node::{ExecOptions, PodRef};
use crate::server::{Cx, Permit};
use crate::status::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Exec,
    Attach,
}

pub(super) fn answer(
    cx: Cx,
    act: Act,
    permit: Permit,
    connection: Option<OnUpgrade>,
) -> Result<Response<Body>, ApiError> {
    let pod = cx.load()?.value;
    let container = running::container(&cx, &pod)?;
    running::check_assigned(&pod)?;
    let handshake = upgrade::read(&cx, Service::RemoteCommand)?;
    cx.server.node.check().map_err(|error| running::refusal(&cx, error))?;
    let options = options(&cx, act, &pod, container);
    if !options.stdin && !options.stdout && !options.stderr {
        let why = "you must specify at least 1 of stdin, stdout, stderr";
        return Ok(upgrade::plain(StatusCode::BAD_REQUEST, why));
    }
    let start = match (running::is_running(&pod, &options.container), handshake.transport) {
        (true, _) => start(&cx, act, &pod, options.clone()),
        // A client of this protocol expects to be connected first.
        (false, Transport::Channels(protocol)) if protocol.half_close => {
            let why = format!("unable to upgrade connection: {}", absent(act, &pod, &options.container));
            Box::pin(async move { Err(why) })
        }
        (false, _) => {
            let why = absent(act, &pod, &options.container);
            return Ok(upgrade::plain(StatusCode::INTERNAL_SERVER_ERROR, &why));
        }
    };
    let ExecOptions { stdin, stdout, stderr, tty, .. } = options;
    let (transport, wanted) = (handshake.transport, Wanted { stdin, stdout, stderr, tty });
    upgrade::grant(&cx, &handshake, permit, connection, move |io| {
        remote::serve(io, transport, wanted, Limits::default(), start)
    })
}

fn options(cx: &Cx, act: Act, pod: &Value, container: String) -> ExecOptions {
    let is_on = |name| cx.query.is_on(name);
    // Whether a process that runs already has a terminal is not the client's to say.
    let declared = running::declared(pod, &container).is_some_and(|one| one["tty"] == true);
    let tty = if act == Act::Exec { is_on("tty") } else { declared };
    ExecOptions {
        container,
        command: match act {
            Act::Exec => cx.query.all("command").map(str::to_owned).collect(),
            Act::Attach => Vec::new(),
        },
        stdin: is_on("stdin"),
        stdout: is_on("stdout"),
        // A client that believes in a terminal opens no stream for errors.
        stderr: is_on("stderr") && !is_on("tty"),
        tty,
    }
}

fn start(cx: &Cx, act: Act, pod: &Value, options: ExecOptions) -> Start {
    let (node, pod) = (cx.server.node.clone(), PodRef::of(pod));
    Box::pin(async move {
        let (session, doing) = match act {
            Act::Exec => (node.exec(pod, options).await, "error executing command in container"),
            Act::Attach => (node.attach(pod, options).await, "error attaching to container"),
        };
        session.map_err(|error| format!("{doing}: {error}"))
    })
}

fn absent(act: Act, pod: &Value, container: &str) -> String {
    match act {
        Act::Exec => format!("container not found ({container:?})"),
        Act::Attach => {
            format!("container {container} not found in pod {}_{}", meta::name(pod), meta::namespace(pod))
        }
    }
}
