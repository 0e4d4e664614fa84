//! `serviceaccounts/NAME/token`: a new token for an account.

use axum::body::Body;
use drydock_kinds::FieldError;
use drydock_kinds::field::Path;
use drydock_kinds::schema::Schema;
use http::{Response, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::auth::token::{self, Binding, Bound};
use crate::meta;
use crate::patch::{Writer, track_create};
use crate::resource::options;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;
use crate::wire::{self, body};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";

pub(super) async fn create(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let expected = Some(("authentication.k8s.io/v1", KIND));
    let request = body::decode_as(&bytes, body::media_type(&cx.headers), expected)?.value;
    let account = cx.load()?.value;
    check_identity(cx, &request, &account)?;
    let spec = &request["spec"];
    let expiration_s = spec["expirationSeconds"].as_i64().unwrap_or(token::DEFAULT_EXPIRATION_S);
    check_expiration(expiration_s)?;
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .filter(|list: &Vec<String>| !list.is_empty())
        .unwrap_or_else(|| vec![token::ISSUER.to_owned()]);
    let reference = &spec["boundObjectRef"];
    let bound = match reference.is_object() {
        true => Some(bound(cx, &account, reference)?),
        false => None,
    };
    let binding = Binding { account: &account, bound, audiences: audiences.clone(), expiration_s };
    let signed = cx.server.pki.signer().sign(&token::claims(&binding, cx.now))?;
    let expires = cx.now.saturating_add(SignedDuration::from_secs(expiration_s)).unwrap_or(cx.now);
    let mut spec =
        json!({ "audiences": audiences, "expirationSeconds": expiration_s, "boundObjectRef": null });
    if reference.is_object() {
        spec["boundObjectRef"] = reference.clone();
    }
    let mut answer = json!({
        "kind": KIND, "apiVersion": format!("{GROUP}/v1"),
        "metadata": {
            "name": meta::name(&account), "namespace": meta::namespace(&account), "uid": meta::uid(&account),
            "creationTimestamp": meta::timestamp(cx.now),
        },
        "spec": spec,
        "status": { "token": signed, "expirationTimestamp": meta::timestamp(expires) },
    });
    meta::carry_over(&mut answer, &claimed(cx, &request, expiration_s), "managedFields");
    Ok(wire::json(StatusCode::CREATED, answer))
}

/// The request with a note of who sent it, as for objects that are stored.
fn claimed(cx: &Cx, request: &Value, expiration_s: i64) -> Value {
    let mut request = request.clone();
    request["spec"]["expirationSeconds"] = expiration_s.into();
    request["apiVersion"] = format!("{GROUP}/v1").into();
    meta::ensure(&mut request);
    let manager = cx.query.get("fieldManager").map_or_else(|| options::program(&cx.headers), str::to_owned);
    let writer = Writer { manager: &manager, subresource: "token", excluded: &["status"] };
    let blank = drydock_protobuf::blank(&format!("{GROUP}/v1"), KIND).unwrap_or_else(|| json!({}));
    if let Some(root) = Schema::builtin().kind(GROUP, "v1", KIND) {
        track_create(&blank, &mut request, root, writer, cx.now);
    }
    request
}

/// What the request says of the account must be true.
fn check_identity(cx: &Cx, request: &Value, account: &Value) -> Result<(), ApiError> {
    for (field, what) in [("name", "name"), ("namespace", "namespace")] {
        let said = meta::text(request, field);
        if !said.is_empty() && said != meta::text(account, field) {
            let path = Path::root("metadata").child(field);
            let detail = format!("must match the service account {what} if specified");
            let error = FieldError::invalid(&path, said, detail);
            return Err(ApiError::invalid_fields_of(GROUP, KIND, cx.path.name(), &[error]));
        }
    }
    let (said, uid) = (meta::uid(request), meta::uid(account));
    if !said.is_empty() && said != uid {
        let why = format!(
            "the UID in the token request ({said}) does not match the UID of the service account ({uid})"
        );
        return Err(ApiError::conflict_of(GROUP, KIND, cx.path.name(), &why));
    }
    Ok(())
}

fn check_expiration(seconds: i64) -> Result<(), ApiError> {
    let detail = match seconds {
        ..token::MIN_EXPIRATION_S => "may not specify a duration less than 10 minutes",
        token::MIN_EXPIRATION_S..=token::MAX_EXPIRATION_S => return Ok(()),
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let path = Path::root("spec").child("expirationSeconds");
    Err(ApiError::invalid_fields_of(GROUP, KIND, "", &[FieldError::invalid(&path, seconds, detail)]))
}

/// The object a token is to be bound to. A pod must run as the account.
fn bound(cx: &Cx, account: &Value, reference: &Value) -> Result<Bound, ApiError> {
    let text = |field: &str| reference[field].as_str().unwrap_or("");
    let (name, home) = (text("name"), meta::namespace(account));
    let (what, plural, home) = match (text("apiVersion"), text("kind")) {
        ("v1" | "", "Pod") => ("pod", "pods", home),
        ("v1" | "", "Secret") => ("secret", "secrets", home),
        ("v1" | "", "Node") => ("node", "nodes", ""),
        (version, kind) => {
            let why = format!("cannot bind token to object of type {version}, Kind={kind}");
            return Err(ApiError::bad_request(why));
        }
    };
    let object = find(cx, plural, home, name)?.ok_or_else(|| ApiError::not_found("", plural, name))?;
    let mut node = None;
    if what == "pod" {
        if object["spec"]["serviceAccountName"].as_str() != Some(meta::name(account)) {
            let why = format!(
                "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                meta::name(account)
            );
            return Err(ApiError::bad_request(why));
        }
        if let Some(name) = object["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
            let uid = find(cx, "nodes", "", name)?.map(|node| meta::uid(&node).to_owned());
            node = Some((name.to_owned(), uid.unwrap_or_default()));
        }
    }
    let (said, uid) = (text("uid"), meta::uid(&object));
    if !said.is_empty() && said != uid {
        let why = format!(
            "the UID in the bound object reference ({said}) does not match the UID in record. \
             The object might have been deleted and then recreated"
        );
        return Err(ApiError::conflict_of("", text("kind"), name, &why));
    }
    Ok(Bound { what, name: name.to_owned(), uid: uid.to_owned(), node })
}

fn find(cx: &Cx, plural: &str, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
    let entry = cx.server.store.get(&format!("core/{plural}/{namespace}/{name}"));
    Ok(entry.as_ref().map(stored::decode).transpose()?.map(|object| object.value))
}
