//! Walks a tree and replaces the references in its values.
//!
//! Keys are left alone. Top-level `x-` blocks are too: they count where an alias uses them.

use crate::error::{Fault, Result};
use crate::node::{Node, Value};
use crate::variables::{Place, Variables, has_placeholder};

/// Replaces references in every value of the file.
pub fn interpolate(root: &mut Node, variables: &mut Variables) -> Result<()> {
    for entry in root.entries_mut() {
        match entry.key.as_str() {
            "services" => parts(&mut entry.node, variables, HIDING)?,
            "configs" => parts(&mut entry.node, variables, &["content"])?,
            key if key.starts_with("x-") && key != "x-seaworthy" => {}
            _ => walk(&mut entry.node, variables, Place::Plain)?,
        }
    }
    Ok(())
}

/// Keys of a service whose values can refer to secrets.
const HIDING: &[&str] = &["environment", "command", "entrypoint", "healthcheck", "labels"];

fn parts(node: &mut Node, variables: &mut Variables, hiding: &[&str]) -> Result<()> {
    for named in node.entries_mut() {
        for part in named.node.entries_mut() {
            let place = if hiding.contains(&part.key.as_str()) { Place::Hiding } else { Place::Plain };
            walk(&mut part.node, variables, place)?;
        }
    }
    Ok(())
}

fn walk(node: &mut Node, variables: &mut Variables, place: Place) -> Result<()> {
    let mark = node.mark;
    match &mut node.value {
        Value::Null => Ok(()),
        Value::Seq(items) => items.iter_mut().try_for_each(|item| walk(item, variables, place)),
        Value::Map(entries) => {
            entries.iter_mut().try_for_each(|entry| walk(&mut entry.node, variables, place))
        }
        Value::Scalar { text, quoted } => {
            if has_placeholder(text) {
                // The characters that mark secrets are private to us; a file that holds them gains nothing.
                text.retain(|c| !has_placeholder(c.encode_utf8(&mut [0; 4])));
            }
            if !text.contains('$') {
                return Ok(());
            }
            match variables.expand(text, place) {
                Ok(expanded) => {
                    *text = expanded;
                    Ok(())
                }
                Err(bad) => {
                    let mark = mark.shifted(bad.offset + usize::from(*quoted), bad.width);
                    Err(Box::new(Fault { problem: bad.problem, mark: Some(mark), hint: bad.hint }))
                }
            }
        }
    }
}
