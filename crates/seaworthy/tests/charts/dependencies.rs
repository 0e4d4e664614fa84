//! `dependency` beside Helm's: the same `charts/`, the same digest.

use crate::world::World;

fn digest(lock: &str) -> String {
    lock.lines().find(|line| line.starts_with("digest: ")).unwrap().to_owned()
}

#[test]
fn a_list_says_how_things_stand() {
    let world = World::new();
    world.same("dependency-list-missing", &["dependency", "list", "web"]);
    world.ours(&["package", "db", "-d", "web/charts"]).ok();
    world.same("dependency-list-ok", &["dep", "ls", "web"]);
    world.write("web/charts/stray/Chart.yaml", "apiVersion: v2\nname: stray\nversion: 1.0.0\n");
    world.same("dependency-list-stray", &["dependency", "list", "web"]);
    world.same("dependency-list-none", &["dependency", "list", "db"]);
    world.ours(&["package", "db", "--version", "3.0.0", "-d", "web/charts"]).ok();
    world.same("dependency-list-many", &["dependency", "list", "web"]);
    std::fs::remove_file(world.path("web/charts/db-1.2.0.tgz")).unwrap();
    world.same("dependency-list-wrong", &["dependency", "list", "web"]);
}

#[test]
fn an_update_locks_with_the_digest_that_helm_computes() {
    let world = World::new();
    world.same("dependency-update", &["dependency", "update", "web"]);
    assert!(world.path("web/charts/db-1.2.0.tgz").exists());
    let ours = World::new();
    ours.ours(&["dependency", "update", "web"]).ok();
    let lock = ours.read("web/Chart.lock");
    assert_eq!(digest(&lock), "digest: sha256:RECORDED".replace("RECORDED", &recorded_digest()));
    if let Some(ran) = ours.helm(&["dependency", "build", "web"]) {
        ran.ok();
    }
}

/// Of `recorded/Chart.lock`, which Helm wrote for the chart in `data/`.
fn recorded_digest() -> String {
    let world = World::new();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/recorded/Chart.lock");
    if let (Some(_), Some(ran)) = (std::env::var_os("RECORD"), world.helm(&["dependency", "update", "web"])) {
        ran.ok();
        std::fs::copy(world.path("web/Chart.lock"), &file).unwrap();
    }
    digest(&std::fs::read_to_string(file).unwrap()).trim_start_matches("digest: sha256:").to_owned()
}

#[test]
fn a_build_follows_the_lock_and_refuses_one_that_is_out_of_date() {
    let world = World::new();
    world.ours(&["dependency", "update", "web"]).ok();
    std::fs::remove_dir_all(world.path("web/charts")).unwrap();
    let out = world.ours(&["dependency", "build", "web"]).ok();
    assert_eq!(out, "Saving 1 charts\nDeleting outdated charts\n");
    assert!(world.path("web/charts/db-1.2.0.tgz").exists());
    let changed = world.read("web/Chart.yaml").replace(">=1.0.0 <2.0.0", ">=1.1.0 <2.0.0");
    world.write("web/Chart.yaml", changed);
    let refused = world.ours(&["dependency", "build", "web"]).refused();
    assert!(refused.contains("out of sync"), "{refused}");
}

#[test]
fn an_archive_that_is_no_longer_wanted_goes_and_the_rest_stays() {
    let world = World::new();
    world.ours(&["package", "db", "--version", "1.0.0", "-d", "web/charts"]).ok();
    world.write("web/charts/notes.txt", "no chart");
    let out = world.ours(&["dependency", "update", "web"]).ok();
    assert!(!world.path("web/charts/db-1.0.0.tgz").exists() && world.path("web/charts/notes.txt").exists());
    assert!(out.contains("Could not verify") && out.contains("(Skipping)"), "{out}");
    assert!(
        !std::fs::read_dir(world.path("web"))
            .unwrap()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("tmpcharts"))
    );
}

#[test]
fn what_cannot_be_resolved_is_named_and_nothing_changes() {
    let world = World::new();
    let asked = world.read("web/Chart.yaml");
    world.write("web/Chart.yaml", asked.replace(">=1.0.0 <2.0.0", "^9"));
    let refused = world.ours(&["dependency", "update", "web"]).refused();
    assert!(refused.contains("can't get a valid version for 1 subchart(s): \"db\" (repository \"file://../db\", version \"^9\")"), "{refused}");
    world.write("web/Chart.yaml", asked.replace("file://../db", "file://../none"));
    assert!(world.ours(&["dependency", "update", "web"]).refused().contains("not found"));
    world.write("web/Chart.yaml", asked.replace("file://../db", "stable"));
    assert!(
        world.ours(&["dependency", "update", "web"]).refused().contains("no repository is called stable")
    );
    assert!(!world.path("web/Chart.lock").exists() && !world.path("web/charts").exists());
}

#[test]
#[cfg(unix)]
fn a_lock_file_that_is_a_link_is_not_written_through() {
    let world = World::new();
    std::os::unix::fs::symlink(world.path("victim"), world.path("web/Chart.lock")).unwrap();
    world.write("victim", "digest: x\n");
    let refused = world.ours(&["dependency", "update", "web"]).refused();
    assert!(refused.contains("symlink"), "{refused}");
    assert_eq!(world.read("victim"), "digest: x\n");
}
