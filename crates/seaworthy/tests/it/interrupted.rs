//! Commands that meet each other, and commands that are broken off.

use rustix::process::{Pid, Signal, kill_process};

use crate::world::World;

const INTERRUPTED: i32 = 130;

/// Becomes ready after a while, so that there is a middle to interrupt.
const SLOW: &str = "services:
  cache:
    image: redis:7-alpine
    command: [sh, -c, 'sleep 3; exec redis-server']
    expose: ['6379']
    healthcheck: {test: [CMD, redis-cli, ping], interval: 1s}
    stop_grace_period: 1s
";

#[test]
fn two_folders_come_up_at_once() {
    let Some(world) = World::begin() else { return };
    let folders = ["left", "right"].map(|name| world.folder(name, SLOW));
    let running = folders.each_ref().map(|folder| world.start(folder, &["up"]));
    running.into_iter().for_each(|up| drop(up.wait().ok()));
    for folder in &folders {
        let status = world.run(folder, &["status"]).ok();
        assert!(status.contains("1/1"), "{status}");
    }
}

#[test]
fn an_interrupted_up_is_continued_by_the_next() {
    let Some(world) = World::begin() else { return };
    let folder = world.folder("slow", SLOW);
    let up = world.start(&folder, &["up"]);
    up.until_it_says("revision 1");
    kill_process(Pid::from_raw(up.pid().cast_signed()).unwrap(), Signal::INT).unwrap();
    let said = up.wait().fails(INTERRUPTED);
    assert!(said.contains("interrupted") && said.contains("same command again"), "{said}");
    world.run(&folder, &["up"]).ok();
    let status = world.run(&folder, &["status"]).ok();
    assert!(status.contains("1/1"), "{status}");
}
