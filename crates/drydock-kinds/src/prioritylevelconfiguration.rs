//! PriorityLevelConfiguration: how many requests of one level run at once. Served as data, as FlowSchema is.

use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;
use serde_json::{Value, json};

use crate::cells::or_none;
use crate::edit::{fill_at, start_without_status};
use crate::field::{FieldError, Path};
use crate::pod::template::choice;
use crate::read::text;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<PriorityLevelConfiguration>()
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .columns(&[
        Column::at("Type", "/spec/type"),
        Column::compute("NominalConcurrencyShares", |object, _| {
            amount(object, "/spec/limited/nominalConcurrencyShares")
        }),
        Column::compute("Queues", |object, _| amount(object, "/spec/limited/limitResponse/queuing/queues")),
        Column::compute("HandSize", |object, _| {
            amount(object, "/spec/limited/limitResponse/queuing/handSize")
        }),
        Column::compute("QueueLengthLimit", |object, _| {
            amount(object, "/spec/limited/limitResponse/queuing/queueLengthLimit")
        }),
        Column::age(),
    ]);

fn amount(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).cloned().unwrap_or_else(|| or_none(""))
}

fn default(object: &mut Value) {
    if object.pointer("/spec/exempt").is_some() {
        fill_at(object, "/spec/exempt", json!({ "nominalConcurrencyShares": 0, "lendablePercent": 0 }));
    }
    if object.pointer("/spec/limited").is_some() {
        fill_at(object, "/spec/limited", json!({ "nominalConcurrencyShares": 30, "lendablePercent": 0 }));
    }
    if object.pointer("/spec/limited/limitResponse/queuing").is_some() {
        let queuing = json!({ "handSize": 8, "queues": 64, "queueLengthLimit": 50 });
        fill_at(object, "/spec/limited/limitResponse/queuing", queuing);
    }
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors: Vec<FieldError> =
        choice(&new["spec"], &path, "type", &["Exempt", "Limited"]).into_iter().collect();
    let limited = new.pointer("/spec/limited").is_some();
    match text(new, "/spec/type") {
        "Exempt" if limited => {
            let detail = "must be nil if the type is not Limited";
            errors.push(FieldError::forbidden(&path.child("limited"), detail));
        }
        "Limited" if !limited => {
            let detail = "must not be empty when type is Limited";
            errors.push(FieldError::required(&path.child("limited"), detail));
        }
        _ => {}
    }
    errors
}
