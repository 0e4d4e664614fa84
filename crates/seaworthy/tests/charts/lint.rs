//! `lint` beside Helm's: every line of Helm's is there, in order; what only we find is information at the end.

use crate::world::World;

#[test]
fn a_good_chart_is_found_good() {
    let world = World::new();
    world.same("lint-db", &["lint", "db"]);
    world.same("lint-lib", &["lint", "./lib", "--strict"]);
    world.same("lint-quiet", &["lint", "db", "--quiet"]);
}

#[test]
fn an_archive_and_subcharts_are_looked_at_too() {
    let world = World::new();
    world.ours(&["package", "db", "-d", "web/charts"]).ok();
    world.same("lint-archive", &["lint", "web/charts/db-1.2.0.tgz"]);
    world.same("lint-subcharts", &["lint", "web", "--with-subcharts"]);
}

#[test]
fn what_helm_finds_we_find_and_more() {
    let world = World::new();
    let ours = world.ours(&["lint", "bad", "--kube-version", "1.30"]);
    assert_eq!(ours.code, Some(3));
    assert!(ours.err.contains("1 chart(s) linted, 1 chart(s) failed"), "{}", ours.err);
    assert!(ours.out.contains("[INFO] values.yaml:2: no template reads `unread`"), "{}", ours.out);
    let Some(theirs) = world.helm(&["lint", "bad", "--kube-version", "1.30"]) else { return };
    let lines = |text: &str| -> Vec<String> {
        let own = |line: &&str| !line.is_empty() && !line.contains("no template reads");
        text.lines().filter(own).map(str::to_owned).collect()
    };
    assert_eq!(lines(&ours.out), lines(&theirs.out));
}

#[test]
fn values_given_on_the_command_line_are_held_against_the_schema() {
    let world = World::new();
    world.ours(&["package", "db", "-d", "web/charts"]).ok();
    world.same("lint-schema", &["lint", "web", "--set", "replicas=x"]);
    world.same("lint-no-schema", &["lint", "web", "--set", "replicas=x", "--skip-schema-validation"]);
}

#[test]
fn a_folder_without_a_chart_is_an_error() {
    let world = World::new();
    world.write("empty/x", "");
    let ran = world.ours(&["lint", "empty", "db"]);
    assert!(
        ran.out.contains("==> Linting empty\nError unable to check Chart.yaml file in chart"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("2 chart(s) linted, 1 chart(s) failed"), "{}", ran.err);
}
