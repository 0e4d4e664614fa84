//! Kubernetes APIs that are on their way out, as a cluster of some version would warn.

use serde_json::Value as Json;

/// `API|kind|deprecated in|removed in|replacement`, sorted.
const TABLE: &str = include_str!("deprecations.txt");

/// The warning for an object on `kube_version`, such as `v1.30.0`.
pub(super) fn check(object: &Json, kube_version: &str) -> Result<(), String> {
    let (Some(api), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
        return Ok(());
    };
    let row = TABLE
        .lines()
        .map(|line| line.split('|').collect::<Vec<_>>())
        .find(|row| row.starts_with(&[api, kind]));
    let Some([_, _, deprecated, removed, replacement]) = row.as_deref() else { return Ok(()) };
    let Some(since) = pair(deprecated).filter(|since| version(kube_version).is_some_and(|now| now >= *since))
    else {
        return Ok(());
    };
    let mut text = format!("{api} {kind} is deprecated in v{}.{}+", since.0, since.1);
    if let Some((major, minor)) = pair(removed).filter(|removed| *removed != (0, 0)) {
        text.push_str(&format!(", unavailable in v{major}.{minor}+"));
    }
    if !replacement.is_empty() {
        text.push_str(&format!("; use {replacement}"));
    }
    Err(text)
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(',')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_old_ingress_is_told_what_to_become_and_only_where_it_is_old() {
        let ingress = json!({"apiVersion": "extensions/v1beta1", "kind": "Ingress"});
        let told = check(&ingress, "v1.30.0").unwrap_err();
        assert_eq!(
            told,
            "extensions/v1beta1 Ingress is deprecated in v1.14+, unavailable in v1.22+; use networking.k8s.io/v1 Ingress"
        );
        assert_eq!(check(&ingress, "v1.13.0"), Ok(()));
        assert_eq!(check(&json!({"apiVersion": "apps/v1", "kind": "Deployment"}), "v1.37.0"), Ok(()));
    }
}
