//! ClusterRole: what may be done in all namespaces, or in any one that binds it.

use k8s_openapi::api::rbac::v1::ClusterRole;

use serde_json::Value;

use crate::column::ColumnType;
use crate::field::{FieldError, Path};
use crate::rbac::validate_role;
use crate::read::list;
use crate::role::created;
use crate::selector;
use crate::{Column, KindSpec, NameRule};

pub const KIND: KindSpec = KindSpec::cluster::<ClusterRole>()
    .named(NameRule::PathSegment)
    .validate_with(validate)
    .columns(&[Column::compute("Created At", |object, _| created(object)).typed(ColumnType::Date)]);

fn validate(new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = validate_role(new, true);
    let Some(rule) = new.get("aggregationRule") else { return errors };
    let path = Path::root("aggregationRule.clusterRoleSelectors");
    let selectors = list(rule, "/clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(&path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        let at = path.index(index);
        let bad = selector::labels(Some(selector), &at);
        let broken =
            (!bad.is_empty()).then(|| FieldError::invalid(&at, Value::Null, "invalid label selector."));
        errors.extend(bad.into_iter().chain(broken));
    }
    errors
}
