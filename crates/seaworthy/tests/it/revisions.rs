//! Revisions of the example's release: a change, the way back, and Helm's own view of both.

use std::fs;

use serde_json::Value;

use crate::program;
use crate::world::World;

#[test]
fn a_change_is_a_revision_and_can_be_taken_back() {
    let Some(world) = World::begin() else { return };
    let folder = world.example();
    world.run(&folder, &["up"]).ok();
    let rolled =
        |service: &str| world.get(&format!("deployment {service} -n todo"))["metadata"]["generation"].clone();
    let untouched = rolled("frontend");

    fs::write(
        folder.join(".env"),
        "CORS_ORIGINS=https://a.example
",
    )
    .unwrap();
    let up = world.run(&folder, &["up"]);
    assert!(up.err.contains("revision 2"), "{up}");
    up.ok();
    assert_eq!(setting(&world), "https://a.example");
    assert_eq!(rolled("frontend"), untouched, "a service that did not change is left alone");

    let back = world.run(&folder, &["rollback"]);
    assert!(back.err.contains("revision 3 has the content of revision 1"), "{back}");
    back.ok();
    assert_eq!(setting(&world), "");
    let history = world.run(&folder, &["history"]).ok();
    assert_eq!(
        program::revisions(&history),
        [("1", "superseded"), ("2", "superseded"), ("3", "deployed")],
        "{history}"
    );
    helm_sees_the_same(&world);
}

fn helm_sees_the_same(world: &World) {
    let Some(helm) = program::find("helm", &["/root/go/bin", "/usr/local/bin"]) else {
        // Helm is no Debian package; CI may not have it.
        eprintln!("NOT CHECKED: helm is not on this machine");
        return;
    };
    let helm = |args: &[&str]| program::run(world.client(&helm, args)).ok();
    let list: Value = serde_json::from_str(&helm(&["list", "-n", "todo", "-o", "json"])).unwrap();
    assert_eq!(
        (&list[0]["name"], &list[0]["revision"], &list[0]["status"]),
        (&"todo".into(), &"3".into(), &"deployed".into())
    );
    let history: Value =
        serde_json::from_str(&helm(&["history", "todo", "-n", "todo", "-o", "json"])).unwrap();
    assert_eq!(history.as_array().map(Vec::len), Some(3), "{history}");
    let manifest = |revision: &str| helm(&["get", "manifest", "todo", "-n", "todo", "--revision", revision]);
    assert!(manifest("2").contains("https://a.example"));
    assert_eq!(manifest("3"), manifest("1"));
}

/// What the backend's pods are given, as the cluster has it.
fn setting(world: &World) -> String {
    let settings = world.get("configmap backend -n todo");
    settings["data"]["CORS_ORIGINS"].as_str().unwrap_or_default().to_owned()
}
