//! Secrets in the file: there, and not readable there.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::world;

fn holds(bytes: &[u8], needle: &str) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn the_value_of_a_secret_is_in_no_byte_of_the_stores_files() {
    let world = world().await;
    let secrets = Api::<Secret>::namespaced(world.client.clone(), "default");
    let object = |value: Value| serde_json::from_value(value).unwrap();
    let secret = json!({ "metadata": { "name": "s", "annotations": { "last": "annotated-hunter2" } },
        "stringData": { "password": "correct horse battery" } });
    secrets.create(&PostParams::default(), &object(secret)).await.unwrap();
    let patch = json!({ "data": { "token": "c2VlLXRoaXMtbm93aGVyZQ==" } });
    secrets.patch("s", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    secrets.delete("s", &DeleteParams::default()).await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), "default");
    let map = json!({ "metadata": { "name": "m" }, "data": { "a": "not-so-secret" } });
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();

    let files = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let bytes: Vec<u8> =
        files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect();
    // As base64, as text, and in parts that stand beside the value.
    for needle in ["Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", "correct horse", "c2VlLXRoaXMt", "see-this", "hunter2"] {
        assert!(!holds(&bytes, needle), "{needle} lies readable in the store");
    }
    assert!(holds(&bytes, "not-so-secret"), "the search itself must be able to find something");
}
