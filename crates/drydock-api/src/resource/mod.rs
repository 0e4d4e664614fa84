//! Objects over HTTP: one generic path for every kind.
//!
//! Start at [`answer`], which sends a request to its room: `read`, `create`, `update`, `patch`, `delete`. All writes
//! meet in `admit`, which makes of what a client sent what is stored.

pub mod admit;
pub(crate) mod apply;
pub mod create;
pub mod delete;
pub mod options;
pub mod page;
pub mod patch;
pub mod read;
pub mod update;

use axum::body::Body;
use http::{Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use serde_json::Value;

use crate::certificates;
use crate::server::{Cx, Permit};
use crate::status::ApiError;
use crate::stored::{self, Object};
use crate::wire::body::{self, Decoded};
use crate::wire::table::Shape;
use crate::wire::{self, Accept};
use crate::{subresource, watch};

/// Writes that lost a race are tried again on the newer state, this often at most.
pub const MAX_RETRIES: usize = 16;

pub(crate) async fn answer(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    if !cx.kind.deprecation().is_empty() {
        cx.warnings.add(cx.kind.deprecation());
    }
    let outcome = dispatch(cx, verb, body).await;
    let (warnings, annotations) = cx.warnings.take();
    let mut response = match outcome {
        Ok(response) => wire::warn(response, &warnings),
        Err(error) => return Err(error.with_warnings(warnings)),
    };
    response.extensions_mut().insert(annotations);
    Ok(response)
}

async fn dispatch(cx: &Cx, verb: &str, body: Body) -> Result<Response<Body>, ApiError> {
    cx.check_scope(verb)?;
    // Before anything is done: a client must not learn too late that it cannot read the answer.
    cx.shape()?;
    let decides = certificates::is_approval(cx);
    if !matches!(cx.path.subresource.as_str(), "" | "status") && !decides {
        return subresource::answer(cx, verb, body).await;
    }
    if (decides || cx.path.subresource == "status")
        && (!cx.kind.has_status() || !matches!(verb, "get" | "update" | "patch"))
    {
        return Err(match cx.kind.has_status() {
            true => ApiError::method_not_allowed(),
            false => ApiError::no_such_path(),
        });
    }
    match verb {
        "create" if cx.kind.is("", "bindings") => subresource::bind(cx, body).await,
        "update" | "patch" if cx.path.name.is_none() => Err(ApiError::method_not_allowed()),
        "get" => read::get(cx),
        "list" => read::list(cx),
        "create" => create::create(cx, body).await,
        "update" => update::update(cx, body).await,
        "patch" => patch::patch(cx, body).await,
        "delete" => delete::delete(cx, body).await,
        "deletecollection" => delete::delete_collection(cx, body).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// Requests that last as long as their client wants.
pub(crate) async fn stream(
    cx: Cx,
    verb: &str,
    permit: Permit,
    upgrade: Option<OnUpgrade>,
) -> Result<Response<Body>, ApiError> {
    cx.check_scope(verb)?;
    match cx.path.subresource.as_str() {
        "" => watch::answer(cx, permit),
        _ => {
            subresource::check_connection(&cx).await?;
            subresource::stream(cx, verb, permit, upgrade).await
        }
    }
}

impl Cx {
    pub fn store_key(&self) -> String {
        self.kind.key(self.path.namespace.as_deref().unwrap_or(""), self.path.name())
    }

    /// The addressed object, or 404.
    pub fn load(&self) -> Result<Object, ApiError> {
        self.load_if_present()?.ok_or_else(|| self.not_found())
    }

    pub fn load_if_present(&self) -> Result<Option<Object>, ApiError> {
        let found = self.server.store.get(&self.store_key()).as_ref().map(stored::decode).transpose()?;
        // Whoever changes an object sees it as the version of the request shows it.
        Ok(found.map(|object| match self.kind.reads_as_stored() {
            true => object,
            false => Object { revision: object.revision, value: self.kind.present(object.value) },
        }))
    }

    pub fn not_found(&self) -> ApiError {
        ApiError::not_found(self.kind.group(), self.kind.plural(), self.path.name())
    }

    pub fn shape(&self) -> Result<Shape, ApiError> {
        let accept = Accept::of(&self.headers, &self.query, self.kind.has_protobuf())?;
        Ok(Shape::new(accept, self.kind.clone(), &self.query, self.now))
    }

    /// An object in the form the client asked for, in the version it asked for.
    pub fn reply(&self, code: StatusCode, object: Value) -> Result<Response<Body>, ApiError> {
        Ok(wire::json(code, self.shape()?.one(self.kind.present(object))))
    }

    /// The object in a body that should be of the addressed kind.
    pub fn decode(&self, bytes: &[u8]) -> Result<Decoded, ApiError> {
        let (api_version, kind) = (self.kind.api_version(), self.kind.kind());
        if matches!(body::media_type(&self.headers), "application/json" | "") {
            // Only a body that cannot be read is read again, for a better answer.
            return body::decode_json(bytes)
                .ok()
                .filter(|decoded| decoded.value.is_object())
                .map_or_else(|| body::check_json(bytes, kind).map(|()| Decoded::default()), Ok);
        }
        body::decode_as(bytes, body::media_type(&self.headers), Some((&api_version, kind)))
    }

    /// Namespaced kinds are written inside a namespace, cluster-wide ones never.
    pub fn check_scope(&self, verb: &str) -> Result<(), ApiError> {
        let everywhere = matches!(verb, "list" | "watch");
        let fits = match &self.path.namespace {
            Some(_) => self.kind.is_namespaced(),
            None => !self.kind.is_namespaced() || (everywhere && self.path.name.is_none()),
        };
        let known = !self.path.subresource.is_empty() || self.kind.verbs().contains(&verb);
        match (fits, known) {
            (false, _) => Err(ApiError::no_such_path()),
            (_, false) => Err(ApiError::method_not_allowed()),
            _ => Ok(()),
        }
    }
}
