//! ValidatingAdmissionPolicies: rules as expressions, which objects keep where a binding says so.
//!
//! Asked after the built-in admission and before validating webhooks. Policies and bindings are few or none, so they are read
//! and compiled for each write that they may concern. What cannot be evaluated follows the policy's failure policy.
//!
//! Start at [`validate`]. `params` finds what a binding hands in, `verdict` evaluates.

mod params;
mod verdict;

use drydock_store::List;
use serde_json::{Value, json};

use self::verdict::{Decision, Told};
use crate::meta;
use crate::server::Cx;
use crate::status::ApiError;
use crate::stored;
use crate::webhook::matching::{self, Asked, OF_POLICY};

const GROUP: &str = "admissionregistration.k8s.io";
const POLICIES: &str = "validatingadmissionpolicies";
const BINDINGS: &str = "validatingadmissionpolicybindings";
const FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";
const MAX_ANNOTATION: usize = 10 * 1024;

/// Refuses what a policy denies; warns and annotates where a binding says no more than that.
pub(crate) fn validate(cx: &Cx, asked: &Asked<'_>) -> Result<(), ApiError> {
    // Policies and webhooks themselves stay changeable, so that nobody locks himself out.
    if cx.kind.group() == GROUP {
        return Ok(());
    }
    let bindings = all(cx, BINDINGS)?;
    if bindings.is_empty() {
        return Ok(());
    }
    let mut denied = None;
    for policy in all(cx, POLICIES)? {
        let name = meta::name(&policy);
        let own: Vec<&Value> =
            bindings.iter().filter(|binding| binding["spec"]["policyName"] == name).collect();
        if !own.is_empty() {
            let refusal = ask(cx, &policy, &own, asked)?;
            denied = denied.or(refusal);
        }
    }
    denied.map_or(Ok(()), Err)
}

fn all(cx: &Cx, plural: &str) -> Result<Vec<Value>, ApiError> {
    let prefix = format!("{GROUP}/{plural}/");
    let page = cx.server.store.list(List { prefix: &prefix, ..List::default() });
    let page = page.map_err(|error| ApiError::internal(error.to_string()))?;
    page.items.iter().map(|item| Ok(stored::decode(&item.entry)?.value)).collect()
}

/// The first refusal that the policy leads to.
fn ask(
    cx: &Cx,
    policy: &Value,
    bindings: &[&Value],
    asked: &Asked<'_>,
) -> Result<Option<ApiError>, ApiError> {
    let spec = &policy["spec"];
    let Some(kind) = matching::concerned(cx, &spec["matchConstraints"], OF_POLICY, asked)? else {
        return Ok(None);
    };
    let review = matching::review(cx, &kind, asked);
    let namespace = matching::namespace(cx)?.unwrap_or(Value::Null);
    let (mut denied, mut annotations) = (None, Vec::new());
    for binding in bindings {
        let chosen = &binding["spec"]["matchResources"];
        if chosen.is_object() && !binding_concerns(cx, chosen, asked)? {
            continue;
        }
        let about = |decision: &Decision| refusal(cx, policy, binding, asked, decision);
        let params = match params::of(cx, spec, &binding["spec"]["paramRef"]) {
            Ok(params) => params,
            Err(_) if spec["failurePolicy"] == "Ignore" => continue,
            Err(why) => {
                let decision = Decision::broken(format!("failed to configure binding: {why}"));
                denied = denied.or_else(|| Some(about(&decision)));
                continue;
            }
        };
        for param in &params {
            let told = verdict::of(spec, &review["request"], param, &namespace);
            annotations.extend(told.annotations.iter().cloned());
            let broken = told.broken.iter().map(&about).next();
            denied = denied.or(act(cx, policy, binding, &told, &about)).or(broken);
        }
    }
    annotate(cx, meta::name(policy), &annotations);
    Ok(denied)
}

/// A binding narrows down what its policy is about; without rules it leaves that to the selectors.
fn binding_concerns(cx: &Cx, chosen: &Value, asked: &Asked<'_>) -> Result<bool, ApiError> {
    let mut chosen = chosen.clone();
    if chosen["resourceRules"].as_array().is_none_or(Vec::is_empty) {
        chosen["resourceRules"] = json!([{
            "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"],
        }]);
    }
    Ok(matching::concerned(cx, &chosen, OF_POLICY, asked)?.is_some())
}

/// Does with each violation what the binding says; the first refusal is returned.
fn act(
    cx: &Cx,
    policy: &Value,
    binding: &Value,
    told: &Told,
    refusal: &dyn Fn(&Decision) -> ApiError,
) -> Option<ApiError> {
    let actions = &binding["spec"]["validationActions"];
    let does = |action: &str| actions.as_array().is_some_and(|all| all.iter().any(|one| one == action));
    let (policy, binding) = (meta::name(policy), meta::name(binding));
    let mut denied = None;
    for decision in &told.decisions {
        let why = &decision.message;
        if does("Deny") {
            denied = denied.or_else(|| Some(refusal(decision)));
        }
        if does("Warn") {
            cx.warnings.add(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {why}"
            ));
        }
        if does("Audit") {
            let failure = json!([{ "message": why, "policy": policy, "binding": binding,
                "expressionIndex": decision.index, "validationActions": actions }]);
            cx.warnings.annotate(FAILURE, &failure.to_string());
        }
    }
    denied
}

fn refusal(cx: &Cx, policy: &Value, binding: &Value, asked: &Asked<'_>, decision: &Decision) -> ApiError {
    let (policy, binding) = (meta::name(policy), meta::name(binding));
    let why = format!(
        "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {}",
        decision.message
    );
    let object = asked.new.or(asked.old).map(meta::name).filter(|name| !name.is_empty());
    ApiError::of_policy(&cx.kind, object.unwrap_or(cx.path.name()), &decision.reason, &why)
}

/// Several values of one key, as several bindings may give, are joined.
fn annotate(cx: &Cx, policy: &str, annotations: &[(String, String)]) {
    for (key, _) in annotations {
        let mut values: Vec<&str> = Vec::new();
        for (_, value) in annotations.iter().filter(|(other, _)| other == key) {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
        let joined: String = values.join(", ").chars().take(MAX_ANNOTATION).collect();
        cx.warnings.annotate(&format!("{policy}/{key}"), &joined);
    }
}
