//! `kubectl logs` with its flags: which lines, of which container, from when on, in which form.

use serde_json::json;

use crate::world::{World, with_every_kubectl};

const LATE: &str = "2999-01-01T00:00:00Z";
const EARLY: &str = "2001-01-01T00:00:00Z";

#[track_caller]
fn check(world: &World, line: &str, expect: &str) {
    assert_eq!(world.ok(line), expect, "`kubectl {line}`");
}

/// The command fails and says this.
#[track_caller]
fn refuse(world: &World, line: &str, expect: &str) {
    let ran = world.kubectl(line);
    assert!(ran.code != 0 && ran.stderr.contains(expect), "`kubectl {line}` {}: {}", ran.code, ran.stderr);
}

/// Lines in any order, as several containers give them.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_log_is_cut_by_lines_bytes_and_time() {
    with_every_kubectl(|world| {
        world.pod("p", "echo one; echo two; echo three >&2; sleep 1000", json!({}));
        world.until_ready("p");
        world.ok("logs p --pod-running-timeout=60s");
        while world.ok("logs p").lines().count() < 3 {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        check(world, "logs p -c c", "one\ntwo\nthree\n");
        check(world, "logs pod/p --tail=1", "three\n");
        check(world, "logs p --tail=-1", "one\ntwo\nthree\n");
        check(world, "logs p --tail=0", "");
        check(world, "logs p --limit-bytes=5", "one\nt");
        check(world, "logs p --since=1h --tail=2", "two\nthree\n");
        check(world, &format!("logs p --since-time={EARLY}"), "one\ntwo\nthree\n");
        check(world, &format!("logs p --since-time={LATE}"), "");
        check(world, "logs p --prefix --tail=1", "[pod/p/c] three\n");
        let stamped = world.ok("logs p --timestamps");
        let texts: Vec<&str> = stamped.lines().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
        assert_eq!(texts, ["one", "two", "three"], "{stamped}");
    });
}

#[test]
fn what_has_no_log_says_why() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        refuse(world, "logs p -c nosuch", "container nosuch is not valid for pod p");
        refuse(world, "logs p --previous", "previous terminated container \"c\" in pod \"p\" not found");
        refuse(world, "logs nosuch", "pods \"nosuch\" not found");
        refuse(world, &format!("logs p --since=1s --since-time={EARLY}"), "at most one of");
        refuse(world, "logs p --tail=-2", "--tail must be greater than or equal to -1");
    });
}

#[test]
fn logs_of_several_containers_are_told_apart() {
    with_every_kubectl(|world| {
        let container = |name: &str| json!({ "name": name, "image": "busybox:1", "command": ["sh", "-c", format!("echo from {name}; sleep 1000")] });
        for pod in ["x", "y"] {
            world.create(&json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod, "labels": { "app": "z" } },
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "initContainers": [{ "name": "i", "image": "busybox:1", "command": ["echo", "from i"] }],
                    "containers": [container("a"), container("b")],
                },
            }));
        }
        world.ok("wait --for=condition=Ready pod -l app=z --timeout=60s");
        while sorted(&world.ok("logs -l app=z --all-containers")).len() < 6 {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        check(world, "logs x -c i", "from i\n");
        // The first container is taken, and the choice is told on the other channel.
        check(world, "logs x", "from a\n");
        assert_eq!(sorted(&world.ok("logs x --all-containers")), ["from a", "from b", "from i"]);
        assert_eq!(
            sorted(&world.ok("logs -l app=z --all-containers --prefix")),
            [
                "[pod/x/a] from a",
                "[pod/x/b] from b",
                "[pod/x/i] from i",
                "[pod/y/a] from a",
                "[pod/y/b] from b",
                "[pod/y/i] from i"
            ]
        );
        assert_eq!(sorted(&world.ok("logs -l app=z -c b")), ["from b", "from b"]);
        refuse(
            world,
            "logs -f -l app=z --all-containers --max-log-requests=1",
            "maximum allowed concurrency is 1",
        );
    });
}

#[test]
fn a_log_is_followed_to_its_end_and_the_one_before_a_restart_is_kept() {
    with_every_kubectl(|world| {
        world.pod("ends", "echo first; sleep 2; echo last", json!({}));
        world.ok("wait --for=jsonpath={.status.phase}=Running pod/ends --timeout=60s");
        check(world, "logs -f ends", "first\nlast\n");
        world.create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "again" },
            "spec": {
                "terminationGracePeriodSeconds": 0, "volumes": [{ "name": "v", "emptyDir": {} }],
                "containers": [{
                    "name": "c", "image": "busybox:1", "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
                    "command": ["sh", "-c", "if mkdir /v/seen; then echo once; exit 1; fi; echo twice; sleep 1000"],
                }],
            },
        }));
        world.ok("wait --for=jsonpath={.status.containerStatuses[0].restartCount}=1 pod/again --timeout=60s");
        world.until_ready("again");
        check(world, "logs again --previous", "once\n");
        check(world, "logs again -p --tail=1", "once\n");
    });
}
