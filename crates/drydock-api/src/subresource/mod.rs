//! What hangs below an object and is no object itself: scale, binding, eviction, tokens, logs,
//! commands in containers, connections into pods.
//!
//! `status` is not here: it is the object through another door (see `resource::admit`).

mod command;
mod ephemeral;
mod forward;
pub(crate) mod log;
mod part;
mod pod;
pub(crate) mod running;
mod scale;
mod token;
mod upgrade;

use axum::body::Body;
use http::Response;
use hyper::upgrade::OnUpgrade;
use serde_json::json;

use crate::certificates;
use crate::resource::update::{self, Change};
use crate::resource::{
    admit::{self, Ownership},
    options::{OptionsOf, WriteOptions},
};
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::stored::Object;
use crate::webhook::matching::{Asked, Operation};
use crate::wire::body;
use crate::{policy, webhook};

/// One more path below the objects of a kind, as discovery lists it.
#[derive(Debug, Clone, Copy)]
pub struct Extra {
    pub group: &'static str,
    pub plural: &'static str,
    pub subresource: &'static str,
    /// Group, version and kind of what is sent and received.
    pub speaks: (&'static str, &'static str, &'static str),
    pub verbs: &'static [&'static str],
}

const fn extra(
    plural: &'static str,
    subresource: &'static str,
    speaks: (&'static str, &'static str, &'static str),
    verbs: &'static [&'static str],
) -> Extra {
    Extra { group: "", plural, subresource, speaks, verbs }
}

/// Subresources of single kinds; `status` and `scale` follow from the catalog.
pub const EXTRAS: &[Extra] = &[
    Extra {
        group: certificates::GROUP,
        ..extra(
            certificates::PLURAL,
            certificates::APPROVAL,
            (certificates::GROUP, "v1", "CertificateSigningRequest"),
            &["get", "patch", "update"],
        )
    },
    extra("namespaces", "finalize", ("", "v1", "Namespace"), &["update"]),
    extra("nodes", "proxy", ("", "v1", "NodeProxyOptions"), PROXIED),
    extra("pods", "attach", ("", "v1", "PodAttachOptions"), &["create", "get"]),
    extra("pods", "binding", ("", "v1", "Binding"), &["create"]),
    extra("pods", "ephemeralcontainers", ("", "v1", "Pod"), &["get", "patch", "update"]),
    extra("pods", "eviction", ("policy", "v1", "Eviction"), &["create"]),
    extra("pods", "exec", ("", "v1", "PodExecOptions"), &["create", "get"]),
    extra("pods", "log", ("", "v1", "Pod"), &["get"]),
    extra("pods", "portforward", ("", "v1", "PodPortForwardOptions"), &["create", "get"]),
    extra("pods", "proxy", ("", "v1", "PodProxyOptions"), PROXIED),
    extra("pods", "resize", ("", "v1", "Pod"), &["get", "patch", "update"]),
    extra("serviceaccounts", "token", ("authentication.k8s.io", "v1", "TokenRequest"), &["create"]),
    extra("services", "proxy", ("", "v1", "ServiceProxyOptions"), PROXIED),
];

/// See `proxy`: any method is passed on.
const PROXIED: &[&str] = &["create", "delete", "get", "patch", "update"];

pub(crate) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    match (cx.kind.group(), cx.kind.plural(), cx.path.subresource.as_str(), verb) {
        (.., "scale", "get" | "update" | "patch") if cx.kind.scale().is_some() => {
            scale::answer(cx, verb, body).await
        }
        (.., "scale", _) if cx.kind.scale().is_some() => Err(ApiError::method_not_allowed()),
        ("", "pods", "binding", "create") => pod::bind(cx, body).await,
        ("", "pods", "ephemeralcontainers", "get" | "patch" | "update") => {
            ephemeral::answer(cx, verb, body).await
        }
        ("", "pods", "eviction", "create") => pod::evict(cx, body).await,
        ("", "pods", "resize", "get" | "patch" | "update") => {
            part::answer(cx, verb, body, |live, wanted| Ok(drydock_kinds::resize(wanted, live))).await
        }
        ("", "serviceaccounts", "token", "create") => token::create(cx, body).await,
        ("", "namespaces", "finalize", "update") => finalize(cx, body).await,
        _ => Err(ApiError::no_such_path()),
    }
}

pub(crate) async fn stream(
    cx: Cx,
    verb: &str,
    permit: Permit,
    upgrade: Option<OnUpgrade>,
) -> Result<Response<Body>, ApiError> {
    match (cx.kind.is("", "pods"), cx.path.subresource.as_str(), verb) {
        (true, "log", "get") => log::answer(cx, permit).await,
        (true, "exec", "get" | "create") => command::answer(cx, command::Act::Exec, permit, upgrade),
        (true, "attach", "get" | "create") => command::answer(cx, command::Act::Attach, permit, upgrade),
        (true, "portforward", "get" | "create") => forward::answer(cx, permit, upgrade),
        (true, "log" | "exec" | "attach" | "portforward", _) => Err(ApiError::method_not_allowed()),
        _ => Err(ApiError::no_such_path()),
    }
}

/// Asks admission about a connection into a pod or to what is proxied. Reading a log is none.
pub(crate) async fn check_connection(cx: &Cx) -> Result<(), ApiError> {
    let path = &cx.path;
    let extra = EXTRAS
        .iter()
        .find(|extra| cx.kind.is(extra.group, extra.plural) && extra.subresource == path.subresource);
    let Some(Extra { speaks: (_, version, kind), .. }) = extra.filter(|_| path.subresource != "log") else {
        return Ok(());
    };
    let mut options = json!({ "kind": kind, "apiVersion": version });
    for switch in ["stdin", "stdout", "stderr", "tty"] {
        if cx.query.is_on(switch) {
            options[switch] = true.into();
        }
    }
    if let Some(container) = cx.query.get("container") {
        options["container"] = container.into();
    }
    let command: Vec<&str> = cx.query.all("command").collect();
    if !command.is_empty() {
        options["command"] = json!(command);
    }
    if path.is_proxy() {
        options["path"] = path.proxied.as_str().into();
    }
    let asked = Asked { operation: Operation::Connect, new: Some(&options), old: None, dry_run: false };
    policy::validate(cx, &asked)?;
    webhook::connected(cx, &options).await
}

/// The older way to bind a pod: the body names it, not the path.
pub(crate) async fn bind(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    pod::bind_named(cx, body).await
}

/// Sets a namespace's own finalizers; without any left, a deleted namespace is gone.
async fn finalize(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = WriteOptions::of(cx, OptionsOf::Update)?;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let wanted = cx.decode(&bytes)?.value;
    admit::check_name(cx, &wanted)?;
    let change = |live: &Object| {
        let mut object = live.value.clone();
        object["spec"]["finalizers"] = match wanted["spec"]["finalizers"].clone() {
            serde_json::Value::Null => serde_json::json!([]),
            list => list,
        };
        Ok(Change { object, ownership: Ownership::Track })
    };
    let stored = update::modify(cx, &options, change).await?;
    cx.reply(http::StatusCode::OK, stored)
}
