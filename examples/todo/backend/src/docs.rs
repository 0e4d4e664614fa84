//! The OpenAPI document and a page that shows it, without a script and without anything from elsewhere.
//!
//! `openapi.json` is written by hand; tests hold it against the routes in both directions.

use std::fmt::Write;

use axum::http::header;
use axum::response::{Html, IntoResponse};
use serde_json::Value;

const DOCUMENT: &str = include_str!("openapi.json");
const CSP: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = ":root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
    body{max-width:60rem;margin:2rem auto;padding:0 1rem}code{font-family:ui-monospace,monospace}\
    h3{margin:2rem 0 .25rem}table{border-collapse:collapse}td,th{text-align:left;padding:.2rem 1rem .2rem 0;\
    vertical-align:top}.method{font-weight:700;text-transform:uppercase}";

pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub async fn page() -> impl IntoResponse {
    let document = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, &document);
    ([(header::CONTENT_SECURITY_POLICY, CSP)], Html(page))
}

fn write_page(page: &mut String, document: &Value) -> std::fmt::Result {
    let title = escaped(&document["info"]["title"]);
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title}: the API</title><link rel=\"stylesheet\" \
         href=\"/api/docs.css\"><h1>{title}: the API</h1><p>{}</p><p><a href=\"/api/openapi.json\">OpenAPI \
         document</a></p>",
        escaped(&document["info"]["description"])
    )?;
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            if method != "parameters" {
                write_operation(page, path, method, operation)?;
            }
        }
    }
    page.push_str("<h2>What is sent</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let text = serde_json::to_string_pretty(&schema["properties"]).unwrap_or_default();
        write!(page, "<h3 id=\"{name}\">{name}</h3><pre><code>{}</code></pre>", escape(&text))?;
    }
    page.push_str("</html>");
    Ok(())
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) -> std::fmt::Result {
    let summary = escaped(&operation["summary"]);
    write!(
        page,
        "<h3><span class=\"method\">{method}</span> <code>{}</code></h3><p>{summary}</p>",
        escape(path)
    )?;
    if let Some(name) = schema_name(&operation["requestBody"]["content"]["application/json"]["schema"]) {
        write!(page, "<p>Send <a href=\"#{name}\">{name}</a>.</p>")?;
    }
    page.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let (name, about) = (escaped(&parameter["name"]), escaped(&parameter["description"]));
        write!(page, "<tr><td><code>{name}</code><td>{about}</tr>")?;
    }
    for (code, answer) in operation["responses"].as_object().into_iter().flatten() {
        let about = match answer["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            Some(name) => escape(name),
            None => escaped(&answer["description"]),
        };
        let schema = schema_name(&answer["content"]["application/json"]["schema"])
            .map_or_else(String::new, |name| format!(" (<a href=\"#{name}\">{name}</a>)"));
        write!(page, "<tr><th>{code}<td>{about}{schema}</tr>")?;
    }
    page.push_str("</table>");
    Ok(())
}

fn schema_name(schema: &Value) -> Option<String> {
    let path = schema["$ref"].as_str().or_else(|| schema["items"]["$ref"].as_str())?;
    path.rsplit('/').next().map(escape)
}

fn escaped(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    /// `GET /health` and so on, as the table of routes has them.
    fn routed() -> BTreeSet<String> {
        let source = include_str!("routes.rs").replace(['\n', ' '], "");
        let mut found = BTreeSet::new();
        for route in source.split(".route(\"").skip(1) {
            let (path, handlers) = route.split_once("\",").unwrap();
            let handlers = handlers.split(".route(").next().unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                if handlers.starts_with(&format!("{method}(")) || handlers.contains(&format!(").{method}(")) {
                    found.insert(format!("{method} {path}"));
                }
            }
        }
        found
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let mut documented = BTreeSet::new();
        for (path, operations) in document()["paths"].as_object().unwrap() {
            let methods = operations.as_object().unwrap().keys().filter(|key| *key != "parameters");
            documented.extend(methods.map(|method| format!("{method} {path}")));
        }
        assert_eq!(documented, routed());
    }

    #[test]
    fn every_reference_leads_somewhere_and_the_page_shows_every_path() {
        let document = document();
        let mut page = String::new();
        write_page(&mut page, &document).unwrap();
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&escape(path)), "{path}");
        }
        for part in DOCUMENT.split("\"#/").skip(1) {
            let pointer = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&pointer).is_some(), "{pointer}");
        }
    }
}
