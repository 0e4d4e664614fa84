//! From what a client sent to what is stored: the steps every write shares.
//!
//! Order: fields against the schema, what the server owns in `metadata`, defaults, field ownership, admission,
//! preparation, generation, validation. Pure except for reads of the store; [`commit`] is the only code here that writes.

use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_store::{Expect, Txn, WriteError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::auth::legacy;
use crate::auth::rbac::escalation;
use crate::certificates;
use crate::patch::{Writer, forget_time, track_create, track_update};
use crate::resource::options::{WriteOptions, unregistered};
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored::{self, Object};
use crate::webhook::matching::{Asked, Operation};
use crate::wire::body::Decoded;
use crate::wire::fields::undecodable;
use crate::{custom, meta, policy, service_ip, webhook};

/// Kinds whose first write may carry a status, because the node that writes it has one from the start.
const KEEPS_STATUS: &[&str] = &["nodes"];

/// How ownership of fields is recorded for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Derived from what changed.
    Track,
    /// Already in the object, as server-side apply computes it.
    Given,
}

/// Brings a decoded body into the shape of its kind.
pub(crate) fn conform(cx: &Cx, decoded: Decoded, options: &WriteOptions) -> Result<Value, ApiError> {
    let mut object = decoded.value;
    check_identity(cx, &mut object)?;
    let unknown = cx.kind.conform(&mut object);
    let mut findings = unknown.map_err(|why| undecodable(&cx.kind, &why.to_string()))?;
    findings.extend(decoded.duplicates);
    cx.warnings.extend(options.validation.judge(findings, &cx.kind)?);
    cx.warnings.extend(dedup_owners(&mut object, "; please fix your requests", ""));
    Ok(object)
}

/// The body must be of the kind, name and namespace that the path says; what it may leave out is filled in.
fn check_identity(cx: &Cx, object: &mut Value) -> Result<(), ApiError> {
    check_kind(cx, object)?;
    if object.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        // The decoder words this better than we could.
        return cx.kind.conform(object).map(drop).map_err(|why| undecodable(&cx.kind, &why.to_string()));
    }
    check_place(cx, object)?;
    if cx.path.name.is_some() { check_name(cx, object) } else { Ok(()) }
}

fn check_kind(cx: &Cx, object: &mut Value) -> Result<(), ApiError> {
    let (api_version, kind) = (cx.kind.api_version(), cx.kind.kind());
    let Some(fields) = object.as_object_mut() else {
        return Err(ApiError::bad_request("the body must be an object"));
    };
    for (field, wanted) in [("apiVersion", api_version.as_str()), ("kind", kind)] {
        if fields.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            fields.insert(field.to_owned(), wanted.into());
        }
    }
    let found = |field: &str| fields.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, name) = (found("apiVersion"), found("kind"));
    if version == api_version && name == kind {
        return Ok(());
    }
    Err(ApiError::bad_request(match cx.kind.merges_strategically() {
        true => wrong_kind(cx, &version, &name),
        false if version != api_version => format!(
            "the API version in the data ({version}) does not match the expected API version ({api_version})"
        ),
        false => format!("the kind in the data ({name}) does not match the expected kind ({kind})"),
    }))
}

/// As Go's decoder says it: a kind that it knows cannot be converted, any other is not registered.
fn wrong_kind(cx: &Cx, version: &str, kind: &str) -> String {
    let expected = cx.kind.kind();
    let (group, short) = version.split_once('/').unwrap_or(("", version));
    let is_known = drydock_kinds::catalog()
        .iter()
        .any(|spec| (spec.group, spec.version, spec.kind) == (group, short, kind));
    let why = match is_known {
        true => {
            let package = cx.kind.group().split('.').next().filter(|name| !name.is_empty()).unwrap_or("core");
            format!("converting ({short}.{kind}) to ({package}.{expected}): unknown conversion")
        }
        false => unregistered(kind, version),
    };
    format!("{kind} in version {short:?} cannot be handled as a {expected}: {why}")
}

/// The namespace of an object is that of the path; what leaves it out gets it.
pub(crate) fn check_place(cx: &Cx, object: &mut Value) -> Result<(), ApiError> {
    let namespace = cx.path.namespace.as_deref().unwrap_or("");
    match meta::namespace(object) {
        "" => meta::set(object, "namespace", cx.path.namespace.clone().map(Value::from)),
        found if found == namespace => {}
        found if !cx.kind.is_namespaced() => {
            let why = format!("namespace {found:?} is not allowed on this type");
            return Err(ApiError::bad_request(why));
        }
        _ => {
            let why = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(why));
        }
    }
    Ok(())
}

/// The name of an object is that of the path.
pub(crate) fn check_name(cx: &Cx, object: &Value) -> Result<(), ApiError> {
    let wanted = cx.path.name();
    match meta::name(object) {
        found if found == wanted => Ok(()),
        "" => Err(ApiError::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ))),
        found => Err(ApiError::bad_request(format!(
            "the name of the object ({found}) does not match the name on the URL ({wanted})"
        ))),
    }
}

