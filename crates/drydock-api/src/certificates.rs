//! Certificate signing requests: who asked, who may approve, and the certificate.
//!
//! The API fills in who asks when a request is made. Whoever may `approve` for its signer says yes or no through the
//! `approval` subresource; a yes to one of the cluster's own signers is signed with the CA in the same write, so that
//! whoever waits for the certificate waits for one event. Requests to other signers are left to them.
//!
//! Start at [`act`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::auth::rbac::{Attributes, is_allowed};
use crate::meta;
use crate::pki::request::Request;
use crate::server::Cx;
use crate::status::ApiError;

pub const GROUP: &str = "certificates.k8s.io";
pub const PLURAL: &str = "certificatesigningrequests";
/// The subresource through which a request is approved or denied.
pub const APPROVAL: &str = "approval";

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
const LEGACY: &str = "kubernetes.io/legacy-unknown";
/// Certificates live this long unless the request asks for less.
const LIFE_S: i64 = 365 * 24 * 3600;
const SHORTEST_S: i64 = 600;

/// Whether a path is the door through which a request is decided.
pub(crate) fn is_approval(cx: &Cx) -> bool {
    cx.path.subresource == APPROVAL && cx.kind.is(GROUP, PLURAL)
}

/// What a write of a request means beyond its fields. `old` is the stored one on updates.
pub(crate) fn act(cx: &Cx, new: &mut Value, old: Option<&Value>) -> Result<(), ApiError> {
    if !cx.kind.is(GROUP, PLURAL) {
        return Ok(());
    }
    match (old, cx.path.subresource.as_str()) {
        (None, _) => {
            check_subject(cx, new)?;
            tell_who_asks(cx, new);
            Ok(())
        }
        (Some(old), APPROVAL) => decide(cx, new, old),
        (Some(old), "status") => keep_decision(cx, new, old),
        _ => Ok(()),
    }
}

/// The certificate of an administrator is not for asking.
fn check_subject(cx: &Cx, new: &Value) -> Result<(), ApiError> {
    if text(new, "/spec/signerName") != CLIENT {
        return Ok(());
    }
    let request = parse(new).ok();
    if request.is_some_and(|request| request.organizations.iter().any(|group| group == crate::auth::MASTERS))
    {
        let why = format!("use of {CLIENT} signer with {} group is not allowed", crate::auth::MASTERS);
        return Err(ApiError::forbidden(GROUP, cx.kind.plural(), meta::name(new), &why));
    }
    Ok(())
}

fn tell_who_asks(cx: &Cx, new: &mut Value) {
    let info = cx.user.to_value();
    for (field, told) in [("username", "username"), ("uid", "uid"), ("groups", "groups"), ("extra", "extra")]
    {
        match info.get(told) {
            Some(value) => new["spec"][field] = value.clone(),
            None => {
                if let Some(spec) = new["spec"].as_object_mut() {
                    spec.remove(field);
                }
            }
        }
    }
}

/// The approval door: nothing but conditions comes in through it, and a yes is signed.
fn decide(cx: &Cx, new: &mut Value, old: &Value) -> Result<(), ApiError> {
    let signer = text(old, "/spec/signerName").to_owned();
    check_signer(cx, new, "approve", &signer)?;
    date_conditions(cx, new);
    if has(new, "Approved") && has(new, "Denied") {
        let path = drydock_kinds::field::Path::root("status").child("conditions");
        let why = "Approved and Denied conditions are mutually exclusive";
        let error = drydock_kinds::FieldError::invalid(&path, new["status"]["conditions"].clone(), why);
        return Err(ApiError::invalid(&cx.kind, meta::name(new), &[error]));
    }
    let open = text(new, "/status/certificate").is_empty() && !has(new, "Failed");
    if open && has(new, "Approved") {
        sign(cx, new, &signer);
    }
    Ok(())
}

/// The status door is the signers': they bring certificates, and leave the decision as it is.
fn keep_decision(cx: &Cx, new: &mut Value, old: &Value) -> Result<(), ApiError> {
    let signer = text(old, "/spec/signerName").to_owned();
    if text(new, "/status/certificate") != text(old, "/status/certificate") {
        check_signer(cx, new, "sign", &signer)?;
    }
    let of = |object: &Value, decisions: bool| -> Vec<Value> {
        let list = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
        let is_decision = |condition: &&Value| {
            matches!(condition["type"].as_str(), Some("Approved" | "Denied")) == decisions
        };
        list.filter(is_decision).cloned().collect()
    };
    let conditions: Vec<Value> = of(old, true).into_iter().chain(of(new, false)).collect();
    if new["status"].is_object() || !conditions.is_empty() {
        new["status"]["conditions"] = json!(conditions);
    }
    date_conditions(cx, new);
    Ok(())
}

