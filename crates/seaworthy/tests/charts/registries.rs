//! `push`, `pull` and references to registries, against a registry of our own, with the real Helm on the other side.

use crate::oci::Server;
use crate::world::World;

fn packed() -> World {
    let world = World::new();
    for version in ["1.2.0", "1.3.0", "2.0.0-rc.1", "1.4.0+build.7"] {
        world.ours(&["package", "db", "--version", version]).ok();
    }
    world
}

fn digest(out: &str) -> &str {
    out.lines().find_map(|line| line.strip_prefix("Digest: ")).unwrap()
}

#[test]
fn what_we_push_helm_pulls_and_the_other_way_round() {
    let (world, server) = (packed(), Server::open());
    let remote = format!("oci://{}/charts", server.host);
    let ours = world.ours(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]).ok();
    assert!(ours.starts_with(&format!("Pushed: {}/charts/db:1.2.0\nDigest: sha256:", server.host)), "{ours}");
    let place = format!("{remote}/db");
    let pulled = world.ours(&["pull", &place, "--version", "1.2.0", "--plain-http", "-d", "home"]);
    assert!(pulled.code.is_some());
    world.write("ours/.keep", "");
    world.ours(&["pull", &place, "--version", "1.2.0", "--plain-http", "-d", "ours"]).ok();
    assert_eq!(
        std::fs::read(world.path("ours/db-1.2.0.tgz")).unwrap(),
        std::fs::read(world.path("db-1.2.0.tgz")).unwrap()
    );
    let Some(theirs) = world.helm(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]) else { return };
    assert_eq!(digest(&ours), digest(&(theirs.out + &theirs.err)), "the manifests differ");
    world.write("theirs/.keep", "");
    world.helm(&["pull", &place, "--version", "1.2.0", "--plain-http", "-d", "theirs"]).unwrap().ok();
    assert_eq!(
        std::fs::read(world.path("theirs/db-1.2.0.tgz")).unwrap(),
        std::fs::read(world.path("db-1.2.0.tgz")).unwrap()
    );
}

#[test]
fn ranges_are_resolved_by_the_tags_there_are() {
    let (world, server) = (packed(), Server::open());
    for version in ["1.2.0", "1.3.0", "2.0.0-rc.1", "1.4.0+build.7"] {
        let archive = format!("db-{version}.tgz");
        world.ours(&["push", &archive, &format!("oci://{}/charts", server.host), "--plain-http"]).ok();
    }
    let place = format!("oci://{}/charts/db", server.host);
    let version = |arguments: &[&str]| {
        let out = world.ours(&[&["show", "chart", &place, "--plain-http"], arguments].concat()).ok();
        out.lines().find_map(|line| line.strip_prefix("version: ").map(str::to_owned)).unwrap()
    };
    assert_eq!(version(&[]), "1.4.0+build.7");
    assert_eq!(version(&["--version", "~1.2"]), "1.2.0");
    assert_eq!(version(&["--version", "1.4.0+build.7"]), "1.4.0+build.7");
    assert_eq!(version(&["--devel"]), "2.0.0-rc.1");
    world.write("out/.keep", "");
    world.ours(&["pull", &place, "--plain-http", "-d", "out"]).ok();
    assert!(world.path("out/db-1.4.0+build.7.tgz").exists());
    let refused = world.ours(&["show", "chart", &place, "--plain-http", "--version", "^9"]).refused();
    assert!(refused.contains("a tag that fits `^9`: not found"), "{refused}");
    let refused = world
        .ours(&["show", "chart", &format!("{place}:1.2.0"), "--plain-http", "--version", "1.3.0"])
        .refused();
    assert!(refused.contains("chart reference and version mismatch: 1.3.0 is not 1.2.0"), "{refused}");
}

#[test]
fn a_guarded_registry_is_told_the_login_that_was_made_with_us() {
    let (world, server) = (packed(), Server::guarded());
    let remote = format!("oci://{}/charts", server.host);
    let refused = world.ours(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]).refused();
    assert!(refused.contains("registry login"), "{refused}");
    let login = ["registry", "login", &server.host, "-u", "me", "--password-stdin", "--plain-http"];
    assert!(world.ours_reading(&login, "wrong\n").refused().contains("cannot log in"));
    assert_eq!(world.ours_reading(&login, "secret\n").ok(), "Login Succeeded\n");
    world.ours(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]).ok();
    if let Some(theirs) = world.helm(&["show", "chart", &format!("{remote}/db"), "--plain-http"]) {
        assert!(theirs.ok().contains("name: db"), "Helm does not find our login");
    }
    world.ours(&["registry", "logout", &server.host]).ok();
    assert!(
        world
            .ours(&["show", "chart", &format!("{remote}/db"), "--plain-http"])
            .refused()
            .contains("refuses the login")
    );
}

#[test]
fn a_login_of_helms_is_ours_too() {
    let (world, server) = (packed(), Server::guarded());
    let login = ["registry", "login", &server.host, "-u", "me", "-p", "secret", "--plain-http"];
    let Some(ran) = world.helm(&login) else { return };
    ran.ok();
    world.ours(&["push", "db-1.2.0.tgz", &format!("oci://{}/charts", server.host), "--plain-http"]).ok();
}

#[test]
fn a_registry_that_sends_other_bytes_is_found_out() {
    let (world, server) = (packed(), Server::open());
    world.ours(&["push", "db-1.2.0.tgz", &format!("oci://{}/charts", server.host), "--plain-http"]).ok();
    server.corrupt();
    let refused =
        world.ours(&["pull", &format!("oci://{}/charts/db", server.host), "--plain-http"]).refused();
    assert!(refused.contains("the registry sends sha256:"), "{refused}");
}

#[test]
fn a_dependency_comes_from_a_registry() {
    let (world, server) = (packed(), Server::open());
    for version in ["1.2.0", "1.3.0"] {
        world
            .ours(&[
                "push",
                &format!("db-{version}.tgz"),
                &format!("oci://{}/charts", server.host),
                "--plain-http",
            ])
            .ok();
    }
    let asked =
        world.read("web/Chart.yaml").replace("file://../db", &format!("oci://{}/charts", server.host));
    world.write("web/Chart.yaml", asked);
    world.ours(&["dependency", "update", "web", "--plain-http"]).ok();
    assert!(world.path("web/charts/db-1.3.0.tgz").exists());
    let lock = world.read("web/Chart.lock");
    assert!(lock.contains("version: 1.3.0"), "{lock}");
    if let Some(theirs) = world.helm(&["dependency", "build", "web", "--plain-http"]) {
        theirs.ok();
    }
}

#[test]
fn references_that_are_none_are_refused_before_anyone_is_asked() {
    let world = packed();
    for bad in ["oci://", "oci://host", "oci://host/../x", "oci://host/x@sha256:1"] {
        assert!(world.ours(&["pull", bad]).refused().contains("is not a reference"), "{bad}");
    }
    assert!(world.ours(&["push", "db", "oci://127.0.0.1:1/x", "--plain-http"]).refused().contains("folder"));
}
