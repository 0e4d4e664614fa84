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