fn check_signer(cx: &Cx, new: &Value, verb: &str, signer: &str) -> Result<(), ApiError> {
    let domain = signer.split('/').next().unwrap_or("");
    let may = |name: &str| {
        let wanted = Attributes { verb, group: GROUP, plural: "signers", name, ..Attributes::default() };
        is_allowed(&cx.server, &cx.user, &wanted)
    };
    if may(signer) || may(&format!("{domain}/*")) {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(ApiError::forbidden(GROUP, cx.kind.plural(), meta::name(new), &why))
}

fn date_conditions(cx: &Cx, object: &mut Value) {
    let now: Value = meta::timestamp(cx.now).into();
    let list = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in list.into_iter().flatten() {
        for field in ["lastUpdateTime", "lastTransitionTime"] {
            if condition.get(field).is_none_or(Value::is_null) {
                condition[field] = now.clone();
            }
        }
    }
}

/// Signs for the cluster's own signers; what one of them refuses is said in a condition.
fn sign(cx: &Cx, object: &mut Value, signer: &str) {
    let usages: Vec<String> = texts(object, "/spec/usages");
    let usages: Vec<&str> = usages.iter().map(String::as_str).collect();
    let seconds = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(LIFE_S);
    let life = SignedDuration::from_secs(seconds.clamp(SHORTEST_S, LIFE_S));
    let signed = parse(object).and_then(|request| match check(signer, &request, &usages) {
        None => Ok(None),
        Some(Err(why)) => Err(why),
        Some(Ok(())) => {
            let signed = cx.server.pki.sign_request(&request, &usages, life, cx.now);
            signed.map(Some).map_err(|error| error.to_string())
        }
    });
    match signed {
        Ok(None) => {}
        Ok(Some(certificate)) => object["status"]["certificate"] = STANDARD.encode(certificate).into(),
        Err(why) => {
            let failed = json!({ "type": "Failed", "status": "True", "reason": "SignerValidationFailure", "message": why });
            if let Some(list) = object["status"]["conditions"].as_array_mut() {
                list.push(failed);
            }
            date_conditions(cx, object);
        }
    }
}

/// Whether a signer of ours signs this; `None` when the signer is not ours.
fn check(signer: &str, request: &Request, usages: &[&str]) -> Option<Result<(), String>> {
    match signer {
        CLIENT => Some(check_usages(usages, "client auth", "client")),
        KUBELET_CLIENT => Some(check_kubelet(request).and_then(|()| {
            if request.dns_names + request.ip_addresses + request.other_names > 0 {
                return Err("DNS, IP, email and URI subjectAltNames are not allowed".to_owned());
            }
            check_usages(usages, "client auth", "client")
        })),
        KUBELET_SERVING => Some(check_kubelet(request).and_then(|()| {
            if request.dns_names + request.ip_addresses == 0 {
                return Err("DNS or IP subjectAltName is required".to_owned());
            }
            if request.other_names > 0 {
                return Err("email and URI subjectAltNames are not allowed".to_owned());
            }
            check_usages(usages, "server auth", "server")
        })),
        LEGACY => Some(Ok(())),
        _ => None,
    }
}

fn check_usages(usages: &[&str], needed: &str, what: &str) -> Result<(), String> {
    let allowed =
        |usage: &&&str| **usage != needed && !matches!(**usage, "digital signature" | "key encipherment");
    match usages.iter().find(allowed) {
        Some(usage) => Err(format!("invalid usage for {what} certificate: {usage}")),
        None if usages.contains(&needed) => Ok(()),
        None => Err(format!("missing required usage for {what} certificate: {needed}")),
    }
}

fn check_kubelet(request: &Request) -> Result<(), String> {
    if request.organizations != ["system:nodes"] {
        return Err("subject organization is not system:nodes".to_owned());
    }
    match request.common_name.starts_with("system:node:") {
        true => Ok(()),
        false => Err("subject common name does not begin with system:node: ".to_owned()),
    }
}

fn parse(object: &Value) -> Result<Request, String> {
    let pem = STANDARD.decode(text(object, "/spec/request")).map_err(|error| error.to_string())?;
    Request::parse(&pem).map_err(|error| error.to_string())
}

fn has(object: &Value, kind: &str) -> bool {
    let list = object.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten().any(|condition| condition["type"] == kind && condition["status"] != "False")
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn texts(object: &Value, pointer: &str) -> Vec<String> {
    let list = object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubelet() -> Request {
        Request {
            common_name: "system:node:a".into(),
            organizations: vec!["system:nodes".into()],
            dns_names: 1,
            ..Request::default()
        }
    }

    #[track_caller]
    fn check_signer(signer: &str, request: &Request, usages: &[&str], expect: Option<&str>) {
        let seen = check(signer, request, usages).map(|seen| seen.err().unwrap_or_else(|| "signed".into()));
        assert_eq!(seen.as_deref(), expect);
    }

    #[test]
    fn a_client_certificate_is_for_clients_alone() {
        let anybody = Request::default();
        check_signer(CLIENT, &anybody, &["client auth", "digital signature"], Some("signed"));
        check_signer(
            CLIENT,
            &anybody,
            &["server auth"],
            Some("invalid usage for client certificate: server auth"),
        );
        check_signer(
            CLIENT,
            &anybody,
            &[],
            Some("missing required usage for client certificate: client auth"),
        );
    }

    #[test]
    fn a_kubelet_says_that_it_is_one() {
        let usages = ["server auth", "digital signature"];
        check_signer(KUBELET_SERVING, &kubelet(), &usages, Some("signed"));
        let nameless = Request { dns_names: 0, ..kubelet() };
        check_signer(KUBELET_SERVING, &nameless, &usages, Some("DNS or IP subjectAltName is required"));
        let stranger = Request { organizations: vec![], ..kubelet() };
        check_signer(KUBELET_SERVING, &stranger, &usages, Some("subject organization is not system:nodes"));
        check_signer(KUBELET_CLIENT, &nameless, &["client auth"], Some("signed"));
    }

    #[test]
    fn another_signers_requests_are_left_alone() {
        check_signer("example.com/mine", &kubelet(), &["client auth"], None);
    }
}
