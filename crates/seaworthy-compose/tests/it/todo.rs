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
