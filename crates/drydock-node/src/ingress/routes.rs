//! Which backend answers for a host and a path.
//!
//! Rules of `networking.k8s.io/v1`: an exact host beats a wildcard, a wildcard stands for one label, the
//! longest path wins and `Exact` beats `Prefix` of the same length; prefixes match whole path elements.
//! Pure; built by `build.rs` and replaced as a whole.
//!
//! Start at [`Table::find`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddrV4;
use std::sync::Arc;

/// Where requests of a route go.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// `namespace/service:port`, for people.
    pub service: String,
    /// Ready endpoints only.
    pub endpoints: Vec<SocketAddrV4>,
    /// Why `endpoints` is empty, as a person would be told; empty when it is not.
    pub problem: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathType {
    Exact,
    /// Also what `ImplementationSpecific` means here.
    Prefix,
}

#[derive(Clone, Debug)]
struct Rule {
    path: String,
    path_type: PathType,
    backend: Arc<Backend>,
}

/// What [`Table::find`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Backend(Arc<Backend>),
    /// No Ingress names this host; the known hosts, sorted.
    UnknownHost(Vec<String>),
    /// The host is known, but no rule has this path.
    UnknownPath,
}

#[derive(Debug, Default)]
pub struct Table {
    exact: HashMap<String, Vec<Rule>>,
    /// Keyed by what follows `*.`.
    wildcard: HashMap<String, Vec<Rule>>,
    any_host: Vec<Rule>,
    default: Option<Arc<Backend>>,
}

impl Table {
    /// Adds one path of one rule. Of two equal ones the first added wins.
    pub fn add(&mut self, host: Option<&str>, path: &str, path_type: PathType, backend: Arc<Backend>) {
        let rules = match host.map(str::to_ascii_lowercase) {
            None => &mut self.any_host,
            Some(host) if host.is_empty() => &mut self.any_host,
            Some(host) => match host.strip_prefix("*.") {
                Some(suffix) => self.wildcard.entry(suffix.to_owned()).or_default(),
                None => self.exact.entry(host).or_default(),
            },
        };
        let path = if path.is_empty() { "/" } else { path };
        rules.push(Rule { path: path.to_owned(), path_type, backend });
    }

    /// The backend for what no rule matches; the first one given wins.
    pub fn set_default(&mut self, backend: Arc<Backend>) {
        self.default.get_or_insert(backend);
    }

    /// `host` as in the request's Host header, with or without port; `path` without query.
    pub fn find(&self, host: &str, path: &str) -> Found {
        let host = normal_host(host);
        let rules = self.rules_for(&host);
        let best = rules.and_then(|rules| best(rules, path)).or_else(|| best(&self.any_host, path));
        match (best.or(self.default.as_ref()), rules) {
            (Some(backend), _) => Found::Backend(backend.clone()),
            (None, Some(_)) => Found::UnknownPath,
            (None, None) if !self.any_host.is_empty() => Found::UnknownPath,
            (None, None) => Found::UnknownHost(self.hosts()),
        }
    }

    /// Every endpoint some rule leads to.
    pub fn endpoints(&self) -> HashSet<SocketAddrV4> {
        let rules = self.exact.values().chain(self.wildcard.values()).flatten().chain(&self.any_host);
        let backends = rules.map(|rule| &rule.backend).chain(&self.default);
        backends.flat_map(|backend| backend.endpoints.iter().copied()).collect()
    }

    fn rules_for(&self, host: &str) -> Option<&Vec<Rule>> {
        self.exact.get(host).or_else(|| self.wildcard.get(host.split_once('.')?.1))
    }

    fn hosts(&self) -> Vec<String> {
        let exact = self.exact.keys().cloned();
        let wild = self.wildcard.keys().map(|suffix| format!("*.{suffix}"));
        exact.chain(wild).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Longest path first, `Exact` before `Prefix`; among equals the first rule added.
fn best<'a>(rules: &'a [Rule], path: &str) -> Option<&'a Arc<Backend>> {
    let mut best: Option<&Rule> = None;
    for rule in rules.iter().filter(|rule| matches(rule, path)) {
        let rank = |r: &Rule| (r.path_type == PathType::Exact, r.path.trim_end_matches('/').len());
        if best.is_none_or(|b| rank(rule) > rank(b)) {
            best = Some(rule);
        }
    }
    best.map(|rule| &rule.backend)
}

