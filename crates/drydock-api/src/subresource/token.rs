//! `serviceaccounts/NAME/token`: a new token for an account.

use axum::body::Body;
use http::{Response, StatusCode};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::auth::token::{self, Binding};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;
use crate::wire::{self, body};

pub(super) async fn create(cx: &Cx, body: Body) -> Result<Response<Body>, ApiError> {
    let account = cx.load()?.value;
    let bytes = body::read(body, cx.server.config.max_body_bytes).await?;
    let request = body::decode(&bytes, body::media_type(&cx.headers))?.value;
    let spec = &request["spec"];
    let expiration_s = match spec["expirationSeconds"].as_i64() {
        None | Some(0) => token::DEFAULT_EXPIRATION_S,
        Some(seconds) if seconds < token::MIN_EXPIRATION_S => {
            let why = format!(
                "spec.expirationSeconds: Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            );
            return Err(ApiError::unprocessable(why));
        }
        Some(seconds) => seconds.min(token::MAX_EXPIRATION_S),
    };
    let audiences: Vec<String> = spec["audiences"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .filter(|list: &Vec<String>| !list.is_empty())
        .unwrap_or_else(|| vec![token::ISSUER.to_owned()]);
    let pod = bound_pod(cx, &account, &spec["boundObjectRef"])?;
    let pod = pod.as_ref().map(|pod| (meta::name(pod), meta::uid(pod)));
    let binding = Binding { account: &account, pod, audiences: audiences.clone(), expiration_s };
    let signed = cx.server.pki.signer().sign(&token::claims(&binding, cx.now))?;
    let expires = cx.now.saturating_add(SignedDuration::from_secs(expiration_s)).unwrap_or(cx.now);
    let mut spec = json!({ "audiences": audiences, "expirationSeconds": expiration_s });
    if !request["spec"]["boundObjectRef"].is_null() {
        spec["boundObjectRef"] = request["spec"]["boundObjectRef"].clone();
    }
    let answer = json!({
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": meta::name(&account), "namespace": meta::namespace(&account),
            "creationTimestamp": meta::timestamp(cx.now),
        },
        "spec": spec,
        "status": { "token": signed, "expirationTimestamp": meta::timestamp(expires) },
    });
    Ok(wire::json(StatusCode::CREATED, &answer))
}

/// The pod a token is to be bound to; it must run as the account.
fn bound_pod(cx: &Cx, account: &Value, reference: &Value) -> Result<Option<Value>, ApiError> {
    match reference["kind"].as_str() {
        None => return Ok(None),
        Some("Pod") => {}
        Some(other) => return Err(ApiError::not_implemented(&format!("tokens bound to a {other}"))),
    }
    let name = reference["name"].as_str().unwrap_or("");
    let key = format!("core/pods/{}/{name}", meta::namespace(account));
    let entry = cx.server.store.get(&key).ok_or_else(|| ApiError::not_found("", "pods", name))?;
    let pod = stored::decode(&entry)?.value;
    if reference["uid"].as_str().is_some_and(|uid| !uid.is_empty() && uid != meta::uid(&pod)) {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record",
            reference["uid"]
        );
        return Err(ApiError::conflict(&cx.kind, cx.path.name(), &why));
    }
    if pod["spec"]["serviceAccountName"].as_str() != Some(meta::name(account)) {
        let why = format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name",
            meta::name(account)
        );
        return Err(ApiError::bad_request(why));
    }
    Ok(Some(pod))
}
