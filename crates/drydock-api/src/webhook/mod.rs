//! Admission webhooks: who else is asked before an object is stored, changed or deleted.
//!
//! Mutating ones may change the object before its kind's checks, validating ones see what would be stored. Each is asked
//! over HTTPS within its timeout; when it cannot be reached, its failure policy decides. Configurations of webhooks and
//! reviews are exempt, so that nobody locks himself out.
//!
//! Start at [`mutate`], [`validate`], [`deleted`] and [`connected`]. `matching` decides who is asked, `call` asks.

mod call;
pub(crate) mod matching;

use drydock_store::List;
use serde_json::{Value, json};

use self::matching::{Asked, OF_WEBHOOK, Operation};
use crate::meta;
use crate::served::ServedKind;
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

/// The object as mutating webhooks leave it. One that wants to is asked once more when another one changed the object
/// after it.
pub(crate) async fn mutate(
    cx: &Cx,
    mut new: Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<Value, ApiError> {
    let webhooks = webhooks(cx, MUTATING)?;
    let (mut asked, mut last_change) = (vec![false; webhooks.len()], None);
    for (index, webhook) in webhooks.iter().enumerate() {
        let (answered, changed) = mutate_with(cx, webhook, &mut new, old, dry_run).await?;
        asked[index] = answered;
        last_change = if changed { Some(index) } else { last_change };
    }
    for (index, webhook) in webhooks.iter().enumerate() {
        let wants = asked[index] && webhook.entry["reinvocationPolicy"] == "IfNeeded";
        if wants && last_change.is_some_and(|last| last > index) {
            mutate_with(cx, webhook, &mut new, old, dry_run).await?;
        }
    }
    Ok(new)
}

/// Whether the webhook was asked, and whether it changed anything.
async fn mutate_with(
    cx: &Cx,
    webhook: &Webhook,
    new: &mut Value,
    old: Option<&Value>,
    dry_run: bool,
) -> Result<(bool, bool), ApiError> {
    let asked = Asked { operation: Operation::of(old), new: Some(new), old, dry_run };
    let Some(Answer { response, kind }) = ask(cx, webhook, &asked).await? else { return Ok((false, false)) };
    let patch = call::patch(&response, MAX_OPERATIONS).map_err(|why| failed(webhook, &why))?;
    let Some(patch) = patch else { return Ok((true, false)) };
    let mut changed = matching::converted(&cx.kind, &kind, new.clone());
    json_patch::patch(&mut changed, &patch).map_err(|error| failed(webhook, &error.to_string()))?;
    let mut changed = matching::converted(&kind, &cx.kind, changed);
    let unknown = cx.kind.conform(&mut changed).map_err(|error| failed(webhook, &error.to_string()))?;
    if !unknown.is_empty() {
        tracing::debug!(webhook = webhook.name(), ?unknown, "a webhook set fields that do not exist");
    }
    cx.kind.apply_defaults(&mut changed);
    let differs = *new != changed;
    *new = changed;
    Ok((true, differs))
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

/// Asks both kinds of webhooks about a connection; `options` are what the request's query says.
pub(crate) async fn connected(cx: &Cx, options: &Value) -> Result<(), ApiError> {
    let asked = Asked { operation: Operation::Connect, new: Some(options), old: None, dry_run: false };
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

/// What a webhook that was asked, and allows the request, said about an object of this kind.
struct Answer {
    response: Value,
    kind: ServedKind,
}

async fn ask(cx: &Cx, webhook: &Webhook, asked: &Asked<'_>) -> Result<Option<Answer>, ApiError> {
    let Some(kind) = matching::concerned(cx, &webhook.entry, OF_WEBHOOK, asked)? else { return Ok(None) };
    let review = matching::review(cx, &kind, asked);
    match matching::webhook_conditions(&webhook.entry, &review) {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(_) if !webhook.is_strict() => return Ok(None),
        Err(why) => {
            let name = asked.new.or(asked.old).map(meta::name).unwrap_or_default();
            return Err(ApiError::forbidden(cx.kind.group(), cx.kind.plural(), name, &why));
        }
    }
    if asked.dry_run && !matches!(webhook.entry["sideEffects"].as_str(), Some("None" | "NoneOnDryRun")) {
        let why = format!("admission webhook {:?} does not support dry run", webhook.name());
        return Err(ApiError::bad_request(why));
    }
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
        true => Ok(Some(Answer { response: answer, kind })),
        false => Err(denied(webhook, &answer["status"])),
    }
}

fn not_reached(webhook: &Webhook, why: &str) -> Result<Option<Answer>, ApiError> {
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
