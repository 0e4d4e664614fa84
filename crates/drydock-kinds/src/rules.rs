//! The rules for names, labels, ports and addresses that all kinds share.
//!
//! Each rule returns the complaints that a client knows from a real cluster, in its order. Start at [`check`].

use std::net::IpAddr;

use serde_json::Value;

use crate::field::{FieldError, Path};

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

const LABEL_KEY: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. \
    'example.com/MyName')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
    or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
    consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
    '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DOMAIN_PATH: &str = "must be a domain-prefixed path (such as \"acme.io/foo\")";

/// A rule and its complaints about a text; none when it is sound.
pub(crate) type Rule = fn(&str) -> Vec<String>;

/// The complaints of a rule as errors of one field.
pub(crate) fn check(rule: Rule, value: &str, path: &Path) -> Vec<FieldError> {
    rule(value).into_iter().map(|complaint| FieldError::invalid(path, value, complaint)).collect()
}

/// The same for a field that may be left out.
pub(crate) fn check_if_present(rule: Rule, object: &Value, field: &str, path: &Path) -> Vec<FieldError> {
    match object.get(field).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => check(rule, text, &path.child(field)),
        _ => Vec::new(),
    }
}

/// The same for a field that has to be there.
pub(crate) fn check_required(rule: Rule, object: &Value, field: &str, path: &Path) -> Vec<FieldError> {
    match object.get(field).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => check(rule, text, &path.child(field)),
        _ => vec![FieldError::required(&path.child(field), "")],
    }
}

pub(crate) fn subdomain(name: &str) -> Vec<String> {
    let sound = name.split('.').all(is_label);
    too_long(name, 253, "characters").into_iter().chain((!sound).then(|| SUBDOMAIN.to_owned())).collect()
}

/// A subdomain whose first label is `*`.
pub(crate) fn wildcard(name: &str) -> Vec<String> {
    let sound = name.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(is_label));
    too_long(name, 253, "characters").into_iter().chain((!sound).then(|| WILDCARD.to_owned())).collect()
}

pub(crate) fn label(name: &str) -> Vec<String> {
    let complaint = if is_label(name) {
        None
    } else if name.split('.').all(is_label) {
        Some("must not contain dots".to_owned())
    } else {
        Some(LABEL.to_owned())
    };
    too_long(name, 63, "characters").into_iter().chain(complaint).collect()
}

pub(crate) fn label_1035(name: &str) -> Vec<String> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    let sound = starts_well && is_label(name);
    too_long(name, 63, "characters").into_iter().chain((!sound).then(|| LABEL_1035.to_owned())).collect()
}

pub(crate) fn path_segment(name: &str) -> Vec<String> {
    match name {
        "." | ".." => vec![format!("may not be '{name}'")],
        _ => {
            let bad = ["/", "%"].into_iter().filter(|bad| name.contains(bad));
            bad.map(|bad| format!("may not contain '{bad}'")).collect()
        }
    }
}

/// Keys of labels and annotations: an optional DNS prefix and a name.
pub(crate) fn qualified(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((_, rest)) if rest.contains('/') => return vec![LABEL_KEY.to_owned()],
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let mut complaints = match prefix {
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")).collect(),
        None => Vec::new(),
    };
    if name.is_empty() {
        complaints.push("name part must be non-empty".to_owned());
    }
    complaints.extend(too_long(name, 63, "bytes").map(|text| format!("name part {text}")));
    if !is_word(name) {
        complaints.push(QUALIFIED.to_owned());
    }
    complaints
}

pub(crate) fn label_value(value: &str) -> Vec<String> {
    let sound = value.is_empty() || is_word(value);
    too_long(value, 63, "bytes").into_iter().chain((!sound).then(|| LABEL_VALUE.to_owned())).collect()
}

/// `example.com/path`
pub(crate) fn domain_path(name: &str) -> Vec<String> {
    match name.split_once('/') {
        Some((domain, path)) if !domain.is_empty() && !path.is_empty() => {
            if domain.split('.').all(is_label) {
                Vec::new()
            } else {
                vec![DOMAIN_PATH.to_owned()]
            }
        }
        _ => vec![DOMAIN_PATH.to_owned()],
    }
}

/// Names of ports: at most 15 characters with at least one letter.
pub(crate) fn port_name(name: &str) -> Vec<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let complaints = [
        (name.len() > 15, "must be no more than 15 characters"),
        (!name.bytes().all(plain), "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"),
        (!name.bytes().any(|b| b.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (name.contains("--"), "must not contain consecutive hyphens"),
        (name.starts_with('-') || name.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    complaints.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text.to_owned()).collect()
}

/// Names of environment variables.
pub(crate) fn variable(name: &str) -> Vec<String> {
    let sound = !name.is_empty() && name.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'=');
    let detail =
        "a valid environment variable name must consist only of printable ASCII characters other than '='";
    (!sound).then(|| detail.to_owned()).into_iter().collect()
}

pub(crate) fn ip(text: &str) -> Vec<String> {
    let detail = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    text.parse::<IpAddr>().is_err().then(|| detail.to_owned()).into_iter().collect()
}

pub(crate) fn cidr(text: &str) -> Vec<String> {
    let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
    network(text).is_none().then(|| detail.to_owned()).into_iter().collect()
}

/// Address and prefix length of a network.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix) = (address.parse::<IpAddr>().ok()?, prefix.parse::<u8>().ok()?);
    (prefix <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, prefix))
}

/// A search path of a resolver: a subdomain that may hold underscores.
pub(crate) fn search_path(name: &str) -> Vec<String> {
    let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and \
                  must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                  '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
    let sound =
        name.split('.').all(|part| is_label(&part.strip_prefix('_').unwrap_or(part).replace('_', "-")));
    too_long(name, 253, "characters").into_iter().chain((!sound).then(|| detail.to_owned())).collect()
}

/// Whatever is there.
pub(crate) fn any(_: &str) -> Vec<String> {
    Vec::new()
}

/// Keys of ConfigMaps and Secrets, which become file names.
pub(crate) fn data_key(key: &str) -> Vec<String> {
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let mut complaints: Vec<String> = too_long(key, 253, "characters").into_iter().collect();
    if key.is_empty() || !plain {
        complaints.push(CONFIG_KEY.to_owned());
    }
    match key {
        "." | ".." => complaints.push(format!("must not be '{key}'")),
        key if key.starts_with("..") => complaints.push("must not start with '..'".to_owned()),
        _ => {}
    }
    complaints
}

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
    fn check(rule: Rule, good: &[&str], bad: &[&str]) {
        for name in good {
            assert!(rule(name).is_empty(), "{name}");
        }
        for name in bad {
            assert!(!rule(name).is_empty(), "{name}");
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
