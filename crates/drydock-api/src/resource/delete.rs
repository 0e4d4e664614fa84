//! `DELETE`: at once, or in steps when finalizers, a grace period or the objects it owns ask for time.

use axum::body::Body;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::resource::admit::{self, Committed};
use crate::resource::options::{DeleteOptions, Propagation};
use crate::resource::{MAX_RETRIES, read};
use crate::server::Cx;
use crate::status::{self, ApiError};
use crate::stored::Object;
use crate::webhook::matching::{Asked, Operation};
use crate::wire::{self, body};
use crate::{custom, meta, policy, webhook};

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";
const DEFAULT_POD_GRACE_S: i64 = 30;

pub(crate) async fn delete(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = read_options(cx, body).await?;
    match delete_object(cx, &options).await? {
        Deleted::Gone(object) if shows_what_it_deleted(cx) => cx.reply(StatusCode::OK, object),
        Deleted::Gone(object) => {
            let answer = status::deleted(&cx.kind, meta::name(&object), meta::uid(&object));
            Ok(wire::json(StatusCode::OK, answer))
        }
        Deleted::Going(object) => cx.reply(StatusCode::OK, object),
    }
}

/// Some kinds answer a deletion with the object as it was last, the others with a Status.
fn shows_what_it_deleted(cx: &Cx) -> bool {
    const CORE: &[&str] = &[
        "namespaces",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ];
    match cx.kind.group() {
        "" => CORE.contains(&cx.kind.plural()),
        group => matches!(group, "storage.k8s.io" | "resource.k8s.io"),
    }
}

pub(crate) async fn delete_collection(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let options = read_options(cx, body).await?;
    let selected = read::matching(cx)?;
    for item in &selected {
        let mut one = cx.clone();
        one.path.name = item.key.rsplit('/').next().map(str::to_owned);
        match delete_object(&one, &options).await {
            Ok(_) => {}
            // Somebody else was faster, which is just as well.
            Err(error) if error.reason == "NotFound" => {}
            Err(error) => return Err(error),
        }
    }
    // The answer shows the objects as they were when they were selected.
    let metadata = json!({ "resourceVersion": cx.server.store.revision().to_string() });
    read::shown(cx, &cx.shape()?, metadata, selected)
}

pub(crate) async fn read_options(cx: &Cx, body: Body) -> Result<DeleteOptions, ApiError> {
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let value = match bytes.trim_ascii().is_empty() {
        true => Value::Null,
        false => {
            let expected = Some(("v1", "DeleteOptions"));
            body::decode_as(&bytes, body::media_type(&cx.headers), expected)?.value
        }
    };
    DeleteOptions::of(cx, &value)
}

/// What a deletion led to.
pub(crate) enum Deleted {
    Gone(Value),
    Going(Value),
}

pub(crate) async fn delete_object(cx: &Cx, options: &DeleteOptions) -> Result<Deleted, ApiError> {
    let _turn = cx.server.custom.hold(&cx.kind).await;
    crate::admission::check_deletion(cx)?;
    for _ in 0..MAX_RETRIES {
        let live = cx.load()?;
        check_preconditions(cx, options, &live)?;
        let (old, dry_run) = (Some(&live.value), options.dry_run);
        policy::validate(cx, &Asked { operation: Operation::Delete, new: None, old, dry_run })?;
        webhook::deleted(cx, &live.value, dry_run).await?;
        let marked = mark(cx, &live.value, options);
        match admit::commit(cx, &live, marked, options.dry_run).await? {
            Committed::Vanished(object) => return Ok(Deleted::Gone(object.value)),
            Committed::Stored(object) => return Ok(Deleted::Going(object.value)),
            Committed::Raced => {}
        }
    }
    Err(ApiError::modified(&cx.kind, cx.path.name()))
}

fn check_preconditions(cx: &Cx, options: &DeleteOptions, live: &Object) -> Result<(), ApiError> {
    let fail = |what: &str, wanted: &str, found: &str, then: &str| {
        let why = format!(
            "the {what} in the precondition ({wanted}) does not match the {what} in record ({found}). The object \
             might have been {then}"
        );
        Err(ApiError::unmet_precondition(&cx.kind, cx.path.name(), &why))
    };
    let (uid, revision) = (meta::uid(&live.value), live.revision.to_string());
    match (&options.uid, &options.resource_version) {
        (Some(wanted), _) if wanted != uid => fail("UID", wanted, uid, "deleted and then recreated"),
        (_, Some(wanted)) if *wanted != revision => fail("ResourceVersion", wanted, &revision, "modified"),
        _ => Ok(()),
    }
}

/// The object as its deletion leaves it: stamped, with the finalizers its policy asks for.
fn mark(cx: &Cx, live: &Value, options: &DeleteOptions) -> Value {
    let mut object = live.clone();
    let grace = grace_period(cx, live, options);
    if !meta::is_deleting(live) {
        stamp(&mut object, grace, cx.now);
        if cx.kind.has_generation() {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0);
            meta::set(&mut object, "generation", Some((generation + 1).into()));
        }
        if cx.kind.is("", "namespaces") {
            object["status"]["phase"] = "Terminating".into();
        }
        if custom::is_definition(&cx.kind) {
            custom::mark_deleted(&mut object);
        }
    } else if grace < meta_grace(live) {
        stamp(&mut object, grace, cx.now);
    }
    set_policy(&mut object, options.propagation);
    object
}

fn stamp(object: &mut Value, grace: i64, now: Timestamp) {
    let when = now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    meta::set(object, "deletionTimestamp", Some(meta::timestamp(when).into()));
    meta::set(object, "deletionGracePeriodSeconds", Some(grace.into()));
}

fn meta_grace(object: &Value) -> i64 {
    object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0)
}

/// Only pods have one, and only while there is a process that can use it.
fn grace_period(cx: &Cx, pod: &Value, options: &DeleteOptions) -> i64 {
    if !cx.kind.is("", "pods") {
        return 0;
    }
    let unscheduled = pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    let over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if unscheduled || over {
        return 0;
    }
    let own = pod["spec"]["terminationGracePeriodSeconds"].as_i64();
    options.grace_period_s.or(own).unwrap_or(DEFAULT_POD_GRACE_S).max(0)
}

fn set_policy(object: &mut Value, propagation: Option<Propagation>) {
    let wanted = match propagation {
        // Without a wish, finalizers that an earlier deletion set keep their meaning.
        None => return,
        Some(Propagation::Background) => None,
        Some(Propagation::Foreground) => Some(FOREGROUND),
        Some(Propagation::Orphan) => Some(ORPHAN),
    };
    let kept = meta::finalizers(object).into_iter().filter(|name| *name != FOREGROUND && *name != ORPHAN);
    let finalizers: Vec<Value> = kept.chain(wanted).map(Value::from).collect();
    let value = (!finalizers.is_empty()).then_some(Value::Array(finalizers));
    meta::set(object, "finalizers", value);
}
