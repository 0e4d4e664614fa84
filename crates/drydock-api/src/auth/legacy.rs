//! Secrets of type `kubernetes.io/service-account-token`: a token that lives as long as its Secret.
//!
//! Filled as the Secret is stored, so that whoever created it finds the token in the answer already. Without the
//! account the Secret stays empty; it is filled by the next write once the account is there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::auth::token;
use crate::server::Cx;
use crate::status::ApiError;
use crate::{meta, stored};

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

pub(crate) fn fill(cx: &Cx, secret: &mut Value) -> Result<(), ApiError> {
    if !cx.kind.is("", "secrets") || secret["type"] != TYPE || !secret["data"]["token"].is_null() {
        return Ok(());
    }
    let namespace = cx.path.namespace.as_deref().unwrap_or("");
    let Some(account) = secret["metadata"]["annotations"][ACCOUNT].as_str() else { return Ok(()) };
    let entry = cx.server.store.get(&format!("core/serviceaccounts/{namespace}/{account}"));
    let Some(account) = entry.as_ref().map(stored::decode).transpose()? else { return Ok(()) };
    let account = account.value;
    let (said, uid) = (&secret["metadata"]["annotations"][ACCOUNT_UID], meta::uid(&account));
    if said.as_str().is_some_and(|said| said != uid) {
        return Ok(());
    }
    let claims = token::legacy_claims(&account, meta::name(secret));
    let signed = cx.server.pki.signer().sign(&claims)?;
    secret["metadata"]["annotations"][ACCOUNT_UID] = uid.into();
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    for (field, value) in
        [("token", signed.as_str()), ("ca.crt", cx.server.pki.ca_pem()), ("namespace", namespace)]
    {
        secret["data"][field] = STANDARD.encode(value).into();
    }
    Ok(())
}
