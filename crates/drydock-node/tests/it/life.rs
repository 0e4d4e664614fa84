//! The node's own life: daemons come and go, nodes are killed, nothing is left.

use std::path::Path;

use drydock_node::client::NodeClient;
use drydock_node::node::Cgroups;
use drydock_node::protocol::ContainerState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{NODE, assert_nothing_left, until_gone, world};

#[tokio::test]
async fn a_daemon_that_comes_back_finds_what_ran_on_and_what_ended_meanwhile() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("stays", "pod", "sleep 100")).await;
    let volume = world.dir.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let mut ends = world.script("ends", "pod", "while [ ! -e /data/go ]; do sleep 0.01; done; exit 5");
    ends.mounts = vec![crate::volumes::bind(&volume, "/data")];
    world.start(ends).await;
    drop(world.client);
    std::fs::write(volume.join("go"), "").unwrap();
    let status = world.dir.path().join("containers/ends/status.json");
    while !std::fs::read_to_string(&status).unwrap().contains("exited") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    world.client = NodeClient::connect(world.dir.path()).await.unwrap();
    world.events = world.client.subscribe().await.unwrap();
    let listing = world.client.list().await.unwrap();
    assert_eq!(listing.sandboxes[0].labels["pod"], "pod");
    assert!(matches!(world.state("stays").await, ContainerState::Running { .. }));
    let ContainerState::Exited(exit) = world.state("ends").await else { panic!("still runs") };
    assert_eq!(exit.code, 5);
    world.end().await;
}

#[tokio::test]
async fn a_second_node_in_the_same_directory_is_refused() {
    let Some(world) = world().await else { return };
    let error = NodeClient::launch(Path::new(NODE), world.dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("a node already runs in"), "{error}");
    world.client.ping().await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_killed_node_takes_everything_with_it_and_the_next_one_knows_what_was_lost() {
    let Some(mut world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let pid = world.client.node_pid().unwrap();
    let dir = world.dir.path().canonicalize().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    world.client.closed().await;
    until_gone(pid).await;
    Cgroups::remove_stale(&dir);
    assert_nothing_left(&dir);

    world.client = NodeClient::launch(Path::new(NODE), world.dir.path()).await.unwrap();
    let ContainerState::Exited(exit) = world.state("c").await else { panic!("cannot run") };
    assert_eq!((exit.code, exit.message.as_deref()), (137, Some("the node that ran it is gone")));
    world.client.remove_container("c").await.unwrap();
    assert_eq!(world.client.list().await.unwrap().containers, []);
    world.end().await;
}

#[tokio::test]
async fn a_node_told_to_terminate_ends_cleanly() {
    let Some(world) = world().await else { return };
    world.sandbox("pod").await;
    world.start(world.script("c", "pod", "sleep 100")).await;
    let pid = world.client.node_pid().unwrap();
    let dir = world.dir.path().canonicalize().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    until_gone(pid).await;
    assert_nothing_left(&dir);
    assert!(!dir.join("node.sock").exists());
}

#[tokio::test]
async fn a_long_directory_name_is_no_obstacle() {
    let Some(world) = world().await else { return };
    let dir = world.dir.path().join("a".repeat(100)).join("b".repeat(100));
    let client = NodeClient::launch(Path::new(NODE), &dir).await.unwrap();
    client.ping().await.unwrap();
    let pid = client.node_pid().unwrap();
    client.shutdown().await.unwrap();
    until_gone(pid).await;
    world.end().await;
}

#[tokio::test]
async fn containers_of_a_pod_see_each_other_only_when_asked_to() {
    let Some(mut world) = world().await else { return };
    let shared = drydock_node::protocol::SandboxSpec { share_pid: true, ..crate::world::sandbox("shared") };
    world.client.create_sandbox(shared).await.unwrap();
    world.start(world.script("a", "shared", "sleep 100")).await;
    let (said, _) = world.run(world.script("b", "shared", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).await;
    assert!(said.contains("sleep 100"), "{said}");
    world.client.remove_sandbox("shared").await.unwrap();
    world.end().await;
}
