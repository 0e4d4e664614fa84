//! What goes wrong is said by name, ends with the right exit code, and leaves the cluster as it was.

use std::fs;

use crate::program;
use crate::todo::is_ready;
use crate::world::World;

const INPUT: i32 = 3;
const IMAGE: i32 = 4;
const RELEASE: i32 = 6;

const GOOD: &str = "services:
  worker:
    image: tools:1
    command: [sh, -c, 'touch /tmp/works; sleep infinity']
    healthcheck: {test: [CMD, test, -f, /tmp/works], interval: 1s}
    stop_grace_period: 1s
";
const BROKEN: &str = "services:
  worker:
    image: tools:1
    command: [sh, -c, 'echo starting; echo cannot find the configuration; exit 3']
    healthcheck: {test: [CMD, test, -f, /tmp/works], interval: 1s}
    stop_grace_period: 0s
";

#[test]
fn a_wrong_compose_file_is_shown_at_its_line() {
    let Some(world) = World::begin() else { return };
    let check = |name: &str, compose: &str, expected: &[&str]| {
        let said = world.run(&world.folder(name, compose), &["up"]).fails(INPUT);
        let lacking: Vec<&&str> = expected.iter().filter(|part| !said.contains(**part)).collect();
        assert!(lacking.is_empty(), "{name} lacks {lacking:?}: {said}");
    };
    let web = |rest: &str| format!("services:\n  web:\n    image: redis:7-alpine\n{rest}");
    check(
        "syntax",
        "services:\n  web:\n    image: [redis:7-alpine\n    command: x\n",
        &["compose.yaml:4:", "not YAML"],
    );
    check("unknown-key", &web("    imagee: x\n"), &["compose.yaml:4:", "`imagee`", "did you mean `image`?"]);
    let variable = "    environment:\n      TOKEN: ${TOKEN_OF_THIS_TEST:?set it}\n";
    check("missing-variable", &web(variable), &["compose.yaml:5:", "`TOKEN_OF_THIS_TEST`", "set it"]);
    let twice = "    ports: ['8080:80']\n  api:\n    image: redis:7-alpine\n    ports: ['8080:81']\n";
    check("one-port", &web(twice), &["compose.yaml:7:", "`web`", "`api`", "port 8080"]);
    let cycle = "    depends_on: [api]\n  api:\n    image: redis:7-alpine\n    depends_on: [web]\n";
    check("cycle", &web(cycle), &["compose.yaml:", "api", "web", "wait for each other"]);
    let status = world.drydock("status").ok();
    assert_eq!(status.trim(), "stopped", "nothing is started for a file that cannot be read");
}

#[test]
fn a_folder_without_a_readable_compose_file_is_named() {
    let Some(world) = World::begin() else { return };
    let empty = world.folder("empty", "");
    fs::remove_file(empty.join("compose.yaml")).unwrap();
    let said = world.run(&empty, &["up"]).fails(INPUT);
    assert!(said.contains("no Compose file") && said.contains("empty"), "{said}");
    let binary = world.folder("binary", "");
    fs::write(binary.join("compose.yaml"), b"services: {a: {image: \"\xff\"}}").unwrap();
    let said = world.run(&binary, &["up"]).fails(INPUT);
    assert!(said.contains("binary/compose.yaml") && said.contains("UTF-8"), "{said}");
}

#[test]
fn an_image_that_cannot_be_found_is_named() {
    let Some(world) = World::begin() else { return };
    // Nothing listens there: the answer is the same with and without a network.
    let folder = world.folder("lost", "services:\n  web:\n    image: 127.0.0.1:1/nothing:1\n");
    let said = world.run(&folder, &["up"]).fails(IMAGE);
    assert!(said.contains("`127.0.0.1:1/nothing:1`") && said.contains("service `web`"), "{said}");
}

#[test]
fn a_container_that_exits_at_once_is_explained_and_rolled_back() {
    let Some(world) = World::begin() else { return };
    if program::find("kubectl", &[]).is_none() {
        return program::missing("kubectl is not on this machine");
    }
    let explained = |said: &str| {
        for part in ["worker", "container `worker` exited with code 3", "cannot find the configuration"] {
            assert!(said.contains(part), "lacks {part:?}: {said}");
        }
    };
    let first = world.folder("first", BROKEN);
    explained(&world.run(&first, &["up"]).fails(RELEASE));
    let left = world.kubectl("get deployments,services,pods -n first -o name").ok();
    assert_eq!(left.trim(), "", "a first revision that failed is taken away");
    fs::write(first.join("compose.yaml"), GOOD).unwrap();
    world.run(&first, &["up"]).ok();

    let second = world.folder("second", GOOD);
    world.run(&second, &["up"]).ok();
    fs::write(second.join("compose.yaml"), BROKEN).unwrap();
    let said = world.run(&second, &["up"]).fails(RELEASE);
    explained(&said);
    assert!(said.contains("rolled back to revision 1"), "{said}");
    let history = world.run(&second, &["history"]).ok();
    assert_eq!(
        program::revisions(&history),
        [("1", "superseded"), ("2", "failed"), ("3", "deployed")],
        "{history}"
    );
    let pods = world.get("pods -n second");
    let pods = pods["items"].as_array().unwrap();
    assert!(pods.iter().any(is_ready), "the earlier revision runs: {pods:?}");
}

#[test]
fn a_container_without_a_probe_that_exits_is_not_called_ready() {
    let Some(world) = World::begin() else { return };
    let compose = BROKEN.lines().filter(|line| !line.contains("healthcheck")).collect::<Vec<_>>().join("\n");
    let said = world.run(&world.folder("unprobed", &compose), &["up"]).fails(RELEASE);
    assert!(said.contains("container `worker` exited with code 3"), "{said}");
}
