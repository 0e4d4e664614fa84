//! What browsers are told: pages of other sites, and the documentation.

use axum::http::{HeaderMap, HeaderName, Method};
use serde_json::{Value, json};
use service::client::Answer;

use crate::world::{On, World};

const FRIEND: &str = "https://app.example.org";
const CREDENTIALS: &str = "access-control-allow-credentials";
const ALLOWED: &str = "access-control-allow-origin";

async fn world() -> World {
    let origins = format!("[\"{FRIEND}/\", \"http://localhost:5173\"]");
    World::with(On::Sqlite, &[("CORS_ORIGINS", &origins)]).await.expect("SQLite needs nothing")
}

async fn ask(world: &World, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"))
    };
    let headers: HeaderMap = headers.iter().map(header).collect();
    let url = format!("{}{path}", world.base);
    world.client.send_raw(method, &url, headers, Default::default()).await.expect("the backend answers")
}

fn text<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().expect("ASCII"))
}

#[tokio::test]
async fn a_page_of_a_configured_origin_may_ask_and_call() {
    let world = world().await;
    let ada = world.person().await;
    let path = format!("/api/{}/tasks", ada.id);
    for origin in [FRIEND, "http://localhost:5173"] {
        for wanted in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", wanted),
                ("access-control-request-headers", "authorization,content-type"),
            ];
            let preflight = ask(&world, Method::OPTIONS, &path, &headers).await;
            assert_eq!(preflight.status, 204, "a preflight carries no token and needs none");
            assert_eq!(text(&preflight, ALLOWED), Some(origin));
            assert!(text(&preflight, "access-control-allow-methods").unwrap().contains(wanted));
            let allowed = text(&preflight, "access-control-allow-headers").unwrap();
            assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
        }
        let bearer = format!("Bearer {}", ada.token);
        for (headers, status) in
            [(vec![("origin", origin), ("authorization", &bearer)], 200), (vec![("origin", origin)], 401)]
        {
            let answer = ask(&world, Method::GET, &path, &headers).await;
            assert_eq!(answer.status, status);
            assert_eq!(text(&answer, ALLOWED), Some(origin), "a page may read also why it was refused");
            assert!(text(&answer, "access-control-expose-headers").unwrap().contains("x-total-count"));
            assert_eq!(text(&answer, "vary"), Some("origin"), "a cache keeps the answers to origins apart");
            assert_eq!(text(&answer, CREDENTIALS), None, "there are no cookies to send");
        }
    }
}

#[tokio::test]
async fn a_page_of_any_other_origin_is_told_nothing() {
    let world = world().await;
    let others = [
        "https://evil.example",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org.evil.example",
        "https://xapp.example.org",
        "null",
        "*",
    ];
    for origin in others {
        let preflight = [("origin", origin), ("access-control-request-method", "DELETE")];
        for (method, headers) in [(Method::OPTIONS, &preflight[..]), (Method::GET, &preflight[..1])] {
            let answer = ask(&world, method.clone(), "/api/health", headers).await;
            for name in [ALLOWED, CREDENTIALS, "access-control-allow-methods"] {
                assert_eq!(text(&answer, name), None, "{method} from {origin}");
            }
        }
    }
    let same_site = ask(&world, Method::GET, "/api/health", &[]).await;
    assert_eq!((same_site.status.as_u16(), text(&same_site, ALLOWED)), (200, None));
}

#[tokio::test]
async fn the_documentation_is_served_and_shows_itself_without_a_script() {
    let world = world().await;
    let document = ask(&world, Method::GET, "/api/openapi.json", &[]).await;
    assert_eq!(text(&document, "content-type"), Some("application/json"));
    let document: Value = document.json().unwrap();
    let page = ask(&world, Method::GET, "/api/docs", &[]).await;
    assert_eq!((page.status.as_u16(), text(&page, "content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(text(&page, "content-security-policy").unwrap().contains("default-src 'none'"));
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(!page.contains("<script") && !page.contains("style="), "{page}");
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    let style = ask(&world, Method::GET, "/api/docs.css", &[]).await;
    assert_eq!(text(&style, "content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(text(&style, "x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn every_documented_route_is_served_and_every_other_method_is_refused_in_words() {
    let world = world().await;
    let document: Value = ask(&world, Method::GET, "/api/openapi.json", &[]).await.json().unwrap();
    for (template, operations) in document["paths"].as_object().unwrap() {
        let path = template.replace("{user_id}", "somebody").replace("{id}", "1");
        for name in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let method: Method = name.parse().unwrap();
            let answer = ask(&world, method, &path, &[]).await;
            let is_documented = operations.get(name.to_lowercase()).is_some();
            assert_eq!(answer.status != 405, is_documented, "{name} {template}");
            assert_ne!(answer.status, 404, "{name} {template}");
            if !is_documented {
                assert_eq!(
                    answer.json::<Value>().unwrap()["code"],
                    json!("METHOD_NOT_ALLOWED"),
                    "{name} {template}"
                );
                assert!(text(&answer, "allow").is_some(), "{name} {template}");
            }
        }
    }
}
