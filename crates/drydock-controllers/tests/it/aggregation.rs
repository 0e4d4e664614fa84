//! Roles that gather the rules of others, while everything runs.

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::world::World;

fn widgets(role: &ClusterRole) -> bool {
    let rules = role.rules.iter().flatten();
    rules.flat_map(|rule| rule.resources.iter().flatten()).any(|resource| resource == "widgets")
}

#[tokio::test]
async fn what_a_chart_adds_to_view_reaches_edit_and_admin_and_leaves_with_it() {
    let world = World::start().await;
    let roles = Api::<ClusterRole>::all(world.client.clone());
    let addition: Value = json!({
        "metadata": { "name": "widgets-view", "labels": { "rbac.authorization.k8s.io/aggregate-to-view": "true" } },
        "rules": [{ "verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"] }],
    });
    roles.create(&PostParams::default(), &serde_json::from_value(addition).unwrap()).await.unwrap();
    for expect in [true, false] {
        for name in ["view", "edit", "admin"] {
            let what = format!("{name} has widgets: {expect}");
            world
                .until(&what, || async {
                    let role = roles.get(name).await.unwrap();
                    (widgets(&role) == expect && role.rules.is_some_and(|rules| rules.len() > 10))
                        .then_some(())
                })
                .await;
        }
        if expect {
            roles.delete("widgets-view", &DeleteParams::default()).await.unwrap();
        }
    }
}
