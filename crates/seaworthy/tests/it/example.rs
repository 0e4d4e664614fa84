//! The main job: a folder becomes a running application, is stopped with its data kept, and leaves nothing behind.

use serde_json::Value;

use crate::leftovers::{Traces, links};
use crate::program::until;
use crate::todo::{SENTENCE, TITLE, is_ready, text};
use crate::world::World;

const PODS: usize = 7;

#[test]
fn the_example_goes_from_a_folder_to_a_running_app() {
    let Some(world) = World::begin() else { return };
    let (folder, links) = (world.example(), links());
    let up = world.run(&folder, &["up"]);
    assert!(up.err.contains("drydock started") && up.err.contains("ready"), "{up}");
    assert_eq!(up.ok().trim(), format!("http://todo.localhost:{}", world.http_port));

    let ada = world.sign_up("ada");
    let reply = world.say(&ada, SENTENCE);
    assert_eq!(reply["tool_calls"][0]["tool"], "add_task", "the backend asked the MCP server: {reply}");
    assert_eq!(world.titles(&ada), [TITLE]);
    let page = world.page("/");
    assert!(page.status == 200 && page.body.contains("Sign up"), "the frontend answers: {}", page.body);
    the_data_is_where_it_belongs(&world, &ada.id);
    the_pods_are_real(&world);
    the_app_can_be_looked_at(&world, &folder);

    let again = world.run(&folder, &["up"]);
    assert!(again.err.contains("revision 1: nothing to change"), "{again}");
    again.ok();

    world.run(&folder, &["down"]).ok();
    assert_eq!(world.pods(None).len(), 0);
    world.run(&folder, &["up"]).ok();
    let ada = world.log_in("ada");
    assert_eq!(world.titles(&ada), [TITLE], "volumes outlive `down`");

    let traces = Traces::of(&world, links);
    assert!(traces.processes.len() > 2 * PODS && !traces.namespaces.is_empty(), "{:?}", traces.processes);
    world.run(&folder, &["down", "--volumes"]).ok();
    until("`down --volumes` has removed what was stored", || {
        match world.kubectl("get pvc,pv -A -o name").ok() {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        }
    });
    world.drydock("stop").ok();
    traces.are_gone(&world);
}

fn the_data_is_where_it_belongs(world: &World, user: &str) {
    let row = world.sql(&format!("select title, completed from tasks where user_id = '{user}'"));
    assert_eq!(row, format!("{TITLE}|f"), "the row is in PostgreSQL");
    let version = world.sql("select version()");
    assert!(version.starts_with("PostgreSQL "), "{version}");
    let sent = world.redis(&["GET", &format!("chat:{user}:window")]);
    assert_eq!(sent, "1", "the chat's limit is counted in Redis");
}

fn the_pods_are_real(world: &World) {
    let pods = world.pods(None);
    assert_eq!(pods.len(), PODS);
    let mut addresses: Vec<String> = pods.iter().map(|pod| text(&pod["status"]["podIP"])).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), PODS, "each pod has an address of its own: {addresses:?}");
    assert!(addresses.iter().all(|address| address.starts_with("10.244.")), "{addresses:?}");
    assert!(pods.iter().all(|pod| is_ready(pod) && pod["metadata"]["namespace"] == "todo"));
}

fn the_app_can_be_looked_at(world: &World, folder: &std::path::Path) {
    let logs = world.run(folder, &["logs", "backend"]).ok();
    // One of two replicas; lines carry the pod's name before the service's own JSON.
    let is_json = |line: &str| {
        line.split_once("  ").is_some_and(|(_, json)| serde_json::from_str::<Value>(json).is_ok())
    };
    assert!(logs.lines().any(is_json), "{logs}");
    let status = world.run(folder, &["status", "--json"]).ok();
    let lines: Vec<Value> = serde_json::from_str(&status).unwrap();
    let services: Vec<&str> = lines.iter().filter_map(|line| line["service"].as_str()).collect();
    assert_eq!(services, ["backend", "frontend", "mcp-server", "postgres", "redis"]);
    assert!(lines.iter().all(|line| line["ready"] == line["pods"] && line["restarts"] == 0), "{status}");
    let table = world.run(folder, &["status"]).ok();
    assert!(table.contains(&format!("http://todo.localhost:{}", world.http_port)), "{table}");
}
