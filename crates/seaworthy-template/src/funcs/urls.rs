//! URLs taken apart, put together and escaped.

use super::{Function, Returned, f, map, string, text};
use crate::gofmt::quote;
use crate::value::Param::{Map as MapParam, Str};
use crate::value::{Map, Value};

pub const TABLE: &[Function] =
    &[f("urlParse", &[Str], |_, a| parse(&text(&a[0]))), f("urlJoin", &[MapParam], |_, a| join(&map(&a[0])))];

/// `url.QueryEscape`.
pub fn query_escape(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) => char::from(*b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn parse(url: &str) -> Returned {
    let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
    let scheme_end = rest.find(':').filter(|at| {
        let scheme = &rest[..*at];
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    if rest.starts_with(':') {
        return Err(format!("unable to parse url: parse \"{url}\": missing protocol scheme").into());
    }
    if let Some(reason) = refusal(rest, fragment) {
        return Err(format!("unable to parse url: parse {}: {reason}", quote(url.as_bytes())).into());
    }
    let (scheme, rest) = scheme_end.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parts = Parts { scheme: scheme.to_ascii_lowercase(), query: query.into(), ..Parts::default() };
    parts.fragment = percent_decode(fragment);
    if let Some(authority) = rest.strip_prefix("//") {
        let end = authority.find('/').unwrap_or(authority.len());
        let (host, path) = authority.split_at(end);
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        (parts.userinfo, parts.host, parts.path) = (user.into(), host.into(), percent_decode(path));
    } else if !scheme.is_empty() && !rest.starts_with('/') {
        parts.opaque = rest.into();
    } else {
        parts.path = percent_decode(rest);
    }
    Ok(parts.into_value())
}

/// What Go's parser stumbles over, in its words.
fn refusal(rest: &str, fragment: &str) -> Option<String> {
    if rest.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Some("net/url: invalid control character in URL".into());
    }
    let (head, _) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some((_, authority)) = head.split_once("//") {
        let host = authority.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
        if let Some(c) = host.chars().find(|c| " <>\"^`{|}\\".contains(*c)) {
            return Some(format!("invalid character {} in host name", quote(c.to_string().as_bytes())));
        }
        if let Some((_, port)) = host.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
            && !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Some(format!("invalid port {} after host", quote(format!(":{port}").as_bytes())));
        }
    } else if !head.starts_with('/') && head.split('/').next().is_some_and(|first| first.contains(':')) {
        let scheme = head.split(':').next().unwrap_or_default();
        let fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !fits {
            return Some("first path segment in URL cannot contain colon".into());
        }
    }
    [head, fragment].into_iter().find_map(bad_escape)
}

/// `%zz`: an escape that is none.
fn bad_escape(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let at = (0..bytes.len()).find(|at| bytes[*at] == b'%' && !(is_hex(at + 1) && is_hex(at + 2)))?;
    let shown = String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 3)]).into_owned();
    Some(format!("invalid URL escape {}", quote(shown.as_bytes())))
}

/// `url.EscapedPath`: what a path may not hold is written as `%20`.
fn escaped_path(path: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    let valid = bad_escape(path).is_none() && path.bytes().all(|b| keep(b) || b"!'()*[]%".contains(&b));
    if valid && path.contains(['!', '\'', '(', ')', '*', '[', ']']) {
        return path.to_owned();
    }
    path.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[derive(Default)]
struct Parts {
    scheme: String,
    userinfo: String,
    host: String,
    path: String,
    query: String,
    opaque: String,
    fragment: String,
}

impl Parts {
    fn hostname(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.host.split(':').next().unwrap_or(&self.host),
        }
    }

    fn into_value(self) -> Value {
        let hostname = self.hostname().to_owned();
        Value::map([
            ("scheme", Value::str(self.scheme)),
            ("userinfo", Value::str(self.userinfo)),
            ("host", Value::str(self.host)),
            ("hostname", Value::str(hostname)),
            ("path", Value::str(self.path)),
            ("query", Value::str(self.query)),
            ("opaque", Value::str(self.opaque)),
            ("fragment", Value::str(self.fragment)),
        ])
    }
}

fn join(parts: &Map) -> Returned {
    let get = |key: &str| -> Result<String, crate::error::Failure> {
        match parts.get(key) {
            None => Ok(String::new()),
            Some(value @ Value::Str(_)) => Ok(text(&value).into_owned()),
            Some(other) => {
                Err(format!("unable to parse {key} key, must be of type string, but {} found", other.kind())
                    .into())
            }
        }
    };
    let (scheme, host, path, opaque) = (get("scheme")?, get("host")?, get("path")?, get("opaque")?);
    let (userinfo, query, fragment) = (get("userinfo")?, get("query")?, get("fragment")?);
    let mut out = String::new();
    if !scheme.is_empty() {
        out.push_str(&scheme);
        out.push(':');
    }
    if !opaque.is_empty() {
        out.push_str(&opaque);
    } else {
        if !scheme.is_empty() || !host.is_empty() || !userinfo.is_empty() {
            if !host.is_empty() || !path.is_empty() || !userinfo.is_empty() {
                out.push_str("//");
            }
            if !userinfo.is_empty() {
                out.push_str(&userinfo);
                out.push('@');
            }
            out.push_str(&host);
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            out.push('/');
        }
        out.push_str(&escaped_path(&path));
    }
    if !query.is_empty() {
        out.push('?');
        out.push_str(&query);
    }
    if !fragment.is_empty() {
        out.push('#');
        out.push_str(&fragment);
    }
    string(out)
}
