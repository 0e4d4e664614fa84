//! The rules for names, labels and ports that all kinds share.
//!
//! Each check returns the complaint a client knows from a real cluster, or nothing.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
    with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
    '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
    used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

pub(crate) fn subdomain(name: &str) -> Option<String> {
    too_long(name, 253, "characters")
        .or_else(|| (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned()))
}

pub(crate) fn label(name: &str) -> Option<String> {
    too_long(name, 63, "characters").or_else(|| (!is_label(name)).then(|| LABEL.to_owned()))
}

pub(crate) fn label_1035(name: &str) -> Option<String> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    too_long(name, 63, "characters")
        .or_else(|| (!starts_well || !is_label(name)).then(|| LABEL_1035.to_owned()))
}

pub(crate) fn path_segment(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        _ => ["/", "%"].iter().find(|bad| name.contains(**bad)).map(|bad| format!("may not contain '{bad}'")),
    }
}

/// Keys of labels and annotations: an optional DNS prefix and a name.
pub fn qualified(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if let Some(complaint) = prefix.and_then(subdomain) {
        return Some(format!("prefix part {complaint}"));
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if let Some(complaint) = too_long(name, 63, "bytes") {
        return Some(format!("name part {complaint}"));
    }
    (!is_word(name)).then(|| QUALIFIED.to_owned())
}

pub fn label_value(value: &str) -> Option<String> {
    too_long(value, 63, "bytes")
        .or_else(|| (!value.is_empty() && !is_word(value)).then(|| LABEL_VALUE.to_owned()))
}

/// Names of ports: at most 15 characters with at least one letter.
pub(crate) fn port_name(name: &str) -> Option<String> {
    let complaint = if name.len() > 15 {
        "must be no more than 15 characters"
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    } else if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        "must contain at least one letter (a-z)"
    } else if name.contains("--") {
        "must not contain consecutive hyphens"
    } else if name.starts_with('-') || name.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(complaint.to_owned())
}

/// Keys of ConfigMaps and Secrets, which become file names.
pub(crate) fn data_key(key: &str) -> Option<String> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if key.is_empty() || !plain {
        return Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    if key == "." || key.starts_with("..") {
        return Some(format!("must not be or start with '{}'", if key == "." { "." } else { ".." }));
    }
    too_long(key, 253, "characters")
}

/// Some rules count characters and others bytes, in words only.
fn too_long(name: &str, max: usize, unit: &str) -> Option<String> {
    (name.len() > max).then(|| format!("must be no more than {max} {unit}"))
}

fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty() && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn is_word(name: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&str) -> Option<String>, good: &[&str], bad: &[&str]) {
        for name in good {
            assert_eq!(rule(name), None, "{name}");
        }
        for name in bad {
            assert!(rule(name).is_some(), "{name}");
        }
    }

    #[test]
    fn subdomains_are_labels_joined_by_dots() {
        check(subdomain, &["a", "a.b-c.1", "kube-root-ca.crt"], &["", "A", "a..b", "-a", "a_b", "a."]);
    }

    #[test]
    fn service_names_start_with_a_letter() {
        check(label_1035, &["web", "a1-b"], &["1web", "web-", "we.b", ""]);
    }

    #[test]
    fn label_keys_may_have_a_prefix() {
        check(qualified, &["app", "app.kubernetes.io/name", "a_b"], &["", "/a", "a/", "A b", "UP/x", "-a"]);
    }

    #[test]
    fn label_values_may_be_empty() {
        check(label_value, &["", "v1.2_3", "A"], &["-a", "a b", "a/b"]);
    }

    #[test]
    fn port_names_need_a_letter() {
        check(port_name, &["http", "h-2"], &["80", "HTTP", "a--b", "-a", "averyveryverylongname"]);
    }
}
