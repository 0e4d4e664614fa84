//! What a request asks for, read from its method, path and query.
//!
//! Start at [`Target::parse`].

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use crate::resource::page::go_number;
use crate::status::ApiError;

/// The thing a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Resource(ResourcePath),
    /// Discovery, health, OpenAPI: everything that is no object.
    Other(String),
}

/// `/apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME[/SUBRESOURCE]]`, with an empty group for `/api/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourcePath {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: String,
    /// The legacy `/watch/` form.
    pub legacy_watch: bool,
    /// What stands behind `/proxy`, as it was sent: empty, or a path with its slash.
    pub proxied: String,
}

impl Target {
    pub fn parse(path: &str) -> Result<Self, ApiError> {
        let other = || Ok(Self::Other(path.to_owned()));
        let segments: Vec<String> =
            path.split('/').filter(|s| !s.is_empty()).map(decode).collect::<Result<_, _>>()?;
        let words: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match words.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return other(),
        };
        let (legacy_watch, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let mut found = ResourcePath {
            group: group.to_owned(),
            version: version.to_owned(),
            legacy_watch,
            ..ResourcePath::default()
        };
        let rest = match rest {
            // A namespace's own subresources are not resources inside it.
            ["namespaces", namespace, rest @ ..] if !matches!(rest, [] | ["status"] | ["finalize"]) => {
                found.namespace = Some((*namespace).to_owned());
                rest
            }
            rest => rest,
        };
        match rest {
            [plural] => found.plural = (*plural).to_owned(),
            [plural, name] => (found.plural, found.name) = ((*plural).to_owned(), Some((*name).to_owned())),
            [plural, name, subresource] => {
                (found.plural, found.name) = ((*plural).to_owned(), Some((*name).to_owned()));
                found.subresource = (*subresource).to_owned();
            }
            [plural @ ("pods" | "services" | "nodes"), name, "proxy", ..] if group.is_empty() => {
                (found.plural, found.name) = ((*plural).to_owned(), Some((*name).to_owned()));
                found.subresource = "proxy".to_owned();
            }
            _ => return Err(ApiError::no_such_path()),
        }
        if found.is_proxy() {
            found.proxied = behind(path, words.len() - rest.len() + 3).to_owned();
        }
        Ok(Self::Resource(found))
    }
}

/// What is left of a path behind this many segments, with its slash.
fn behind(path: &str, segments: usize) -> &str {
    (0..segments).fold(path, |path, _| {
        let path = path.trim_start_matches('/');
        path.find('/').map_or("", |end| &path[end..])
    })
}

impl ResourcePath {
    /// The verb RBAC knows this request by.
    pub fn verb(&self, method: &Method, query: &Query) -> &'static str {
        let watching = self.legacy_watch || query.is_true("watch");
        match (method.as_str(), &self.name) {
            ("GET" | "HEAD", _) if watching && self.subresource.is_empty() => "watch",
            ("GET" | "HEAD", Some(_)) => "get",
            ("GET" | "HEAD", None) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", Some(_)) => "delete",
            ("DELETE", None) => "deletecollection",
            _ => "",
        }
    }

    /// Subresources through which a client acts inside a pod.
    pub fn is_command(&self) -> bool {
        self.group.is_empty()
            && self.plural == "pods"
            && matches!(self.subresource.as_str(), "exec" | "attach" | "portforward")
    }

    /// A request that is passed on to whatever listens in a pod, behind a Service or on a node.
    pub fn is_proxy(&self) -> bool {
        self.group.is_empty()
            && self.subresource == "proxy"
            && matches!(self.plural.as_str(), "pods" | "services" | "nodes")
    }

    pub fn is_long_running(&self, verb: &str) -> bool {
        verb == "watch"
            || matches!(self.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
    }

    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("")
    }
}

