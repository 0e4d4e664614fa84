//! CustomResourceDefinition: a kind that users bring.
//!
//! Which names are taken is known to the API alone, which writes the conditions; here is what follows from the
//! definition itself. `validate` says what it may contain and
//! `schema` what its schemas may say.

mod schema;
#[cfg(test)]
mod tests;
mod validate;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::column::ColumnType;
use crate::edit::{ensure, fill, fill_at};
use crate::read::{list, text, texts};
use crate::{Column, Generation, KindSpec};

pub const KIND: KindSpec = KindSpec::cluster::<CustomResourceDefinition>()
    .short_names(&["crd", "crds"])
    .categories(&["api-extensions"])
    .with_status()
    .generation(Generation::Spec)
    .default_with(default)
    .prepare_with(prepare)
    .validate_with(validate::validate)
    .columns(&[Column::at("Created At", "/metadata/creationTimestamp").typed(ColumnType::Date)]);

fn default(object: &mut Value) {
    ensure(object, "/spec");
    ensure(object, "/spec/names");
    let kind = text(object, "/spec/names/kind").to_owned();
    if !kind.is_empty() {
        let names = json!({ "singular": kind.to_lowercase(), "listKind": format!("{kind}List") });
        fill_at(object, "/spec/names", names);
    }
    fill_at(object, "/spec", json!({ "conversion": {} }));
    fill_at(object, "/spec/conversion", json!({ "strategy": "None" }));
    // Its only other value was for definitions older than this API.
    if object["spec"]["preserveUnknownFields"] == false
        && let Some(spec) = object["spec"].as_object_mut()
    {
        spec.remove("preserveUnknownFields");
    }
}

/// The status is the server's: it starts empty and remembers every version that ever was the stored one.
fn prepare(new: &mut Value, old: Option<&Value>) {
    if old.is_none() {
        let Some(object) = new.as_object_mut() else { return };
        let none = json!({ "plural": "", "kind": "" });
        object.insert(
            "status".to_owned(),
            json!({ "acceptedNames": none, "conditions": [], "storedVersions": [] }),
        );
    }
    let Some(storage) = storage_version(new).map(str::to_owned) else { return };
    if texts(new, "/status/storedVersions").all(|known| known != storage) {
        fill(&mut new["status"], "storedVersions", json!([]));
        if let Some(stored) = new.pointer_mut("/status/storedVersions").and_then(Value::as_array_mut) {
            stored.push(storage.into());
        }
    }
}

fn storage_version(object: &Value) -> Option<&str> {
    let storage = |version: &&Value| version["storage"] == true;
    list(object, "/spec/versions").iter().find(storage).and_then(|version| version["name"].as_str())
}
