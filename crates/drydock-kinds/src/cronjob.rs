//! CronJob: jobs on a schedule.

use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, boolean, or_none, selector};
use crate::column::{ColumnType, age};
use crate::edit::{ensure, fill_at, start_status};
use crate::field::{FieldError, Path};
use crate::pod::template;
use crate::read::{list, text};
use crate::workload::non_negative;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<CronJob>()
    .short_names(&["cj"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(|new, old| start_status(new, old, json!({})))
    .validate_with(validate)
    .columns(&[
        Column::at("Schedule", "/spec/schedule"),
        Column::compute("Timezone", |object, _| or_none(text(object, "/spec/timeZone"))),
        Column::compute("Suspend", |object, _| boolean(object, "/spec/suspend")).typed(ColumnType::Boolean),
        Column::compute("Active", |object, _| Value::from(list(object, "/status/active").len()))
            .typed(ColumnType::Integer),
        Column::compute("Last Schedule", |object, now| match object.pointer("/status/lastScheduleTime") {
            Some(stamp) => Value::from(age(Some(stamp), now)),
            None => or_none(""),
        }),
        Column::age(),
        CONTAINERS,
        IMAGES,
        Column::compute("Selector", |object, _| {
            Value::from(selector(object.pointer("/spec/jobTemplate/spec/selector")))
        })
        .wide(),
    ]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    template::default_at(object, "/spec/jobTemplate/spec/template");
    fill_at(
        object,
        "/spec",
        json!({
            "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        }),
    );
}

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = non_negative(new, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
    let schedule = text(new, "/spec/schedule");
    if schedule.is_empty() {
        errors.push(FieldError::required(&path.child("schedule"), ""));
    } else if !looks_like_cron(schedule) {
        let detail =
            format!("expected exactly 5 fields, found {}: [{schedule}]", schedule.split_whitespace().count());
        errors.push(FieldError::invalid(&path.child("schedule"), schedule, detail));
    }
    let policy = text(new, "/spec/concurrencyPolicy");
    if !["Allow", "Forbid", "Replace"].contains(&policy) {
        let at = path.child("concurrencyPolicy");
        errors.push(FieldError::not_supported(&at, policy, &["Allow", "Forbid", "Replace"]));
    }
    let pod = &new["spec"]["jobTemplate"]["spec"]["template"];
    errors.extend(template::validate(pod, &path.child("jobTemplate.spec.template"), &["OnFailure", "Never"]));
    errors
}

/// Five fields or a word such as `@hourly`; what the fields mean is the controller's business.
fn looks_like_cron(schedule: &str) -> bool {
    schedule.starts_with('@') || schedule.split_whitespace().count() == 5
}
