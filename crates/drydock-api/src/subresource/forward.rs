//! `pods/NAME/portforward`: connections into a pod.

use std::sync::Arc;

use axum::body::Body;
use drydock_streams::forward::{self, About, Connect, MAX_PORTS};
use drydock_streams::spdy::Limits;
use drydock_streams::{Service, Transport};
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;

use super::{running, upgrade};
use crate::meta;
use crate::node::PodRef;
use crate::server::{Cx, Permit};
use crate::status::ApiError;

pub(super) fn answer(
    cx: Cx,
    permit: Permit,
    connection: Option<OnUpgrade>,
) -> Result<Response<Body>, ApiError> {
    let pod = cx.load()?.value;
    running::check_assigned(&pod)?;
    let handshake = upgrade::read(&cx, Service::PortForward)?;
    cx.server.node.check().map_err(|error| running::refusal(&cx, error))?;
    let ports = match handshake.transport {
        Transport::Channels(_) => match ports(&cx) {
            Ok(ports) => ports,
            Err(why) => return Ok(upgrade::plain(StatusCode::BAD_REQUEST, &why)),
        },
        Transport::Spdy(_) | Transport::Tunnel(_) => Vec::new(),
    };
    if pod["status"]["phase"] != "Running" {
        let why = format!("pod not found (\"{}_{}\")", meta::name(&pod), meta::namespace(&pod));
        return Ok(upgrade::plain(StatusCode::INTERNAL_SERVER_ERROR, &why));
    }
    let (node, reference) = (cx.server.node.clone(), PodRef::of(&pod));
    let about = About { pod: reference.name.clone(), uid: reference.uid.clone() };
    let connect: Connect = Arc::new(move |port| {
        let (node, reference) = (node.clone(), reference.clone());
        Box::pin(async move { node.port_forward(reference, port).await.map_err(|error| error.to_string()) })
    });
    let transport = handshake.transport;
    upgrade::grant(&cx, &handshake, permit, connection, move |io| {
        forward::serve(io, transport, ports, about, Limits::default(), connect)
    })
}

/// The ports of the query, which older WebSocket clients name; SPDY names them per stream.
fn ports(cx: &Cx) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for text in cx.query.all("ports").flat_map(|list| list.split(',')) {
        match text.parse::<u16>() {
            Ok(0) => return Err(format!("port {text:?} must be > 0")),
            Ok(port) => ports.push(port),
            Err(_) => return Err(format!("unable to parse {text:?} as a port")),
        }
    }
    match ports.len() {
        0 => Err("query parameter \"port\" is required".to_owned()),
        1..=MAX_PORTS => Ok(ports),
        count => Err(format!("{count} ports are more than the {MAX_PORTS} one request may name")),
    }
}
