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
            "services" => services(&mut entry.node, variables)?,
            key if key.starts_with("x-") && key != "x-seaworthy" => {}
            _ => walk(&mut entry.node, variables, Place::Elsewhere)?,
        }
    }
    Ok(())
}

fn services(node: &mut Node, variables: &mut Variables) -> Result<()> {
    for service in node.entries_mut() {
        for part in service.node.entries_mut() {
            let place = if part.key == "environment" { Place::Environment } else { Place::Elsewhere };
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
