//! Names inside a chart: keys of values, parts of image references.

/// Top-level keys of `values.yaml` that are not services.
const RESERVED: &[&str] =
    &["ingress", "global", "existingSecret", "secretChecksum", "imagePullSecrets", "volumes"];

/// The key of a service in `values.yaml`: `mcp-server` is `mcpServer`, because a dash cannot stand in `.Values.x`.
pub fn values_key(service: &str) -> String {
    let mut key = String::with_capacity(service.len());
    let mut parts = service.split('-');
    key.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let mut chars = part.chars();
        match chars.next() {
            Some(first) if first.is_ascii_alphabetic() => {
                key.push(first.to_ascii_uppercase());
                key.push_str(chars.as_str());
            }
            // `a-1` and `a1` must stay apart.
            _ => {
                key.push('_');
                key.push_str(part);
            }
        }
    }
    if RESERVED.contains(&key.as_str()) { format!("{key}Service") } else { key }
}

/// Repository, tag and digest of an image reference; missing parts are empty.
pub fn split_image(reference: &str) -> (&str, &str, &str) {
    let (name, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let last_slash = name.rfind('/').map_or(0, |at| at + 1);
    match name[last_slash..].find(':') {
        Some(colon) => (&name[..last_slash + colon], &name[last_slash + colon + 1..], digest),
        None => (name, "", digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_get_keys_that_templates_can_name() {
        assert_eq!(values_key("backend"), "backend");
        assert_eq!(values_key("mcp-server"), "mcpServer");
        assert_eq!(values_key("a-1"), "a_1");
        assert_eq!(values_key("ingress"), "ingressService");
    }

    #[test]
    fn references_are_split_at_the_right_colon() {
        assert_eq!(split_image("redis:7-alpine"), ("redis", "7-alpine", ""));
        assert_eq!(split_image("localhost:5000/redis"), ("localhost:5000/redis", "", ""));
        assert_eq!(split_image("ghcr.io/a/b:1@sha256:x"), ("ghcr.io/a/b", "1", "sha256:x"));
    }
}
