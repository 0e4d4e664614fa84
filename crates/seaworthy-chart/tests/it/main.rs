//! Charts written from Compose files, looked at as text and judged by the real `helm`.
//!
//! Tests in [`helm`] need `helm` on the PATH or under `HELM`; without it they say so and check nothing.

mod content;
mod example;
mod helm;

use std::path::Path;

use seaworthy_app::App;
use seaworthy_chart::{Chart, Options, generate};

pub const TODO: &str = include_str!("../../../seaworthy-compose/tests/it/todo.yaml");

/// The app of a Compose file. Files it mounts are written first: `name` and content.
pub fn app(compose: &str, files: &[(&str, &str)]) -> App {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("compose.yaml"), compose).expect("written");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("written");
    }
    let request = seaworthy_compose::Request {
        folder: folder.path().to_owned(),
        name: compose.contains("name: todo").then_some("todo".into()).or(Some("shop".into())),
        ..Default::default()
    };
    seaworthy_compose::load(&request).unwrap_or_else(|error| panic!("{}", error.explain())).app
}

pub fn chart(compose: &str) -> Chart {
    generate(&app(compose, &[]), &Options::default())
}

/// The text of a file of the chart.
#[track_caller]
pub fn file<'a>(chart: &'a Chart, path: &str) -> &'a str {
    chart
        .files
        .get(Path::new(path))
        .unwrap_or_else(|| panic!("no `{path}` among {:?}", chart.files.keys().collect::<Vec<_>>()))
}
