//! Images that the cargo builder really builds, of a package small enough to be built in seconds; and the example's
//! Dockerfiles beside them.

// A test that cannot go on says so by failing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use seaworthy_app::{HealthTest, Healthcheck};
use seaworthy_image::cargo_build::{CargoImage, build};
use seaworthy_image::{HealthCheck, Image, ImageStore};
use serde_json::{Value, json};

const MEGABYTE: u64 = 1 << 20;

fn health() -> HealthCheck {
    HealthCheck {
        command: vec!["/app/tiny".into(), "health".into()],
        interval_s: Some(10),
        timeout_s: Some(3),
        start_period_s: Some(10),
        retries: Some(3),
    }
}

/// A package without dependencies, with a secret beside its source; built into a store of its own.
async fn built(folder: &Path) -> (ImageStore, Image) {
    let source = folder.join("tiny");
    fs::create_dir_all(source.join("src")).unwrap();
    let manifest = "[package]\nname = \"tiny\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[profile.release]\nstrip = \"symbols\"\n";
    fs::write(source.join("Cargo.toml"), manifest).unwrap();
    fs::write(source.join("src/main.rs"), "fn main() { println!(\"{:?}\", std::env::args()); }\n").unwrap();
    fs::write(source.join(".env"), "TOKEN=never to be seen in an image\n").unwrap();
    let store = ImageStore::open(folder.join("images")).unwrap();
    let wanted = CargoImage {
        repository: "tiny".into(),
        package: "tiny".into(),
        ports: vec![8000],
        health: Some(health()),
    };
    let image = build(&store, &source, &[wanted], |_| {}).await.unwrap().remove(0).image;
    (store, image)
}

#[tokio::test]
async fn the_same_sources_give_the_same_image_wherever_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (_, first) = built(&folder.path().join("here")).await;
    let (_, second) = built(&folder.path().join("in/another/place")).await;
    assert_eq!(first.digest, second.digest, "what is named by content has the same name: {}", second.name);
}

#[tokio::test]
async fn an_image_holds_the_program_and_nothing_it_does_not_need() {
    let folder = tempfile::tempdir().unwrap();
    let (store, image) = built(folder.path()).await;
    let config = config_of(&store, &image);
    let own = &config["config"];
    assert_eq!(own["User"], "1000:1000");
    assert_eq!(own["Entrypoint"], json!(["/app/tiny"]));
    assert_eq!(own["ExposedPorts"], json!({ "8000/tcp": {} }));
    assert_eq!(own["Labels"], json!({ "org.opencontainers.image.title": "tiny" }));
    assert_eq!(own["Healthcheck"], serde_json::to_value(health()).unwrap());
    assert!(own["Env"].as_array().is_none_or(Vec::is_empty), "{own}");
    assert!(image.size_bytes() < 2 * MEGABYTE, "{} bytes", image.size_bytes());

    let layers = store.unpack(&image).unwrap();
    let [layer] = layers.as_slice() else { panic!("{layers:?}") };
    let mut found = BTreeSet::new();
    list(layer, layer, &mut found);
    let expect = ["app", "app/tiny", "etc", "etc/group", "etc/passwd", "tmp"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(expect));
    let tmp = fs::metadata(layer.join("tmp")).unwrap();
    assert_eq!(tmp.permissions().mode() & 0o7777, 0o1777, "the only place to write to");
    let program = fs::metadata(layer.join("app/tiny")).unwrap();
    assert_eq!(program.permissions().mode() & 0o777, 0o755);
    // What unpacks makes one second of none.
    assert!(program.mtime() <= 1, "no date of a machine: {}", program.mtime());
}

fn config_of(store: &ImageStore, image: &Image) -> Value {
    let blob = |digest: &str| -> Value {
        let path = store.root().join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    blob(blob(&image.digest)["config"]["digest"].as_str().unwrap())
}

fn list(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        found.insert(entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned());
        if entry.file_type().unwrap().is_dir() {
            list(root, &entry.path(), found);
        }
    }
}

/// What a Dockerfile's `HEALTHCHECK` says.
fn docker_health(dockerfile: &str) -> Healthcheck {
    let line = dockerfile.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")).unwrap();
    let (options, command) = line.split_once("CMD ").unwrap();
    let number = |name: &str| {
        let value = options.split_whitespace().find_map(|option| option.strip_prefix(&format!("--{name}=")));
        value.map(|value| value.trim_end_matches('s').parse().unwrap())
    };
    Healthcheck {
        interval_s: number("interval"),
        timeout_s: number("timeout"),
        retries: number("retries"),
        start_period_s: number("start-period"),
        ..Healthcheck::new(HealthTest::Exec(serde_json::from_str(command).unwrap()))
    }
}

#[test]
fn docker_checks_the_health_of_the_example_as_its_compose_file_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo");
    let request = seaworthy_compose::Request { folder: example.clone(), ..Default::default() };
    let app = seaworthy_compose::load(&request).unwrap_or_else(|error| panic!("{}", error.explain())).app;
    for name in ["frontend", "backend", "mcp-server"] {
        let service = app.service(name).unwrap();
        let dockerfile = fs::read_to_string(example.join(name).join("Dockerfile")).unwrap();
        assert_eq!(service.healthcheck, Some(docker_health(&dockerfile)), "{name}");
        let ports: Vec<String> =
            service.ports.iter().map(|port| format!("EXPOSE {}\n", port.container)).collect();
        assert!(dockerfile.contains(&ports.concat()), "{name}: {ports:?}");
    }
}

/// `COPY . .` of the Dockerfiles takes all that is not listed there.
#[test]
fn dockers_build_sees_no_secret_and_no_build_of_before() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo");
    let ignored = fs::read_to_string(example.join(".dockerignore")).unwrap();
    let ignored: BTreeSet<&str> = ignored.lines().collect();
    for name in ["**/target", "**/.env*", "secrets", ".todo", ".git", "**/*.db", "**/*.log"] {
        assert!(ignored.contains(name), "{name} would be part of a layer");
    }
}
