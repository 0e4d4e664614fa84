//! Questions about rights and identity that are answered on the spot and never stored.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::rbac::is_allowed;
use crate::auth::{Attributes, User, token};
use crate::request::ResourcePath;
use crate::server::Server;
use crate::status::ApiError;
use crate::wire::{self, body};

/// A kind of question, as discovery lists it.
#[derive(Debug, Clone, Copy)]
pub struct Review {
    pub group: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
}

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

const fn review(group: &'static str, plural: &'static str, kind: &'static str, namespaced: bool) -> Review {
    Review { group, plural, kind, namespaced }
}

pub const REVIEWS: &[Review] = &[
    review(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", false),
    review(AUTHENTICATION, "tokenreviews", "TokenReview", false),
    review(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    review(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    review(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    review(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", false),
];

fn find(path: &ResourcePath) -> Option<&'static Review> {
    let fits = |review: &&Review| review.group == path.group && review.plural == path.plural;
    REVIEWS.iter().find(fits).filter(|_| path.version == "v1")
}

pub(crate) fn is_review(path: &ResourcePath) -> bool {
    find(path).is_some()
}

pub(crate) async fn answer(
    server: &Arc<Server>,
    user: &User,
    path: &ResourcePath,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let review = find(path).ok_or_else(ApiError::no_such_path)?;
    if request.method() != Method::POST || path.name.is_some() {
        return Err(ApiError::method_not_allowed());
    }
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, server.config.max_body_bytes).await?;
    let mut question = body::decode(&bytes, body::media_type(&parts.headers))?.value;
    if !question.is_object() {
        return Err(ApiError::bad_request("the body must be an object"));
    }
    let status = match review.kind {
        "SelfSubjectReview" => json!({ "userInfo": describe(user) }),
        "TokenReview" => token_review(server, &question),
        "SelfSubjectRulesReview" => rules(user),
        "SelfSubjectAccessReview" => access(server, user, &question["spec"]),
        _ => access(server, &subject(&question["spec"]), &question["spec"]),
    };
    question["kind"] = review.kind.into();
    question["apiVersion"] = format!("{}/v1", review.group).into();
    question["status"] = status;
    Ok(wire::json(StatusCode::CREATED, &question))
}

fn describe(user: &User) -> Value {
    let mut info = json!({ "username": user.name, "groups": user.groups });
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    info
}

fn token_review(server: &Server, question: &Value) -> Value {
    match question["spec"]["token"].as_str().and_then(|text| token::user_of(server, text)) {
        Some(user) => json!({ "authenticated": true, "user": describe(&user), "audiences": [token::ISSUER] }),
        None => json!({ "authenticated": false, "error": "invalid bearer token" }),
    }
}

/// Exact for masters; for others the list is said to be incomplete.
fn rules(user: &User) -> Value {
    match user.is_master() {
        true => json!({
            "incomplete": false,
            "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        }),
        false => json!({
            "incomplete": true, "resourceRules": [], "nonResourceRules": [],
            "evaluationError": "drydock lists rules for system:masters only; ask with `kubectl auth can-i VERB RESOURCE`",
        }),
    }
}

fn subject(spec: &Value) -> User {
    let groups = spec["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    User::new(spec["user"].as_str().unwrap_or(""), groups)
}

fn access(server: &Server, user: &User, spec: &Value) -> Value {
    let text = |part: &str, field: &str| spec[part][field].as_str().unwrap_or("").to_owned();
    let resource = |field: &str| text("resourceAttributes", field);
    let (verb, group, plural) = (resource("verb"), resource("group"), resource("resource"));
    let (subresource, namespace, name) = (resource("subresource"), resource("namespace"), resource("name"));
    let (path, path_verb) = (text("nonResourceAttributes", "path"), text("nonResourceAttributes", "verb"));
    let wanted = match spec["nonResourceAttributes"].is_object() {
        true => Attributes::of_path(&path, &path_verb),
        false => Attributes {
            verb: &verb,
            group: &group,
            plural: &plural,
            subresource: &subresource,
            namespace: (!namespace.is_empty()).then_some(namespace.as_str()),
            name: &name,
            path: None,
        },
    };
    let allowed = is_allowed(server, user, &wanted);
    json!({ "allowed": allowed, "reason": if allowed { "RBAC: allowed" } else { "" } })
}