/// The decoded query string. Later duplicates are ignored, as most clients never send any.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    pub fn of(uri: &Uri) -> Self {
        let text = uri.query().unwrap_or("").as_bytes();
        Self { pairs: form_urlencoded::parse(text).into_owned().collect() }
    }

    /// The value of a parameter; `None` when absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| key == name)?;
        (!found.1.is_empty()).then_some(found.1.as_str())
    }

    pub fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The query with one more parameter, which counts before others of its name.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.pairs.insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    pub fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1" | "True" | "t" | "T" | "TRUE"))
    }

    /// A switch as the options of logs and streams read it: anything but `0` and `false`, also an empty value, is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.all(name).next().is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    pub fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let refused = || ApiError::bad_request(go_number(text, "ParseInt"));
        text.parse().map(Some).map_err(|_| refused())
    }
}

fn decode(segment: &str) -> Result<String, ApiError> {
    let text = percent_decode_str(segment).decode_utf8();
    text.map(Into::into).map_err(|_| ApiError::bad_request("the path is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expect: &str) {
        let uri: Uri = path.parse().unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let seen = match Target::parse(uri.path()) {
            Ok(Target::Other(path)) => format!("other {path}"),
            Err(error) => error.reason.to_owned(),
            Ok(Target::Resource(p)) => format!(
                "{} {}/{} {} {}/{}/{}",
                p.verb(&method, &Query::of(&uri)),
                p.group,
                p.version,
                p.plural,
                p.namespace.as_deref().unwrap_or("*"),
                p.name(),
                p.subresource
            ),
        };
        assert_eq!(seen, expect);
    }

    #[test]
    fn objects_in_a_namespace_are_found() {
        check("GET", "/apis/apps/v1/namespaces/a/deployments/web", "get apps/v1 deployments a/web/");
        check(
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/web/scale",
            "patch apps/v1 deployments a/web/scale",
        );
        check("GET", "/api/v1/namespaces/a/pods?watch=1", "watch /v1 pods a//");
        check("DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 pods a//");
    }

    #[test]
    fn a_namespace_is_an_object_of_the_cluster() {
        check("GET", "/api/v1/namespaces/a", "get /v1 namespaces */a/");
        check("PUT", "/api/v1/namespaces/a/finalize", "update /v1 namespaces */a/finalize");
        check("GET", "/api/v1/namespaces/a/status", "get /v1 namespaces */a/status");
    }

    #[test]
    fn the_legacy_watch_form_is_a_watch() {
        check("GET", "/api/v1/watch/namespaces/a/pods/x", "watch /v1 pods a/x/");
    }

    #[track_caller]
    fn check_proxied(path: &str, name: &str, proxied: &str) {
        let Ok(Target::Resource(found)) = Target::parse(path) else { panic!("{path} names no object") };
        assert_eq!((found.name(), found.proxied.as_str()), (name, proxied), "{path}");
        assert_eq!(found.subresource, "proxy");
    }

    #[test]
    fn what_stands_behind_a_proxy_is_kept_as_it_was_sent() {
        check_proxied("/api/v1/namespaces/a/pods/web:80/proxy", "web:80", "");
        check_proxied("/api/v1/namespaces/a/pods/web:80/proxy/", "web:80", "/");
        check_proxied(
            "/api/v1/namespaces/a/services/https:web:tls/proxy/a//b%2Fc/",
            "https:web:tls",
            "/a//b%2Fc/",
        );
        check_proxied("/api/v1/nodes/n/proxy/healthz", "n", "/healthz");
        check_proxied("/api/v1/namespaces/proxy/pods/proxy/proxy/proxy", "proxy", "/proxy");
    }

    #[test]
    fn escaped_names_are_decoded() {
        check("GET", "/api/v1/nodes/a%3Ab", "get /v1 nodes */a:b/");
    }

    #[test]
    fn paths_that_name_no_object_are_left_to_others() {
        check("GET", "/apis/apps/v1", "other /apis/apps/v1");
        check("GET", "/healthz", "other /healthz");
        check("GET", "/api/v1/a/b/c/d", "NotFound");
    }
}
