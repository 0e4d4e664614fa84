//! Which headers cross the proxy, and which end at it.

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use crate::audit::Peer;

/// Said between two neighbours, not to whom stands behind them.
const BETWEEN_NEIGHBOURS: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
const CORS: [HeaderName; 4] = [
    HeaderName::from_static("access-control-allow-credentials"),
    HeaderName::from_static("access-control-allow-headers"),
    HeaderName::from_static("access-control-allow-methods"),
    HeaderName::from_static("access-control-allow-origin"),
];
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|text| text.split(',')).any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
}

/// The headers of a request as whoever listens sees them.
pub(super) fn forwarded<B>(request: &Request<B>, upgrades: bool) -> HeaderMap {
    let mut headers = request.headers().clone();
    headers.remove(AUTHORIZATION);
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names.iter().filter(|name| name.as_str().starts_with("impersonate-")) {
        headers.remove(name);
    }
    if !upgrades {
        remove_between_neighbours(&mut headers);
        if let Ok(path) = HeaderValue::from_str(request.uri().path()) {
            headers.insert(FORWARDED_URI, path);
        }
    }
    // With HTTP/2 the host stands in the address of the request.
    if let Some(authority) = request.uri().authority()
        && !headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    if let Some(peer) = request.extensions().get::<Peer>() {
        let before = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<String> = before.map(str::to_owned).chain([peer.0.to_string()]).collect();
        if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
            headers.insert(FORWARDED_FOR, value);
        }
    }
    headers
}

/// Takes from an answer what was not meant for the client, and leads its redirects back through the proxy.
pub(super) fn returned(headers: &mut HeaderMap, links: &Links) {
    remove_between_neighbours(headers);
    CORS.iter().for_each(|name| drop(headers.remove(name)));
    let location =
        headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(|text| links.rewritten(text));
    if let Some(location) = location.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(LOCATION, location);
    }
}

fn remove_between_neighbours(headers: &mut HeaderMap) {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<HeaderName> =
        values.flat_map(|text| text.split(',')).filter_map(|name| name.trim().parse().ok()).collect();
    named.iter().chain(&BETWEEN_NEIGHBOURS).for_each(|name| drop(headers.remove(name)));
}

/// Where links that an answer carries have to lead.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// What stands in front of the path that was passed on.
    prefix: String,
    /// Hosts under which whoever listens may know itself.
    own: Vec<String>,
}

impl Links {
    /// `proxied` is the end of the request's path that was passed on.
    pub fn new(path: &str, proxied: &str, own: Vec<String>) -> Self {
        Self { prefix: path.strip_suffix(proxied).unwrap_or(path).to_owned(), own }
    }

    /// A link with a path from the root of the same host is led through the proxy; others stay as they are.
    pub fn rewritten(&self, link: &str) -> String {
        let Ok(uri) = link.parse::<Uri>() else { return link.to_owned() };
        let other_host = uri.authority().is_some_and(|host| !self.own.iter().any(|own| own == host.as_str()));
        let (path, rest) = match uri.authority() {
            Some(authority) => {
                let start = link.find(authority.as_str()).unwrap_or(0) + authority.as_str().len();
                split_path(&link[start..])
            }
            None => split_path(link),
        };
        if other_host || !path.starts_with('/') || path.starts_with("//") {
            return link.to_owned();
        }
        match path.starts_with(&self.prefix) {
            true => format!("{path}{rest}"),
            false => format!("{}{path}{rest}", self.prefix),
        }
    }
}

fn split_path(text: &str) -> (&str, &str) {
    text.split_at(text.find(['?', '#']).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(link: &str, expect: &str) {
        let own = vec!["10.244.0.5:80".to_owned(), "localhost:8001".to_owned()];
        let links = Links::new("/api/v1/namespaces/a/pods/web/proxy/docs/", "/docs/", own);
        assert_eq!(links.rewritten(link), expect);
    }

    #[test]
    fn links_from_the_root_lead_through_the_proxy() {
        check("/login?next=%2F", "/api/v1/namespaces/a/pods/web/proxy/login?next=%2F");
        check("http://10.244.0.5:80/x/", "/api/v1/namespaces/a/pods/web/proxy/x/");
        check("http://localhost:8001/x#top", "/api/v1/namespaces/a/pods/web/proxy/x#top");
    }

    #[test]
    fn links_elsewhere_and_relative_ones_stay() {
        for link in ["https://example.com/x", "next", "../up", "#top", "//example.com/x", ""] {
            check(link, link);
        }
        check("/api/v1/namespaces/a/pods/web/proxy/x", "/api/v1/namespaces/a/pods/web/proxy/x");
    }

    #[test]
    fn credentials_and_what_neighbours_say_end_at_the_proxy() {
        let request = Request::get("/api/v1/namespaces/a/pods/web/proxy/x")
            .header("authorization", "Bearer secret")
            .header("impersonate-user", "root")
            .header("connection", "keep-alive, x-hop")
            .header("x-hop", "1")
            .header("accept", "text/plain")
            .body(())
            .unwrap();
        let headers = forwarded(&request, false);
        let seen: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(seen, ["accept", "x-forwarded-uri"]);
    }
}
