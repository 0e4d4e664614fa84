//! `kubectl exec` and `kubectl cp`, in every version of kubectl and so over every transport.

use std::fs;

use crate::world::{noise, with_every_kubectl};

const LARGE_BYTES: usize = 10 << 20;

#[test]
fn a_command_gives_its_outputs_and_its_code() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let ran = world.run(&["exec", "p", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], None);
        assert_eq!((ran.code, ran.text().as_str()), (7, "out\n"), "{}", ran.stderr);
        assert_eq!(ran.stderr, "err\ncommand terminated with exit code 7\n");
        let ran = world.run(&["exec", "p", "-c", "c", "--", "echo", "two words", "$HOME"], None);
        assert_eq!((ran.code, ran.text().as_str(), ran.stderr.as_str()), (0, "two words $HOME\n", ""));
    });
}

#[test]
fn ten_megabytes_go_in_and_come_back_unchanged() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let bytes = noise(LARGE_BYTES);
        let ran = world.run(&["exec", "-i", "p", "--", "cat"], Some(&bytes));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout == bytes, "{} bytes came back of {}", ran.stdout.len(), bytes.len());
        let ran = world.run(&["exec", "-i", "p", "--", "wc", "-c"], Some(&bytes));
        assert_eq!(ran.text().trim(), LARGE_BYTES.to_string());
    });
}

#[test]
fn a_command_that_reads_nothing_does_not_wait_for_its_input() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let ran = world.run(&["exec", "-i", "p", "--", "echo", "done"], Some(&noise(1 << 20)));
        assert_eq!((ran.code, ran.text().as_str()), (0, "done\n"), "{}", ran.stderr);
    });
}

#[test]
fn files_are_copied_both_ways() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let bytes = noise(3 << 20);
        fs::create_dir_all(world.folder().join("tree/deep")).unwrap();
        fs::write(world.folder().join("tree/deep/file"), &bytes).unwrap();
        fs::write(world.folder().join("tree/empty"), b"").unwrap();
        world.ok("cp tree p:/tmp/tree");
        world.ok("cp p:/tmp/tree back");
        assert!(fs::read(world.folder().join("back/deep/file")).unwrap() == bytes);
        assert_eq!(fs::read(world.folder().join("back/empty")).unwrap(), b"");
    });
}

#[test]
fn what_cannot_be_run_says_why() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let ran = world.run(&["exec", "p", "--", "nonsense"], None);
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("\"nonsense\": executable file not found in $PATH"), "{}", ran.stderr);
        let ran = world.run(&["exec", "p", "-c", "other", "--", "true"], None);
        assert!(ran.stderr.contains("container other is not valid for pod p"), "{}", ran.stderr);
        let ran = world.run(&["exec", "nobody", "--", "true"], None);
        assert!(ran.stderr.contains("pods \"nobody\" not found"), "{}", ran.stderr);
    });
}

#[test]
fn a_container_that_does_not_run_is_not_found() {
    with_every_kubectl(|world| {
        world.create(&serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
            "spec": { "restartPolicy": "Never", "containers": [
                { "name": "up", "image": "busybox:1", "command": ["sleep", "1000"] },
                { "name": "down", "image": "busybox:1", "command": ["true"] },
            ], "terminationGracePeriodSeconds": 0 },
        }));
        world.ok("wait --for=jsonpath={.status.containerStatuses[1].state.terminated.exitCode}=0 pod/p --timeout=60s");
        let ran = world.run(&["exec", "p", "-c", "down", "--", "true"], None);
        assert_eq!(ran.code, 1);
        assert!(
            ran.stderr.contains("unable to upgrade connection: container not found (\"down\")"),
            "{}",
            ran.stderr
        );
    });
}
