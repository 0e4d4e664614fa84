//! The images all tests share: prepared once, then linked into each test's own store.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program;

/// The annotation that names an image in a store.
const NAME: &str = "org.opencontainers.image.ref.name";
const TOOLS: &str = "docker.io/library/tools:1";
/// A cold build of the example takes minutes.
const COLD_BUILD: Duration = Duration::from_secs(1200);

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A state folder with all images of the example: `SEAWORTHY_TEST_IMAGES`, else one that outlives the tests.
fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        let home = std::env::var_os("SEAWORTHY_TEST_IMAGES")
            .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-home"), PathBuf::from);
        prepare(&home);
        home
    })
}

fn prepare(home: &Path) {
    let mut stand_ins = Command::new(env!("CARGO"));
    stand_ins.args(["run", "--quiet", "--package", "xtask", "--", "standins"]).current_dir(root());
    stand_ins.env("SEAWORTHY_HOME", home);
    program::start(stand_ins).wait_for(COLD_BUILD).ok();
    let mut build = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
    build.args(["image", "build"]).current_dir(root().join("examples/todo")).env("SEAWORTHY_HOME", home);
    program::start(build).wait_for(COLD_BUILD).ok();
}

/// Gives the state folder `home` the shared images. Content is never written to, so it may be shared.
pub fn link_into(home: &Path) {
    let (from, to) = (shared().join("images"), home.join("images"));
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        match name.to_str() {
            Some("tmp" | "lock") => {}
            Some("blobs" | "unpacked") => program::copy(&entry.path(), &to.join(name), true),
            _ => program::copy(&entry.path(), &to.join(name), false),
        }
    }
    name_again(&to.join("index.json"));
}

/// Gives the image of redis a second name, [`TOOLS`], that says nothing of a data store: an app of it is an ordinary one.
fn name_again(index: &Path) {
    let mut content: Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    let images = content["manifests"].as_array_mut().unwrap();
    let redis = images.iter().find(|image| {
        image["annotations"][NAME].as_str().is_some_and(|name| name.ends_with("/redis:7-alpine"))
    });
    let mut tools = redis.unwrap().clone();
    tools["annotations"] = json!({ NAME: TOOLS });
    images.push(tools);
    fs::write(index, content.to_string()).unwrap();
}
