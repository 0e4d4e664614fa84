//! The shape of the example application, from file to model.

use seaworthy_app::{SecretSource, WorkloadKind, infer};

use crate::loaded;

const TODO: &str = include_str!("todo.yaml");

#[test]
fn the_example_becomes_the_model_the_chart_expects() {
    let loaded = loaded(TODO);
    assert!(loaded.dropped.is_empty(), "{:?}", loaded.dropped);
    let app = &loaded.app;
    let kinds: Vec<_> =
        app.services.iter().map(|service| (service.name.as_str(), service.workload.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("frontend", WorkloadKind::Deployment),
            ("backend", WorkloadKind::Deployment),
            ("mcp-server", WorkloadKind::Deployment),
            ("redis", WorkloadKind::StatefulSet),
            ("postgres", WorkloadKind::StatefulSet),
        ]
    );
    assert!(app.services.iter().all(|service| infer::needs_service(app, service)));
    assert_eq!(app.ingress.host, "todo.localhost");
}

#[test]
fn the_secrets_of_the_example_are_generated_or_made_from_generated_ones() {
    let app = loaded(TODO).app;
    let show = |secret: &seaworthy_app::SecretValue| match &secret.source {
        SecretSource::Generate => format!("{} generated", secret.key),
        SecretSource::Given(_) => format!("{} given", secret.key),
        SecretSource::Template(text) => format!("{} {}", secret.key, text.reveal()),
    };
    let shown: Vec<_> = app.secrets.iter().map(show).collect();
    assert_eq!(
        shown,
        [
            "BETTER_AUTH_SECRET generated",
            "POSTGRES_PASSWORD generated",
            "DATABASE_URL postgres://todo:${POSTGRES_PASSWORD}@postgres:5432/todo",
        ]
    );
}

#[test]
fn the_example_in_the_repository_loads_with_nothing_left_out() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo");
    let loaded = crate::load_from(&folder).unwrap_or_else(|error| panic!("{}", error.explain()));
    assert!(
        loaded.dropped.is_empty() && loaded.warnings.is_empty(),
        "{:?} {:?}",
        loaded.dropped,
        loaded.warnings
    );
    assert_eq!(loaded.app.secrets.len(), 3);
}

#[test]
fn a_damaged_file_is_refused_or_read_but_never_a_crash() {
    let characters: Vec<char> = TODO.chars().collect();
    let mut seed = 0x5eed_u64;
    for _ in 0..400 {
        // A fixed walk of damage: cut a piece out, or write something disturbing in its place.
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let at = (seed >> 33) as usize % characters.len();
        let length = (seed >> 20) as usize % 12;
        let put = ["", ":", "[", "{", "- ", "&a *a", "<<: ", "${", "\"", "\t", "!x ", "| \n", "é\u{e000}"]
            [(seed >> 50) as usize % 13];
        let rest = (at + length).min(characters.len());
        let damaged: String = characters[..at].iter().collect::<String>()
            + put
            + &characters[rest..].iter().collect::<String>();
        if let Err(error) = crate::try_load(&damaged) {
            assert!(!error.explain().is_empty());
        }
    }
}

/// Services and secrets of the example in the repository, in an environment with `variables`.
#[track_caller]
fn check(variables: &[(&str, &str)], profile: Option<&str>, services: &str, secrets: &str) {
    let request = seaworthy_compose::Request {
        folder: std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo"),
        profiles: profile.map(str::to_owned).into_iter().collect(),
        environment: variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        ..Default::default()
    };
    let app = seaworthy_compose::load(&request).unwrap_or_else(|error| panic!("{}", error.explain())).app;
    let found: Vec<&str> = app.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(found.join(" "), services);
    let mut found: Vec<&str> = app.secrets.iter().map(|secret| secret.key.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found.join(" "), secrets);
}

#[test]
fn the_database_is_in_the_cluster_unless_another_is_named() {
    let (with, without) = ("frontend backend mcp-server redis postgres", "frontend backend mcp-server redis");
    let inside = "BETTER_AUTH_SECRET DATABASE_URL POSTGRES_PASSWORD";
    check(&[], None, with, inside);
    check(&[("COMPOSE_PROFILES", "in-cluster-db")], None, with, inside);
    let url = ("DATABASE_URL", "postgres://ada:hunter2@db.example.org:5432/todo");
    check(&[url, ("COMPOSE_PROFILES", "external-db")], None, without, "BETTER_AUTH_SECRET DATABASE_URL");
    check(&[url], Some("external-db"), without, "BETTER_AUTH_SECRET DATABASE_URL");
}
