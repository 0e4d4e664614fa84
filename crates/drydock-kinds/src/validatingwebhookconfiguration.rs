//! ValidatingWebhookConfiguration: who is asked before an object is stored.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use serde_json::Value;

use crate::read::list;
use crate::{Column, Generation, KindSpec, webhook};

pub const KIND: KindSpec = KindSpec::cluster::<ValidatingWebhookConfiguration>()
    .categories(&["api-extensions"])
    .generation(Generation::Spec)
    .default_with(|object| webhook::default(object, false))
    .validate_with(|new, _| webhook::validate(new))
    .columns(&[
        Column::compute("Webhooks", |object, _| Value::from(list(object, "/webhooks").len()))
            .typed(crate::ColumnType::Integer),
        Column::age(),
    ]);
