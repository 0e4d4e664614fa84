//! What the ingress itself answers when no pod can: short, and naming what is missing.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};

/// Browsers say `text/html`; everything else gets plain text.
pub fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|v| v.to_str().ok()).is_some_and(|v| v.contains("text/html"))
}

pub fn unknown_host(host: &str, known: &[String]) -> String {
    if known.is_empty() {
        return format!("no Ingress has a rule for host `{host}`: there is no Ingress yet");
    }
    format!("no Ingress has a rule for host `{host}`; there are rules for `{}`", known.join("`, `"))
}

pub fn page(status: StatusCode, message: &str, html: bool) -> Response<Full<Bytes>> {
    let title = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let (content_type, body) = if html {
        let text = escape(message);
        let body = format!(
            "<!doctype html><meta charset=utf-8><title>{title}</title>\
             <body style=\"font:16px/1.5 system-ui;max-width:40em;margin:4em auto;padding:0 1em\">\
             <h1>{title}</h1><p>{text}.</p><p><small>drydock ingress</small></p>\n"
        );
        ("text/html; charset=utf-8", body)
    } else {
        ("text/plain; charset=utf-8", format!("{title}: {message}\n"))
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert("retry-after", HeaderValue::from_static("1"));
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_never_carries_markup_of_the_request() {
        let text = unknown_host("<script>", &["todo.localhost".into()]);
        assert!(!escape(&text).contains("<script>"));
    }

    #[test]
    fn an_unknown_host_hears_what_exists() {
        let text = unknown_host("x", &["a.localhost".into(), "b.localhost".into()]);
        assert_eq!(
            text,
            "no Ingress has a rule for host `x`; there are rules for `a.localhost`, `b.localhost`"
        );
    }
}
