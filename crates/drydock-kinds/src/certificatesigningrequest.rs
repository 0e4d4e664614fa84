//! CertificateSigningRequest: a wish for a certificate, who approved it, and the certificate.
//!
//! Here is what follows from the object itself; who asks, who may approve and who signs is the API's business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde_json::Value;

use crate::cells::or_none;
use crate::column::duration;
use crate::edit::start_without_status;
use crate::field::{FieldError, Path};
use crate::read::{has_condition, list, number, text, texts};
use crate::{Column, KindSpec, NameRule, Selectable};

/// The shortest life a certificate may ask for.
const SHORTEST_S: i64 = 600;

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

pub const KIND: KindSpec = KindSpec::cluster::<CertificateSigningRequest>()
    .short_names(&["csr"])
    .with_status()
    .named(NameRule::PathSegment)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .selectable(&[Selectable::at("spec.signerName", &["/spec/signerName"])])
    .columns(&[
        Column::age(),
        Column::compute("SignerName", |csr, _| or_none(text(csr, "/spec/signerName"))),
        Column::at("Requestor", "/spec/username"),
        Column::compute("RequestedDuration", |csr, _| match csr.pointer("/spec/expirationSeconds") {
            Some(seconds) => Value::from(duration(seconds.as_i64().unwrap_or_default())),
            None => or_none(""),
        }),
        Column::compute("Condition", |csr, _| Value::from(condition(csr))),
    ]);

fn condition(csr: &Value) -> String {
    let word = match (has_condition(csr, "Denied"), has_condition(csr, "Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    };
    let failed = if has_condition(csr, "Failed") { ",Failed" } else { "" };
    let issued = if text(csr, "/status/certificate").is_empty() { "" } else { ",Issued" };
    format!("{word}{failed}{issued}")
}

fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = Vec::new();
    let request = STANDARD.decode(text(new, "/spec/request")).unwrap_or_default();
    if !String::from_utf8_lossy(&request).contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid(&path.child("request"), new["spec"]["request"].clone(), detail));
    }
    if list(new, "/spec/usages").is_empty() {
        errors.push(FieldError::required(&path.child("usages"), ""));
    }
    for (index, usage) in texts(new, "/spec/usages").enumerate() {
        if !USAGES.contains(&usage) {
            errors.push(FieldError::not_supported(&path.child("usages").index(index), usage, &USAGES));
        }
    }
    errors.extend(signer(text(new, "/spec/signerName"), &path.child("signerName")));
    if new.pointer("/spec/expirationSeconds").is_some() && number(new, "/spec/expirationSeconds") < SHORTEST_S
    {
        let detail = format!("may not specify a duration less than {SHORTEST_S} seconds (10 minutes)");
        let seconds = number(new, "/spec/expirationSeconds");
        errors.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    if old.is_some_and(|old| old["spec"] != new["spec"]) {
        errors.push(FieldError::invalid(&path, new["spec"].clone(), "field is immutable"));
    }
    errors
}

/// `example.com/name`: a domain with a dot and a path.
fn signer(name: &str, path: &Path) -> Option<FieldError> {
    if name.is_empty() {
        return Some(FieldError::required(path, ""));
    }
    match name.split_once('/') {
        None => {
            let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            Some(FieldError::invalid(path, name, detail))
        }
        Some((domain, _)) if !domain.contains('.') => Some(FieldError::invalid(
            path,
            domain,
            "should be a domain with at least two segments separated by dots",
        )),
        Some(_) => None,
    }
}
