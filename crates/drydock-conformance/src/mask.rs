//! Masks what changes from run to run, so that what is left can be compared.
//!
//! Numbers that a cluster draws (uids, addresses, ports, suffixes, revisions), times and ages become `<...>`; the
//! run's namespace becomes `$NS`. Columns are set apart by two spaces, since their width follows from masked text.

use std::sync::LazyLock;

use regex::Regex;

/// Letters and digits that Kubernetes draws names from.
const DRAWN: &str = "bcdfghjklmnpqrstvwxz2456789";

static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let rules: &[(&str, &str)] = &[
        (r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]+", "<token>"),
        (
            r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\n\\ ]+-----END CERTIFICATE-----(\\n|\n)?",
            "<certificate>",
        ),
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<time>"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4}( UTC)?", "<time>"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
        (r#"(?i)(resource ?version\\?"?(?:: +|=|:)\\?"?)[1-9]\d*"#, "$1<rv>"),
        (r"[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([a-z_]+\.go):\d+\]", "<log> $1]"),
        (r"/tmp/(LIVE|MERGED)-\d+", "/tmp/$1-<n>"),
        (r"/tmp/kubectl-edit-\d+\.yaml", "/tmp/kubectl-edit-<n>.yaml"),
        (r"(Expected resource version to be \d+, was )\d+", "$1<rv>"),
        (r"(ResourceVersion in record \()\d+", "$1<rv>"),
        (r"(too old resource version: (?:<rv>|\d+) \()\d+", "$1<rv>"),
        (r"(Too large resource version: \d+, current: )\d+", "$1<rv>"),
        (r#"(?m)^( +)"\d{1,3}s"(,?)$"#, "$1\"<age>\"$2"),
        (r#"("serverAddress": ?")[^"]*"#, "$1<address>"),
        (r"\b(kubernetes|drydock)-admin\b", "<admin>"),
        (r"X509SHA256=[0-9a-f]{64}", "X509SHA256=<digest>"),
        (r"\b10\.\d+\.\d+\.\d+\b", "<ip>"),
        (r"\b3[0-2]\d{3}\b", "<nodeport>"),
        (r#"(hash"?(?:=|: |:)"?)[0-9a-z]{6,10}\b"#, "$1<hash>"),
        (r"-[DRAWN]{7,10}\b", "-<hash>"),
        (r"-[DRAWN]{5}\b", "-<drawn>"),
        (
            r"(?m)(^|[ \t(])(?:\d{1,4}s|\d{1,2}m\d{1,2}s|[1-9]m|1\dm|\d+[hd](?:\d+[mh])?|<invalid>)($|[ \t),])",
            "$1<age>$2",
        ),
        (r" \(x\d+ over <age>\)", ""),
        (r"(?m)([^ \n])[ \t]{2,}", "$1  "),
        (r"(?m)[ \t]+$", ""),
    ];
    let compile = |(expression, with): &(&str, &'static str)| {
        let expression = Regex::new(&expression.replace("DRAWN", DRAWN));
        (expression.expect("the rules are constants that the tests compile"), *with)
    };
    rules.iter().map(compile).collect()
});

/// What a run knows about itself.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    pub namespace: String,
    /// The server's address, as `127.0.0.1:6443`.
    pub server: String,
    /// The folder that the steps run in.
    pub folder: String,
}

impl Mask {
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (known, name) in
            [(&self.namespace, "$NS"), (&self.server, "<server>"), (&self.folder, "<folder>")]
        {
            if !known.is_empty() {
                text = text.replace(known.as_str(), name);
            }
        }
        if let Some((_, port)) = self.server.split_once(':') {
            text = whole_word(&text, port, "<port>");
        }
        for (expression, with) in RULES.iter() {
            // Two neighbours share the blank between them, so a rule is applied twice.
            for _ in 0..2 {
                text = expression.replace_all(&text, *with).into_owned();
            }
        }
        text.trim_end().to_owned()
    }
}

/// Replaces `word` where no digit or letter touches it.
fn whole_word(text: &str, word: &str, with: &str) -> String {
    let touches = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    let mut parts = text.split(word);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let inside = touches(result.chars().next_back()) || touches(part.chars().next());
        result.push_str(if inside { word } else { with });
        result.push_str(part);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let mask =
            Mask { namespace: "get-127".into(), server: "127.0.0.1:6443".into(), folder: "/tmp/x".into() };
        assert_eq!(mask.apply(text), expect);
    }

    #[test]
    fn ages_are_masked_in_tables_and_events() {
        check("NAME   AGE\nweb    3s\napi    2m10s", "NAME  AGE\nweb  <age>\napi  <age>");
        check("Normal  Scheduled  5s (x3 over 1m)  sched", "Normal  Scheduled  <age>  sched");
    }

    #[test]
    fn quantities_and_flags_are_no_ages() {
        check("cpu: 250m, timeout=1s", "cpu: 250m, timeout=1s");
    }

    #[test]
    fn drawn_names_are_masked_and_given_ones_are_not() {
        check("pod/web-6d4cf56db6-x2kqz", "pod/web-<hash>-<drawn>");
        check("my-config web-sorted", "my-config web-sorted");
        check("pod-template-hash: 6d4cf56db6", "pod-template-hash: <hash>");
    }

    #[test]
    fn indentation_stays() {
        check("a:\n    b:     c", "a:\n    b:  c");
    }

    #[test]
    fn the_zero_revision_is_a_statement_and_stays() {
        check("resourceVersion: \"0\"", "resourceVersion: \"0\"");
        check("\"resourceVersion\": \"812\"", "\"resourceVersion\": \"<rv>\"");
    }

    #[test]
    fn the_servers_port_is_masked_as_a_whole_only() {
        check("targetPort: 6443 of 16443", "targetPort: <port> of 16443");
    }

    #[test]
    fn the_runs_own_names_are_masked() {
        check("get-127 at https://127.0.0.1:6443 in /tmp/x/a", "$NS at https://<server> in <folder>/a");
    }
}
