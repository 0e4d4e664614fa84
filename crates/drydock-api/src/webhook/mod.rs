//! Admission webhooks: who else is asked before an object is stored, changed or deleted.
//!
//! Mutating ones may change the object before its kind's checks, validating ones see what would be stored. Each is asked
//! over HTTPS within its timeout; when it cannot be reached, its failure policy decides. Configurations of webhooks and
//! reviews are exempt, so that nobody locks himself out.
//!
//! Start at [`mutate`], [`validate`] and [`deleted`]. `matching` decides who is asked, `call` asks.

mod call;
mod matching;

use drydock_store::List;
use serde_json::{Value, json};

use self::matching::{Asked, Operation};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;

const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: &str = "mutatingwebhookconfigurations";
const VALIDATING: &str = "validatingwebhookconfigurations";
/// Warnings of one webhook that reach the client at most.
const MAX_WARNINGS: usize = 20;
/// Operations in one patch of a webhook at most.
const MAX_OPERATIONS: usize = 10_000;

/// The webhook's name and its entry in a configuration.
struct Webhook {
    configuration: String,
    entry: Value,
}

impl Webhook {
    fn name(&self) -> &str {
        self.entry["name"].as_str().unwrap_or("")
    }

    /// Whether a webhook that cannot be asked stops the request.
    fn is_strict(&self) -> bool {
        self.entry["failurePolicy"] != "Ignore"
    }
}

/// The object as mutating webhooks leave it.
pub(crate) async fn mutate(
    cx: &Cx,
    mut new: Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<Value, ApiError> {
    for webhook in webhooks(cx, MUTATING)? {
        let asked = Asked { operation: Operation::of(old), new: Some(&new), old, dry_run };
        let Some(answer) = ask(cx, &webhook, &asked).await? else { continue };
        if let Some(patch) = call::patch(&answer, MAX_OPERATIONS).map_err(|why| failed(&webhook, &why))? {
            let mut changed = new.clone();
            json_patch::patch(&mut changed, &patch).map_err(|error| failed(&webhook, &error.to_string()))?;
            let unknown =
                cx.kind.conform(&mut changed).map_err(|error| failed(&webhook, &error.to_string()))?;
            if !unknown.is_empty() {
                tracing::debug!(webhook = webhook.name(), ?unknown, "a webhook set fields that do not exist");
            }
            cx.kind.apply_defaults(&mut changed);
            new = changed;
        }
    }
    Ok(new)
}

/// Refuses what a validating webhook refuses.
pub(crate) async fn validate(
    cx: &Cx,
    new: &Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<(), ApiError> {
    let asked = Asked { operation: Operation::of(old), new: Some(new), old, dry_run };
    let webhooks = webhooks(cx, VALIDATING)?;
    let answers = webhooks.iter().map(|webhook| ask(cx, webhook, &asked));
    futures::future::try_join_all(answers).await.map(drop)
}

/// Asks both kinds of webhooks about a deletion, which has nothing to change.
pub(crate) async fn deleted(cx: &Cx, old: &Value, dry_run: bool) -> Result<(), ApiError> {
    let asked = Asked { operation: Operation::Delete, new: None, old: Some(old), dry_run };
    for plural in [MUTATING, VALIDATING] {
        for webhook in webhooks(cx, plural)? {
            ask(cx, &webhook, &asked).await?;
        }
    }
    Ok(())
}

/// All webhooks of one kind, by the names of their configurations. Few or none, so they are read each time.
fn webhooks(cx: &Cx, plural: &str) -> Result<Vec<Webhook>, ApiError> {
    if cx.kind.group() == GROUP {
        return Ok(Vec::new());
    }
    let prefix = format!("{GROUP}/{plural}/");
    let page = cx.server.store.list(List { prefix: &prefix, ..List::default() });
    let page = page.map_err(|error| ApiError::internal(error.to_string()))?;
    let mut found = Vec::new();
    for item in page.items {
        let configuration = stored::decode(&item.entry)?.value;
        for entry in configuration["webhooks"].as_array().into_iter().flatten() {
            found
                .push(Webhook { configuration: meta::name(&configuration).to_owned(), entry: entry.clone() });
        }
    }
    Ok(found)
}

/// The `response` of a webhook that was asked and allows the request.
async fn ask(cx: &Cx, webhook: &Webhook, asked: &Asked<'_>) -> Result<Option<Value>, ApiError> {
    if !matching::applies(cx, webhook, asked)? {
        return Ok(None);
    }
    if asked.dry_run && !matches!(webhook.entry["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")) {
        let why = format!("admission webhook {:?} does not support dry run", webhook.name());
        return Err(ApiError::bad_request(why));
    }
    let review = matching::review(cx, asked);
    let uid = review["request"]["uid"].clone();
    let answer = match call::call(&cx.server, &webhook.entry, &review).await {
        Ok(answer) if answer["uid"] == uid && answer["allowed"].is_boolean() => answer,
        Ok(_) => {
            return not_reached(
                webhook,
                "received invalid webhook response: expected response.uid and response.allowed",
            );
        }
        Err(why) => return not_reached(webhook, &why),
    };
    let warnings = answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    warnings.take(MAX_WARNINGS).for_each(|warning| cx.warnings.add(warning.to_owned()));
    match answer["allowed"] == true {
        true => Ok(Some(answer)),
        false => Err(denied(webhook, &answer["status"])),
    }
}

fn not_reached(webhook: &Webhook, why: &str) -> Result<Option<Value>, ApiError> {
    match webhook.is_strict() {
        true => Err(failed(webhook, &format!("failed to call webhook: {why}"))),
        false => {
            tracing::warn!(
                webhook = webhook.name(),
                configuration = webhook.configuration,
                "not asked: {why}"
            );
            Ok(None)
        }
    }
}

fn failed(webhook: &Webhook, why: &str) -> ApiError {
    ApiError::internal(format!("failed calling webhook {:?}: {why}", webhook.name()))
}

fn denied(webhook: &Webhook, status: &Value) -> ApiError {
    let text = |key: &str| status[key].as_str().filter(|text| !text.is_empty());
    let reason = text("message").or_else(|| text("reason")).unwrap_or("without explanation");
    let message = format!("admission webhook {:?} denied the request: {reason}", webhook.name());
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    ApiError::of_webhook(code.unwrap_or(400), text("reason"), message, status.get("details").cloned())
}

/// An empty object where a review needs one.
fn or_null(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or(json!(null))
}
