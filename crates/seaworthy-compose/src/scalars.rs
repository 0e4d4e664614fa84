//! The small languages inside Compose's single values: switches, durations, sizes, cores, command lines, names.

/// `true`, `yes`, `on` and their opposites.
pub fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// `1h5m30s20ms` in whole seconds, rounded up; a bare number counts seconds.
pub fn duration_s(text: &str) -> Option<u32> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let mut micros = 0f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        micros += amount
            * match unit {
                "us" => 1.0,
                "ms" => 1e3,
                "s" => 1e6,
                "m" => 60e6,
                "h" => 3600e6,
                "d" => 86400e6,
                _ => return None,
            };
        rest = &rest[unit.len()..];
    }
    let seconds = (micros / 1e6).ceil();
    (!text.is_empty() && seconds <= f64::from(u32::MAX)).then_some(seconds as u32)
}

/// `512M`, `1gb`, `100`, in bytes; units are powers of 1024, as in Compose.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let amount: f64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "b" => 1u64,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "m" | "mb" | "mi" | "mib" => 1 << 20,
        "g" | "gb" | "gi" | "gib" => 1 << 30,
        "t" | "tb" | "ti" | "tib" => 1 << 40,
        _ => return None,
    };
    let bytes = amount * unit as f64;
    (bytes < 2f64.powi(62)).then_some(bytes as u64)
}

/// `0.5` or `250m` in thousandths of a core.
pub fn cpu_millis(text: &str) -> Option<u64> {
    if let Some(millis) = text.strip_suffix('m') {
        return millis.parse().ok();
    }
    let cores: f64 = text.parse().ok()?;
    (0.0..=4096.0).contains(&cores).then_some((cores * 1000.0).round() as u64)
}

/// Splits a command line as a shell would, without expanding anything. `None` when a quote stays open.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// `text` as a DNS label: lower case, letters, digits and single dashes, at most 50 characters. Empty when
/// nothing is left.
pub fn dns_label(text: &str) -> String {
    let mut label = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' => label.push(c),
            _ if !label.is_empty() && !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    label.truncate(50);
    label.trim_end_matches('-').to_owned()
}

/// Whether `name` can be the name of a Service: a DNS label that begins with a letter.
pub fn is_service_name(name: &str) -> bool {
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && dns_like(name)
}

fn dns_like(name: &str) -> bool {
    let ends_well = name.ends_with(|c: char| c.is_ascii_alphanumeric());
    ends_well && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `text` as a key of a ConfigMap or Secret.
pub fn file_key(text: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_to_seconds() {
        assert_eq!(duration_s("1m30s"), Some(90));
        assert_eq!(duration_s("500ms"), Some(1));
        assert_eq!(duration_s("1.5h"), Some(5400));
        assert_eq!(duration_s("15"), Some(15));
        assert_eq!(duration_s("soon"), None);
        assert_eq!(duration_s(""), None);
        assert_eq!(duration_s("5 s"), None);
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("512M"), Some(512 << 20));
        assert_eq!(bytes("1gb"), Some(1 << 30));
        assert_eq!(bytes("1.5Gi"), Some(3 << 29));
        assert_eq!(bytes("100"), Some(100));
        assert_eq!(bytes("much"), None);
    }

    #[test]
    fn cores_are_counted_in_thousandths() {
        assert_eq!(cpu_millis("0.5"), Some(500));
        assert_eq!(cpu_millis("250m"), Some(250));
        assert_eq!(cpu_millis("-1"), None);
    }

    #[test]
    fn command_lines_are_split_as_a_shell_does() {
        let split = |line: &str| words(line).map(|words| words.join("|"));
        assert_eq!(split("redis-server --appendonly yes").as_deref(), Some("redis-server|--appendonly|yes"));
        assert_eq!(split(r#"sh -c 'echo "a b"' x\ y """#).as_deref(), Some(r#"sh|-c|echo "a b"|x y|"#));
        assert_eq!(split("sh -c 'oops"), None);
    }

    #[test]
    fn folder_names_become_dns_labels() {
        assert_eq!(dns_label("My App_2"), "my-app-2");
        assert_eq!(dns_label("--"), "");
    }
}