fn matches(rule: &Rule, path: &str) -> bool {
    match rule.path_type {
        PathType::Exact => rule.path == path,
        PathType::Prefix => {
            let prefix = rule.path.trim_end_matches('/');
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// Lower case, without port and without the final dot.
pub fn normal_host(host: &str) -> String {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    };
    without_port.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str) -> Arc<Backend> {
        Arc::new(Backend { service: name.into(), endpoints: vec![], problem: String::new() })
    }

    /// Rules are `host path` for Prefix, `host =path` for Exact, `-` for no host; the backend is the rule's text.
    #[track_caller]
    fn check(rules: &[&str], request: &str, expect: &str) {
        let mut table = Table::default();
        for rule in rules {
            let (host, path) = rule.split_once(' ').unwrap();
            let (path_type, path) = match path.strip_prefix('=') {
                Some(path) => (PathType::Exact, path),
                None => (PathType::Prefix, path),
            };
            match host {
                "default" => table.set_default(backend(rule)),
                "-" => table.add(None, path, path_type, backend(rule)),
                host => table.add(Some(host), path, path_type, backend(rule)),
            }
        }
        let (host, path) = request.split_once(' ').unwrap();
        let found = match table.find(host, path) {
            Found::Backend(backend) => backend.service.clone(),
            Found::UnknownHost(hosts) => format!("no host, have {}", hosts.join(",")),
            Found::UnknownPath => "no path".into(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn the_host_decides_first() {
        check(&["a.localhost /", "b.localhost /"], "b.localhost:8080 /x", "b.localhost /");
    }
    #[test]
    fn hosts_compare_without_case_port_and_final_dot() {
        check(&["Todo.localhost /"], "todo.LOCALHOST.:8080 /", "Todo.localhost /");
    }
    #[test]
    fn an_exact_host_beats_a_wildcard() {
        check(&["*.localhost /", "a.localhost /"], "a.localhost /", "a.localhost /");
    }
    #[test]
    fn a_wildcard_stands_for_exactly_one_label() {
        check(&["*.foo.com /"], "bar.foo.com /", "*.foo.com /");
        check(&["*.foo.com /"], "baz.bar.foo.com /", "no host, have *.foo.com");
        check(&["*.foo.com /"], "foo.com /", "no host, have *.foo.com");
    }
    #[test]
    fn the_longest_prefix_wins() {
        check(&["h /", "h /api", "h /api/v1"], "h /api/v1/x", "h /api/v1");
        check(&["h /api/v1", "h /"], "h /api", "h /");
    }
    #[test]
    fn prefixes_match_whole_elements() {
        check(&["h /api"], "h /api/x", "h /api");
        check(&["h /api"], "h /api", "h /api");
        check(&["h /api"], "h /apix", "no path");
        check(&["h /api/"], "h /api", "h /api/");
    }
    #[test]
    fn an_exact_path_beats_a_prefix() {
        check(&["h /api", "h =/api"], "h /api", "h =/api");
        check(&["h =/api"], "h /api/", "no path");
    }
    #[test]
    fn rules_without_host_catch_every_host() {
        check(&["- /", "h /api"], "h /api", "h /api");
        check(&["- /", "h /api"], "h /other", "- /");
        check(&["- /"], "anything /", "- /");
    }
    #[test]
    fn the_default_backend_answers_the_rest() {
        check(&["h /api", "default /"], "h /other", "default /");
        check(&["h /api", "default /"], "unknown /", "default /");
    }
    #[test]
    fn an_unknown_host_hears_the_known_ones() {
        check(&["b.localhost /", "a.localhost /"], "c.localhost /", "no host, have a.localhost,b.localhost");
    }
    #[test]
    fn a_bracketed_address_keeps_its_colons() {
        assert_eq!(normal_host("[::1]:8080"), "[::1]");
        assert_eq!(normal_host("[::1]"), "[::1]");
    }
}
