//! The chart beside the example is what its compose file gives today.

use std::path::Path;

use seaworthy_chart::{Options, generate};

#[test]
fn the_chart_of_the_example_is_fresh() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo");
    let request = seaworthy_compose::Request { folder: example.clone(), ..Default::default() };
    let app = seaworthy_compose::load(&request).unwrap_or_else(|error| panic!("{}", error.explain())).app;
    for (path, text) in generate(&app, &Options::default()).files {
        let committed = std::fs::read_to_string(example.join("charts/todo").join(&path)).unwrap_or_default();
        assert_eq!(
            committed,
            text,
            "charts/todo/{} is stale: run `seaworthy template` in examples/todo",
            path.display()
        );
    }
}

#[test]
fn with_a_database_of_ones_own_the_chart_has_none_and_takes_its_address_from_the_secret() {
    let url = "postgres://ada:hush@db.example.org:5432/todo";
    let variables = [("COMPOSE_PROFILES", "external-db"), ("DATABASE_URL", url)];
    let request = seaworthy_compose::Request {
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo"),
        environment: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        ..Default::default()
    };
    let app = seaworthy_compose::load(&request).unwrap_or_else(|error| panic!("{}", error.explain())).app;
    let secret = app.secret("DATABASE_URL").expect("a secret of the app");
    assert_eq!(secret.services, ["backend", "mcp-server"]);
    assert_eq!(secret.source.resolve(|_| None).as_deref(), Some(url), "the address is kept for the cluster");
    let chart = generate(&app, &Options::default());
    for (path, text) in &chart.files {
        let path = path.display();
        assert!(!path.to_string().contains("templates/postgres"), "{path} runs a database");
        assert!(!text.contains("hush") && !text.contains("db.example.org"), "{path} holds the address");
        assert!(!text.contains("POSTGRES_PASSWORD"), "{path} wants the password of no database");
    }
    let values = crate::file(&chart, "values.yaml");
    assert_eq!(values.matches("DATABASE_URL: DATABASE_URL").count(), 2, "{values}");
}
