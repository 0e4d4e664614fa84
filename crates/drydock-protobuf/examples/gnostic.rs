//! Turns an OpenAPI v2 document in JSON (stdin) into protobuf (stdout), to compare with what a real server sends.

use std::io::{Read as _, Write as _};

use drydock_protobuf::gnostic::Document;
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let source: Value = serde_json::from_str(&text)?;
    let mut document = Document::default();
    for (path, item) in source["paths"].as_object().into_iter().flatten() {
        document.path(path, item);
    }
    for (name, schema) in source["definitions"].as_object().into_iter().flatten() {
        document.definition(name, schema);
    }
    std::io::stdout().write_all(&document.finish(&source))?;
    Ok(())
}
