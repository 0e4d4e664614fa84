//! Questions about rights and identity that are answered on the spot and never stored.

use std::sync::Arc;

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_kinds::schema::Schema;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::rbac::decide;
use crate::auth::{Attributes, User, token};
use crate::meta;
use crate::patch::{Writer, track_create};
use crate::request::{Query, ResourcePath};
use crate::resource::options;
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
    /// Versions that are answered without being listed, for clients from when they were new.
    former: &'static [&'static str],
}

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

const fn review(group: &'static str, plural: &'static str, kind: &'static str, namespaced: bool) -> Review {
    Review { group, plural, kind, namespaced, former: &[] }
}

pub const REVIEWS: &[Review] = &[
    Review {
        former: &["v1beta1", "v1alpha1"],
        ..review(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", false)
    },
    review(AUTHENTICATION, "tokenreviews", "TokenReview", false),
    review(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    review(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    review(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    review(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", false),
];

fn find(path: &ResourcePath) -> Option<&'static Review> {
    let version = path.version.as_str();
    let fits = |review: &&Review| {
        review.group == path.group
            && review.plural == path.plural
            && review.namespaced == path.namespace.is_some()
            && (version == "v1" || review.former.contains(&version))
    };
    REVIEWS.iter().find(fits)
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
    let api_version = format!("{}/{}", review.group, path.version);
    // Kinds without a protobuf form in this version are told so, as any other.
    let expected = Some((api_version.as_str(), review.kind));
    let mut question = body::decode_as(&bytes, body::media_type(&parts.headers), expected)?.value;
    if !question.is_object() {
        return Err(ApiError::bad_request("the body must be an object"));
    }
    claim(server, &parts, review, &api_version, &mut question);
    if let Some(namespace) = &path.namespace {
        meta::set(&mut question, "namespace", Some(namespace.as_str().into()));
    }
    let mut spec = question["spec"].take();
    let status = match review.kind {
        "SelfSubjectReview" => json!({ "userInfo": user.to_value() }),
        "TokenReview" => token_review(server, &spec)?,
        "SelfSubjectRulesReview" => {
            let rules = rules(server, user, &spec)?;
            spec = json!({});
            rules
        }
        "SelfSubjectAccessReview" => {
            refuse(review.kind, check_access(&spec))?;
            access(server, user, &spec)
        }
        kind => {
            refuse(kind, check_access(&spec).into_iter().chain(check_subject(&spec)).collect())?;
            if let Some(namespace) = &path.namespace {
                refuse(kind, check_local(&spec, namespace).into_iter().collect())?;
            }
            access(server, &subject(&spec), &spec)
        }
    };
    if !spec.is_null() {
        question["spec"] = spec;
    } else if let Some(fields) = question.as_object_mut() {
        fields.remove("spec");
    }
    question["kind"] = review.kind.into();
    question["apiVersion"] = api_version.into();
    meta::set(&mut question, "creationTimestamp", self_subject_time(review, server));
    question["status"] = status;
    Ok(wire::json(StatusCode::CREATED, question))
}

/// Notes who asked, as for objects that are stored.
fn claim(server: &Server, parts: &Parts, review: &Review, api_version: &str, question: &mut Value) {
    let Some(root) = Schema::builtin().kind(review.group, "v1", review.kind) else { return };
    let blank = drydock_protobuf::blank(api_version, review.kind).unwrap_or_else(|| json!({}));
    let query = Query::of(&parts.uri);
    let manager = query.get("fieldManager").map_or_else(|| options::program(&parts.headers), str::to_owned);
    let writer = Writer { manager: &manager, subresource: "", excluded: &["status"] };
    question["apiVersion"] = api_version.into();
    meta::ensure(question);
    track_create(&blank, question, root, writer, server.now());
}

/// Of all reviews only the one about oneself says when it was made.
fn self_subject_time(review: &Review, server: &Server) -> Option<Value> {
    (review.kind == "SelfSubjectReview").then(|| meta::timestamp(server.now()).into())
}

fn refuse(kind: &str, errors: Vec<FieldError>) -> Result<(), ApiError> {
    match errors.is_empty() {
        true => Ok(()),
        false => {
            let group = REVIEWS.iter().find(|review| review.kind == kind).map_or("", |review| review.group);
            // Refused questions about access name no kind, only the group.
            let kind = if group == AUTHORIZATION { "" } else { kind };
            Err(ApiError::invalid_fields_of(group, kind, "", &errors))
        }
    }
}

fn token_review(server: &Server, spec: &Value) -> Result<Value, ApiError> {
    let Some(text) = spec["token"].as_str().filter(|text| !text.is_empty()) else {
        return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
    };
    let list = spec["audiences"].as_array().into_iter().flatten();
    let asked: Vec<String> = list.filter_map(|audience| audience.as_str().map(str::to_owned)).collect();
    let audiences = if asked.is_empty() { vec![token::ISSUER.to_owned()] } else { asked };
    Ok(match token::user_of(server, text, &audiences) {
        Ok(told) => json!({
            "authenticated": true, "user": told.user.to_value(), "audiences": told.audiences,
        }),
        Err(error) => json!({ "user": {}, "error": error.to_string() }),
    })
}

/// Everything `user` may do in a namespace.
fn rules(server: &Server, user: &User, spec: &Value) -> Result<Value, ApiError> {
    let namespace = spec["namespace"].as_str().unwrap_or("");
    if namespace.is_empty() {
        return Err(ApiError::bad_request("no namespace on request"));
    }
    let (mut resources, mut urls) = (Vec::new(), Vec::new());
    if user.is_master() {
        resources.push(json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }));
        urls.push(json!({ "verbs": ["*"], "nonResourceURLs": ["*"] }));
    }
    let policy = server.policy.current(&server.store);
    let errors = policy.visit(user, Some(namespace), |grant| {
        let list = if grant.rule.resources.is_empty() { &mut urls } else { &mut resources };
        list.push(grant.rule.to_value());
        false
    });
    let mut status = json!({ "incomplete": false, "resourceRules": resources, "nonResourceRules": urls });
    if let Some(errors) = errors.filter(|errors| !errors.is_empty()) {
        status["incomplete"] = true.into();
        status["evaluationError"] = errors.join(", ").into();
    }
    Ok(status)
}

fn check_access(spec: &Value) -> Vec<FieldError> {
    let path = |field: &str| Path::root("spec").child(field);
    match (spec["resourceAttributes"].is_object(), spec["nonResourceAttributes"].is_object()) {
        (true, true) => vec![FieldError::invalid(
            &path("nonResourceAttributes"),
            spec["nonResourceAttributes"].clone(),
            "cannot be specified in combination with resourceAttributes",
        )],
        (false, false) => vec![FieldError::invalid(
            &path("resourceAttributes"),
            Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => Vec::new(),
    }
}

fn check_subject(spec: &Value) -> Option<FieldError> {
    let nobody = spec["user"].as_str().unwrap_or("").is_empty()
        && spec["groups"].as_array().is_none_or(|groups| groups.is_empty());
    let detail = "at least one of user or group must be specified";
    nobody.then(|| FieldError::invalid(&Path::root("spec").child("user"), "", detail))
}

fn check_local(spec: &Value, namespace: &str) -> Option<FieldError> {
    let said = spec["resourceAttributes"]["namespace"].as_str().unwrap_or("");
    let path = Path::root("spec").child("resourceAttributes").child("namespace");
    (said != namespace).then(|| FieldError::invalid(&path, said, "must match metadata.namespace"))
}

/// The user asked about, exactly as described: nothing is implied.
fn subject(spec: &Value) -> User {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let extra = spec["extra"].as_object().into_iter().flatten();
    User {
        name: spec["user"].as_str().unwrap_or("").to_owned(),
        uid: spec["uid"].as_str().unwrap_or("").to_owned(),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
        internal: false,
    }
}

fn access(server: &Server, user: &User, spec: &Value) -> Value {
    let text = |part: &'static str, field: &str| spec[part][field].as_str().unwrap_or("");
    let resource = |field: &str| text("resourceAttributes", field);
    let wanted = match spec["nonResourceAttributes"].is_object() {
        true => {
            Attributes::of_path(text("nonResourceAttributes", "path"), text("nonResourceAttributes", "verb"))
        }
        false => Attributes {
            verb: resource("verb"),
            group: resource("group"),
            plural: resource("resource"),
            subresource: resource("subresource"),
            namespace: Some(resource("namespace")).filter(|namespace| !namespace.is_empty()),
            name: resource("name"),
            path: None,
        },
    };
    let decision = decide(server, user, &wanted);
    let mut status = json!({ "allowed": decision.allowed });
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    status
}