/// An owner that is named twice is named once; returns the warning about it.
pub(crate) fn dedup_owners(object: &mut Value, advice: &str, when: &str) -> Option<String> {
    let owners = object.pointer_mut("/metadata/ownerReferences")?.as_array_mut()?;
    let (mut kept, mut twice): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for owner in std::mem::take(owners) {
        match kept.contains(&owner) {
            true => twice.push(owner["uid"].as_str().unwrap_or_default().to_owned()),
            false => kept.push(owner),
        }
    }
    *owners = kept;
    let uids = twice.join(", ");
    (!twice.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in \
             1.20+, and may reject such requests as early as 1.24{advice}; duplicate UID(s) observed: {uids}"
        )
    })
}

/// The object to store, from what the client wants and what is there.
pub(crate) async fn admit(
    cx: &Cx,
    mut new: Value,
    old: Option<&Value>,
    ownership: Ownership,
    options: &WriteOptions,
) -> Result<Value, ApiError> {
    let mut refused = Vec::new();
    match old {
        None => own_new_metadata(&mut new, cx.now, cx.kind.has_generation()),
        Some(old) => {
            refused.extend(check_life(&new, old).filter(|_| cx.path.subresource.is_empty()));
            own_kept_metadata(&mut new, old);
            keep_other_doors(cx, &mut new, old);
        }
    }
    let to_main = cx.path.subresource != "status" && !certificates::is_approval(cx);
    if old.is_none() && cx.kind.has_status() && !KEEPS_STATUS.contains(&cx.kind.plural()) {
        meta::carry_over_field(&mut new, None, "status");
    }
    cx.kind.apply_defaults(&mut new);
    cx.kind.complete(&mut new);
    escalation::check(cx, &new, old)?;
    certificates::act(cx, &mut new, old)?;
    if ownership == Ownership::Track {
        track(cx, &mut new, old, options);
    }
    // What the cluster adds from here on belongs to no manager: nobody gives it up by not repeating it.
    if to_main {
        crate::admission::mutate(cx, &mut new, old)?;
        legacy::fill(cx, &mut new)?;
    }
    new = webhook::mutate(cx, new, old, options.dry_run).await?;
    cx.kind.prepare(&mut new, old);
    if old.is_none() {
        // What a new object starts with has its empty fields too.
        cx.kind.complete(&mut new);
    }
    if to_main && custom::is_definition(&cx.kind) {
        custom::settle(&cx.server, &mut new);
    }
    // A pod that gets its node is still the pod that somebody described.
    if (to_main || old.is_none())
        && cx.path.subresource != "binding"
        && let Some(generation) = cx.kind.next_generation(&new, old)
    {
        meta::set(&mut new, "generation", Some(generation.into()));
    }
    refused.extend(cx.kind.validate(&cx.path.subresource, &new, old));
    let mut errors = refused;
    if errors.is_empty() && to_main && cx.kind.is("", "services") {
        errors = service_ip::assign(&cx.server, &mut new, old);
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(&cx.kind, meta::name(&new), &errors));
    }
    crate::admission::validate(cx, &new, old)?;
    policy::validate(
        cx,
        &Asked { operation: Operation::of(old), new: Some(&new), old, dry_run: options.dry_run },
    )?;
    webhook::validate(cx, &new, old, options.dry_run).await?;
    if to_main {
        cx.kind.warnings(&new).into_iter().for_each(|warning| cx.warnings.add(warning));
    }
    Ok(new)
}

fn track(cx: &Cx, new: &mut Value, old: Option<&Value>, options: &WriteOptions) {
    let Some(root) = cx.kind.root() else { return };
    match old {
        Some(_) if cx.path.subresource == "scale" => {
            track_update(old, new, root, writer(cx, options), cx.now);
            forget_time(new, writer(cx, options));
        }
        Some(_) => track_update(old, new, root, writer(cx, options), cx.now),
        None => track_create(&cx.kind.blank(), new, root, writer(cx, options), cx.now),
    }
}

pub(crate) fn writer<'a>(cx: &'a Cx, options: &'a WriteOptions) -> Writer<'a> {
    let subresource = cx.path.subresource.as_str();
    Writer { manager: &options.manager, subresource, excluded: cx.kind.excluded_fields(subresource) }
}

/// What a client may not do to the end of an object's life: announce it, or put it off once it has begun.
fn check_life(new: &Value, old: &Value) -> impl Iterator<Item = FieldError> {
    let path = Path::root("metadata");
    let announced = (!meta::is_deleting(old) && meta::is_deleting(new)).then(|| {
        let when = meta::text(new, "deletionTimestamp");
        FieldError::invalid(&path.child("deletionTimestamp"), when, "field is immutable")
    });
    let known = meta::finalizers(old);
    let mut added: Vec<&str> = meta::finalizers(new)
        .into_iter()
        .filter(|name| meta::is_deleting(old) && !known.contains(name))
        .collect();
    added.sort_unstable();
    let put_off = (!added.is_empty()).then(|| {
        let list: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
        let why = "no new finalizers can be added if the object is being deleted, found new finalizers";
        FieldError::forbidden(&path.child("finalizers"), format!("{why} []string{{{}}}", list.join(", ")))
    });
    announced.into_iter().chain(put_off)
}

