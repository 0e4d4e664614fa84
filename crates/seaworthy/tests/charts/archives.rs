//! `package`: archives that Helm reads, and that are the same bytes each time.

use crate::world::World;

#[test]
fn the_same_chart_gives_the_same_bytes_and_helm_reads_them() {
    let world = World::new();
    let out = world.ours(&["package", "db", "-d", "one"]).ok();
    assert_eq!(
        out,
        format!(
            "Successfully packaged chart and saved it to: {}\n",
            world.path("one/db-1.2.0.tgz").display()
        )
    );
    std::fs::remove_file(world.path("db/values.yaml")).unwrap();
    world.write("db/values.yaml", "size: 1Gi\n");
    world.ours(&["package", "db", "-d", "two"]).ok();
    assert_eq!(
        std::fs::read(world.path("one/db-1.2.0.tgz")).unwrap(),
        std::fs::read(world.path("two/db-1.2.0.tgz")).unwrap()
    );
    world.same("package-show", &["show", "all", "one/db-1.2.0.tgz"]);
    world.same("package-template", &["template", "x", "one/db-1.2.0.tgz"]);
}

#[test]
fn what_helm_packs_and_what_we_pack_hold_the_same_files() {
    let world = World::new();
    world.ours(&["dependency", "update", "web"]).ok();
    world.ours(&["package", "web", "-d", "ours", "--version", "0.4.0-rc.1+b2", "--app-version", "3"]).ok();
    let Some(packed) =
        world.helm(&["package", "web", "-d", "theirs", "--version", "0.4.0-rc.1+b2", "--app-version", "3"])
    else {
        return;
    };
    packed.ok();
    let unpack = |folder: &str| {
        let archive = world.path(folder).join("web-0.4.0-rc.1+b2.tgz");
        let run = std::process::Command::new("tar")
            .arg("xzf")
            .arg(archive)
            .arg("-C")
            .arg(world.path(folder))
            .status();
        assert!(run.unwrap().success());
    };
    unpack("ours");
    unpack("theirs");
    let differs = std::process::Command::new("diff")
        .args(["-r", "-x", "*.tgz"])
        .arg(world.path("ours"))
        .arg(world.path("theirs"))
        .output()
        .unwrap();
    assert!(differs.status.success(), "{}", String::from_utf8_lossy(&differs.stdout));
    assert!(!world.path("ours/web/draft.md").exists(), "`.helmignore` was not honoured");
}

#[test]
fn what_is_no_chart_is_not_packed() {
    let world = World::new();
    world.write("empty/x", "");
    assert!(world.ours(&["package", "empty"]).refused().contains("Chart.yaml file is missing"));
    assert!(world.ours(&["package", "none"]).refused().contains("not a folder"));
    assert!(world.ours(&["package", "web"]).refused().contains("missing in charts/ directory: db"));
    assert!(
        world
            .ours(&["package", "db", "--version", "x"])
            .refused()
            .contains("chart.metadata.version \"x\" is invalid")
    );
}
