//! Adds the permitted values of fields to the definitions.
//!
//! A running API server publishes them, the OpenAPI documents in the sources leave them out; both are made from one Go
//! file, which is read here line by line: a function per definition, a block per field, in the layout of `gofmt`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const SOURCE: &str = "pkg/generated/openapi/zz_generated.openapi.go";
const FUNCTION: &str = "func schema_k8sio_api_";

/// How deep a field's name and its own properties stand.
const NAME_INDENT: usize = 5;
const OWN_INDENT: usize = 7;

/// `module` is the folder of the Go module `k8s.io/kubernetes`.
pub fn add(module: &Path, definitions: &mut BTreeMap<String, Value>) -> Result<()> {
    let text = fs::read_to_string(module.join(SOURCE)).with_context(|| format!("cannot read `{SOURCE}`"))?;
    let (mut definition, mut field, mut description) = (String::new(), String::new(), Value::Null);
    let mut count = 0;
    for line in text.lines() {
        let code = line.trim_start_matches('\t');
        let indent = line.len() - code.len();
        if let Some(rest) = line.strip_prefix(FUNCTION) {
            let name = rest.split('(').next().unwrap_or_default();
            definition = format!("io.k8s.api.{}", name.replacen('_', ".", 2));
        } else if let Some(name) = code.strip_prefix('"').and_then(|rest| rest.strip_suffix("\": {"))
            && indent == NAME_INDENT
        {
            (field, description) = (name.to_owned(), Value::Null);
        } else if let Some(text) = code.strip_prefix("Description:")
            && indent == OWN_INDENT
        {
            description = literal(text)?;
        } else if let Some(values) = code.strip_prefix("Enum:") {
            let (_, values) = values.split_once("interface{}{").context("values without a type")?;
            let values = literal(&format!("[{}]", values.trim_end_matches("},").trim_end_matches('}')))?;
            let target = definitions.get_mut(&definition).and_then(|d| d["properties"].get_mut(&field));
            // Definitions of groups that are not served are not there.
            let Some(target) = target else { continue };
            count += 1;
            if indent > OWN_INDENT {
                target["items"]["enum"] = values;
            } else {
                target["enum"] = values;
                target["description"] = description.clone();
            }
        }
    }
    ensure!(count > 50, "only {count} fields with permitted values were found");
    Ok(())
}

/// What Go quotes in these files, JSON quotes alike.
fn literal(text: &str) -> Result<Value> {
    let text = text.trim().trim_end_matches(',');
    serde_json::from_str(text).with_context(|| format!("no literal: {text}"))
}
