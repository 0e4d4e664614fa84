//! CronJob: jobs on a schedule.

use k8s_openapi::api::batch::v1::CronJob;
use serde_json::{Value, json};

use crate::cells::{CONTAINERS, IMAGES, or_none, selector};
use crate::column::{ColumnType, age};
use crate::edit::{ensure, fill_at, start_without_status};
use crate::field::{FieldError, Path};
use crate::job;
use crate::pod::template;
use crate::read::{flag, list, text};
use crate::schedule::Schedule;
use crate::workload::non_negative;
use crate::zone::time_zone;
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::namespaced::<CronJob>()
    .short_names(&["cj"])
    .categories(&["all"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(start_without_status)
    .validate_with(validate)
    .columns(&[
        Column::at("Schedule", "/spec/schedule"),
        Column::compute("Timezone", |object, _| or_none(text(object, "/spec/timeZone"))),
        Column::compute("Suspend", |object, _| {
            Value::from(if flag(object, "/spec/suspend") { "True" } else { "False" })
        })
        .typed(ColumnType::Boolean),
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
    fill_at(object, "/spec/jobTemplate", json!({ "metadata": {} }));
    if object.pointer("/spec/jobTemplate/spec/template").is_some() {
        fill_at(object, "/spec/jobTemplate/spec/template", json!({ "metadata": {} }));
    }
    fill_at(
        object,
        "/spec",
        json!({
            "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1,
        }),
    );
}

/// Names of jobs are this name and eleven characters.
const LONGEST_NAME: usize = 52;

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let path = Path::root("spec");
    let mut errors = schedule(new, &path);
    let policies = ["Allow", "Forbid", "Replace"];
    errors.extend(template::choice(&new["spec"], &path, "concurrencyPolicy", &policies));
    let counts = ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    errors.extend(non_negative(new, &counts));
    let (job, at) = (&new["spec"]["jobTemplate"]["spec"], path.child("jobTemplate.spec"));
    errors.extend(job::check_spec(job, &at));
    if flag(job, "/manualSelector") {
        errors.push(FieldError::not_supported(&at.child("manualSelector"), true, &["nil", "false"]));
    }
    if let Some(selector) = job.get("selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(FieldError::invalid(&at.child("selector"), selector.clone(), detail));
    }
    let name = text(new, "/metadata/name");
    if name.len() > LONGEST_NAME {
        let detail = format!("must be no more than {LONGEST_NAME} characters");
        errors.push(FieldError::invalid(&Path::root("metadata.name"), name, detail));
    }
    errors
}

fn schedule(new: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (schedule, at) = (text(new, "/spec/schedule"), path.child("schedule"));
    if schedule.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if schedule.contains("TZ") {
        let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(&at, schedule, detail));
    } else if let Err(error) = Schedule::parse(schedule) {
        errors.push(FieldError::invalid(&at, schedule, error.to_string()));
    }
    let Some(zone) = new.pointer("/spec/timeZone").and_then(Value::as_str) else { return errors };
    let at = path.child("timeZone");
    if zone.is_empty() {
        errors.push(FieldError::invalid(&at, zone, "timeZone must be nil or non-empty string"));
        return errors;
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(&at, zone, detail));
    }
    if time_zone(zone).is_none() {
        errors.push(FieldError::invalid(&at, zone, format!("unknown time zone {zone}")));
    }
    errors
}
