//! What is killed comes back, and what was stored is still there.

use std::collections::BTreeMap;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::program::until;
use crate::todo::{SENTENCE, TITLE, is_ready, text};
use crate::world::World;

const PODS: usize = 7;

#[test]
fn what_is_killed_comes_back_with_its_data() {
    let Some(world) = World::begin() else { return };
    let folder = world.example();
    world.run(&folder, &["up"]).ok();
    let ada = world.sign_up("ada");
    world.say(&ada, SENTENCE);

    a_deleted_pod_is_replaced(&world);
    a_killed_daemon_adopts_its_pods(&world);
    assert_eq!(world.titles(&world.log_in("ada")), [TITLE]);

    assert_eq!(world.redis(&["SET", "kept", "across"]), "OK");
    the_store_returns(&world, "redis");
    assert_eq!(world.redis(&["GET", "kept"]), "across", "Redis has its append-only file");
    the_store_returns(&world, "postgres");
    let row = world.sql(&format!("select title from tasks where user_id = '{}'", ada.id));
    assert_eq!(row, TITLE, "PostgreSQL has its folder");
    world.until_all_are_ready(PODS);
    assert_eq!(world.titles(&world.log_in("ada")), [TITLE], "the services found their stores again");
}

fn a_deleted_pod_is_replaced(world: &World) {
    let before = identities(&world.pods(Some("backend")));
    let victim = before.keys().next().unwrap();
    world.kubectl(&format!("delete pod -n todo {victim}")).ok();
    world.until_all_are_ready(PODS);
    let after = identities(&world.pods(Some("backend")));
    let new = after.iter().filter(|(name, identity)| before.get(*name) != Some(identity)).count();
    assert_eq!((after.len(), new), (2, 1), "one of two is new: {before:?} {after:?}");
}

fn a_killed_daemon_adopts_its_pods(world: &World) {
    let before = identities(&world.pods(None));
    let daemon = world.daemon();
    kill_process(Pid::from_raw(daemon).unwrap(), Signal::KILL).unwrap();
    until("the daemon is dead", || match world.drydock("status").out {
        status if status.contains("stopped") => Ok(()),
        status => Err(status),
    });
    world.drydock("start").ok();
    assert_ne!(world.daemon(), daemon);
    world.until_all_are_ready(PODS);
    let pods = world.pods(None);
    assert_eq!(identities(&pods), before, "the same pods in the same containers");
    let restarts = pods.iter().map(|pod| pod["status"]["containerStatuses"][0]["restartCount"].as_u64());
    assert!(restarts.clone().all(|count| count == Some(0)), "{:?}", restarts.collect::<Vec<_>>());
    until("the ingress answers again", || {
        match std::net::TcpStream::connect(("127.0.0.1", world.http_port)) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
    // The packet filter, DNS and the ingress know the pods again, all the way to the database.
    until("the app answers again", || match world.page("/api/health") {
        answer if answer.status == 200 => Ok(()),
        answer => Err(answer.body),
    });
}

/// Deletes the only pod of a stateful service and waits for the next one of the same name.
fn the_store_returns(world: &World, service: &str) {
    let name = format!("{service}-0");
    let before = text(&world.get(&format!("pod {name} -n todo"))["metadata"]["uid"]);
    world.kubectl(&format!("delete pod {name} -n todo")).ok();
    until(&format!("{name} is there again"), || match world.pods(Some(service)).first() {
        Some(pod) if is_ready(pod) && pod["metadata"]["uid"] != before.as_str() => Ok(()),
        pod => Err(format!("{pod:?}")),
    });
}

/// Pod names with what would change if a pod, or its container, were another one.
fn identities(pods: &[Value]) -> BTreeMap<String, (String, String)> {
    let identity = |pod: &Value| {
        (text(&pod["metadata"]["uid"]), text(&pod["status"]["containerStatuses"][0]["containerID"]))
    };
    pods.iter().map(|pod| (text(&pod["metadata"]["name"]), identity(pod))).collect()
}
