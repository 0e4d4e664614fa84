//! `kubectl debug`: a container more in a pod that runs.

use std::io::Read as _;

use crate::world::with_every_kubectl;

#[test]
fn a_container_for_debugging_sees_the_processes_of_its_target() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let line = "debug p --image=busybox:1 --container=d --target=c --quiet -- sh -c".split(' ');
        let line: Vec<&str> = line.chain(["ps | grep '[s]leep 1000' && echo seen"]).collect();
        let ran = world.run(&line, None);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        world.ok(
            "wait --for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0 pod/p \
--timeout=60s",
        );
        assert!(world.ok("logs p -c d").ends_with("seen\n"));
        // The pod itself is as it was.
        assert_eq!(world.ok("get pod p -o jsonpath={.status.phase}"), "Running");
    });
}

#[test]
fn an_attached_debugging_container_answers_and_ends() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let line = "debug -i p --image=busybox:1 --container=d --quiet -- cat".split(' ').collect::<Vec<_>>();
        let ran = world.run(&line, Some(b"hello\n"));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        // Its input is not its only one, so kubectl may leave before the answer; the log has it.
        let mut log = world.command(&["logs", "-f", "p", "-c", "d"]).spawn().unwrap();
        let mut first = [0; 5];
        log.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let _ = log.kill();
        let _ = log.wait();
        assert_eq!(&first, b"hello");
    });
}
