//! What a policy says about one request with one parameter. Pure: start at [`of`].

use drydock_kinds::expression::{CONDITION_BUDGET, Expression, Outcome, POLICY_BUDGET, Scope};
use serde_json::Value;

use crate::webhook::matching::{bare, conditions_hold};

const NAMES: &[&str] = &["object", "oldObject", "request", "namespaceObject", "params"];
const MAX_MESSAGE: usize = 5 * 1024;

/// One validation that does not hold, or cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decision {
    /// Which of the validations.
    pub index: usize,
    pub message: String,
    pub reason: String,
}

/// Everything a policy has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub decisions: Vec<Decision>,
    pub annotations: Vec<(String, String)>,
    /// Annotations without a value, which refuse the request whatever the binding says.
    pub broken: Vec<Decision>,
}

impl Decision {
    pub fn broken(message: String) -> Self {
        Self { index: 0, message, reason: String::new() }
    }
}

pub(super) fn of(spec: &Value, request: &Value, params: &Value, namespace: &Value) -> Told {
    let bare = bare(request);
    let scope = |budget| {
        let mut scope = Scope::new(budget);
        let values = [&request["object"], &request["oldObject"], &bare, namespace, params];
        NAMES.iter().zip(values).for_each(|(name, value)| scope.set(name, value));
        scope
    };
    let failing = |message: String| match spec["failurePolicy"] == "Ignore" {
        true => None,
        false => Some(Decision::broken(message)),
    };
    match conditions_hold(&spec["matchConditions"], NAMES, &mut scope(CONDITION_BUDGET)) {
        Ok(true) => {}
        Ok(false) => return Told::default(),
        Err(why) => return Told { decisions: failing(why).into_iter().collect(), ..Told::default() },
    }
    let names: Vec<&str> = NAMES.iter().copied().chain(["variables"]).collect();
    let mut scope = scope(POLICY_BUDGET);
    for variable in items(spec, "variables") {
        // What does not compile was refused when the policy was written.
        if let Ok(expression) = Expression::compile(text(variable, "expression"), &names) {
            scope.set_variable(text(variable, "name"), &expression);
        }
    }
    let mut told = Told::default();
    for (index, validation) in items(spec, "validations").enumerate() {
        let outcome = evaluate(&mut scope, text(validation, "expression"), &names);
        let decision = match outcome {
            Ok(Outcome::Bool(true)) => None,
            Ok(_) => Some(Decision {
                index,
                message: message(&mut scope, validation, &names),
                reason: text(validation, "reason").to_owned(),
            }),
            Err(why) => failing(why).map(|decision| Decision { index, ..decision }),
        };
        told.decisions.extend(decision);
    }
    for annotation in items(spec, "auditAnnotations") {
        let source = text(annotation, "valueExpression");
        let key = || text(annotation, "key").to_owned();
        match evaluate(&mut scope, source, &names) {
            Ok(Outcome::Text(value)) if !value.trim().is_empty() => {
                told.annotations.push((key(), value.trim().to_owned()));
            }
            Ok(Outcome::Text(_) | Outcome::Null) => {}
            Ok(_) => told.broken.extend(failing(format!(
                "valueExpression '{source}' resulted in unsupported return type. Return type must be either string or null."
            ))),
            Err(why) => told.broken.extend(failing(why)),
        }
    }
    told
}

fn evaluate(scope: &mut Scope<'_>, source: &str, names: &[&str]) -> Result<Outcome, String> {
    scope.evaluate(&Expression::compile(source, names)?)
}

/// What the author wants said: computed, written, or the expression itself.
fn message(scope: &mut Scope<'_>, validation: &Value, names: &[&str]) -> String {
    let computed = match text(validation, "messageExpression") {
        "" => None,
        source => match evaluate(scope, source, names) {
            Ok(Outcome::Text(text)) => Some(text.trim().to_owned()),
            _ => None,
        },
    };
    let usable = |text: &String| !text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n');
    let written = text(validation, "message").trim();
    computed.filter(usable).unwrap_or_else(|| match written {
        "" => format!("failed expression: {}", text(validation, "expression").trim()),
        written => written.to_owned(),
    })
}

fn items<'v>(spec: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    spec[field].as_array().into_iter().flatten()
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(spec: Value, expect: &[&str]) {
        let object = json!({ "spec": { "replicas": 7 } });
        let request = json!({ "object": object, "operation": "CREATE", "userInfo": { "username": "ann" } });
        let params = json!({ "data": { "most": "5" } });
        let told = of(&spec, &request, &params, &Value::Null);
        let messages: Vec<&str> = told.decisions.iter().map(|decision| decision.message.as_str()).collect();
        assert_eq!(messages, expect);
    }

    #[test]
    fn what_does_not_hold_is_said_in_the_authors_words() {
        let rule = "object.spec.replicas <= int(params.data.most)";
        check(json!({ "validations": [{ "expression": "object.spec.replicas < 9" }] }), &[]);
        check(json!({ "validations": [{ "expression": rule }] }), &[&format!("failed expression: {rule}")]);
        check(json!({ "validations": [{ "expression": rule, "message": "too many" }] }), &["too many"]);
        let computed = "'at most ' + params.data.most + ', not ' + string(variables.n)";
        let validation = json!({ "expression": rule, "message": "too many", "messageExpression": computed });
        check(
            json!({ "variables": [{ "name": "n", "expression": "object.spec.replicas" }], "validations": [validation] }),
            &["at most 5, not 7"],
        );
    }

    #[test]
    fn what_cannot_be_evaluated_follows_the_failure_policy() {
        let validations = json!([{ "expression": "object.lost == 1", "message": "never said" }]);
        let said = "expression 'object.lost == 1' resulted in error: no such key: lost";
        check(json!({ "validations": validations }), &[said]);
        check(json!({ "failurePolicy": "Ignore", "validations": validations }), &[]);
    }

    #[test]
    fn conditions_decide_whether_a_policy_has_anything_to_say() {
        let spec = |condition: &str| {
            json!({ "matchConditions": [{ "name": "c", "expression": condition }],
                "validations": [{ "expression": "false", "message": "no" }] })
        };
        check(spec("request.operation == 'CREATE'"), &["no"]);
        check(spec("request.userInfo.username != 'ann'"), &[]);
        check(
            spec("request.lost == ''"),
            &["expression 'request.lost == ''' resulted in error: no such key: lost"],
        );
    }
}
