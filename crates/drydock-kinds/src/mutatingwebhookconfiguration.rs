//! MutatingWebhookConfiguration: who is asked before an object is stored, and may change it.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use serde_json::Value;

use crate::read::list;
use crate::{Column, Generation, KindSpec, webhook};

pub const KIND: KindSpec = KindSpec::cluster::<MutatingWebhookConfiguration>()
    .categories(&["api-extensions"])
    .generation(Generation::Spec)
    .default_with(|object| webhook::default(object, true))
    .validate_with(|new, _| webhook::validate(new))
    .columns(&[
        Column::compute("Webhooks", |object, _| Value::from(list(object, "/webhooks").len()))
            .typed(crate::ColumnType::Integer),
        Column::age(),
    ]);
