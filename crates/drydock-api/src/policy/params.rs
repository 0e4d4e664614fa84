//! What a binding hands to its policy: nothing, one object, or all that a selector selects.

use drydock_store::List;
use serde_json::Value;

use crate::served::ServedKind;
use crate::server::Cx;
use crate::stored;

/// The parameters to evaluate with, each on its own; [`Value::Null`] stands for none. The error says why a binding
/// cannot be followed.
pub(super) fn of(cx: &Cx, policy: &Value, reference: &Value) -> Result<Vec<Value>, String> {
    if !policy["paramKind"].is_object() || !reference.is_object() {
        return Ok(vec![Value::Null]);
    }
    let text = |object: &Value, field: &str| object[field].as_str().unwrap_or("").to_owned();
    let (version, name) = (text(&policy["paramKind"], "apiVersion"), text(&policy["paramKind"], "kind"));
    let kind = find(cx, &version, &name).ok_or_else(|| {
        format!("failed to find resource referenced by paramKind: '{version}, Kind={name}'")
    })?;
    let namespace = match (kind.is_namespaced(), text(reference, "namespace")) {
        (false, named) if named.is_empty() => String::new(),
        (false, _) => {
            return Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned());
        }
        (true, named) if !named.is_empty() => named,
        (true, _) => cx.path.namespace.clone().filter(|_| cx.kind.is_namespaced()).ok_or(
            "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources",
        )?,
    };
    let found = match text(reference, "name") {
        name if !name.is_empty() => {
            let entry = cx.server.store.get(&kind.key(&namespace, &name));
            entry.iter().map(|entry| shown(&kind, entry)).collect::<Result<Vec<_>, _>>()?
        }
        _ => selected(cx, &kind, &namespace, &reference["selector"])?,
    };
    if found.is_empty() && reference["parameterNotFoundAction"] == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found)
}

fn find(cx: &Cx, api_version: &str, name: &str) -> Option<ServedKind> {
    cx.server.kinds().into_iter().find(|kind| kind.api_version() == api_version && kind.kind() == name)
}

fn shown(kind: &ServedKind, entry: &drydock_store::Entry) -> Result<Value, String> {
    stored::decode(entry).map(|object| kind.present(object.value)).map_err(|error| error.message)
}

fn selected(cx: &Cx, kind: &ServedKind, namespace: &str, selector: &Value) -> Result<Vec<Value>, String> {
    let prefix = kind.prefix_in(Some(namespace).filter(|_| kind.is_namespaced()));
    let page = cx.server.store.list(List { prefix: &prefix, ..List::default() });
    let items = page.map_err(|error| error.to_string())?.items;
    let all = items.iter().map(|item| shown(kind, &item.entry)).collect::<Result<Vec<_>, _>>()?;
    let fits = |object: &Value| drydock_kinds::selector_matches(selector, &object["metadata"]["labels"]);
    Ok(all.into_iter().filter(fits).collect())
}