fn own_new_metadata(object: &mut Value, now: Timestamp, has_generation: bool) {
    let uid = uuid::Uuid::new_v4().to_string();
    meta::set(object, "uid", Some(uid.into()));
    meta::set(object, "creationTimestamp", Some(meta::timestamp(now).into()));
    if has_generation {
        meta::set(object, "generation", None);
    }
    for field in ["resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        meta::set(object, field, None);
    }
}

fn own_kept_metadata(new: &mut Value, old: &Value) {
    let kept = [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
    ];
    for field in kept {
        meta::carry_over(new, old, field);
    }
    meta::set(new, "selfLink", None);
}

/// A write through one door leaves alone what belongs to another.
fn keep_other_doors(cx: &Cx, new: &mut Value, old: &Value) {
    if cx.path.subresource == "status" {
        let (status, metadata) = (new.get("status").cloned(), new["metadata"].clone());
        *new = old.clone();
        meta::carry_over_field(new, Some(&json!({ "status": status })), "status");
        if new["status"].is_null() {
            meta::carry_over_field(new, None, "status");
        }
        keep_metadata(cx, new, metadata);
    } else if certificates::is_approval(cx) {
        let conditions = new.pointer("/status/conditions").cloned();
        let owners = new["metadata"].get("managedFields").cloned();
        *new = old.clone();
        if let Some(conditions) = conditions {
            new["status"]["conditions"] = conditions;
        }
        meta::set(new, "managedFields", owners);
    } else if cx.kind.has_status() && cx.path.subresource != "binding" {
        // Binding alone changes both: the node, and the condition that says so.
        meta::carry_over_field(new, Some(old), "status");
    }
}

/// Of a status write, built-in kinds take the metadata too: a Deployment's revision comes that way, its labels do not.
/// Custom kinds take who owns the fields, and nothing else.
fn keep_metadata(cx: &Cx, new: &mut Value, written: Value) {
    if cx.kind.custom().is_some() {
        meta::set(new, "managedFields", written.get("managedFields").cloned());
        return;
    }
    let labels = new["metadata"].get("labels").cloned();
    new["metadata"] = written;
    if cx.kind.is("apps", "deployments") {
        meta::set(new, "labels", labels);
    }
}

/// What a commit did.
pub(crate) enum Committed {
    Stored(Object),
    /// Deleted: the write removed what kept a deleted object alive.
    Vanished(Object),
    /// Somebody else changed the object in between.
    Raced,
}

/// Stores an update of `old`, or finishes its deletion when nothing keeps it any longer.
pub(crate) async fn commit(cx: &Cx, old: &Object, new: Value, dry_run: bool) -> Result<Committed, ApiError> {
    if meta::same(old, &new) {
        return Ok(Committed::Stored(old.clone()));
    }
    let vanishes = meta::may_vanish(&new);
    if dry_run {
        let object = Object { revision: old.revision, value: new };
        return Ok(if vanishes { Committed::Vanished(object) } else { Committed::Stored(object) });
    }
    let key = cx.kind.key(meta::namespace(&new), meta::name(&new));
    let expect = Expect::At(old.revision);
    let txn = match vanishes {
        true => Txn::new().delete(key, expect),
        false => Txn::new().put(key, encode(cx, &new)?, expect),
    };
    match write(cx, txn, &new, vanishes).await {
        Ok(revision) => {
            let mut value = new;
            stored::with_revision(&mut value, revision);
            let object = Object { revision, value };
            Ok(if vanishes { Committed::Vanished(object) } else { Committed::Stored(object) })
        }
        Err(WriteError::Conflict { .. }) => Ok(Committed::Raced),
        Err(error) => Err(storage_error(error)),
    }
}

/// The bytes of an object as its kind is stored.
pub(crate) fn encode(cx: &Cx, object: &Value) -> Result<bytes::Bytes, ApiError> {
    if cx.kind.reads_as_stored() {
        return stored::encode(object);
    }
    let mut object = object.clone();
    cx.kind.to_storage(&mut object);
    stored::encode(&object)
}

/// Writes an object. A definition of a custom kind is announced first, so that nobody sees it before it is served.
pub(crate) async fn write(cx: &Cx, txn: Txn, object: &Value, vanishes: bool) -> Result<u64, WriteError> {
    match custom::is_definition(&cx.kind) {
        true => custom::write(&cx.server, txn, object, vanishes).await,
        false => cx.server.store.write(txn).await,
    }
}

/// The store's refusals that are nobody's fault but the machine's.
pub(crate) fn storage_error(error: WriteError) -> ApiError {
    match error {
        WriteError::Closed => ApiError::unavailable("the API is shutting down"),
        error => {
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            ApiError::internal(format!("{error}: {why}"))
        }
    }
}
