//! Chart repositories: by name, by URL, with logins and digests.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::oci::serve;
use crate::tls::{Authority, Clients};
use crate::world::World;

/// A path and what stands there.
type Stored = (String, Vec<u8>);

/// Files at paths; a repository that wants a login when `guarded`, and the paths that were asked with one.
#[derive(Clone, Default)]
pub struct Files {
    guarded: bool,
    files: Arc<Mutex<Vec<Stored>>>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Files {
    fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(0, (path.to_owned(), content.into()));
    }

    fn start(&self) -> String {
        let files = self.clone();
        format!(
            "http://{}",
            serve(|_| Router::new().fallback(move |request: Request| async move { files.answer(&request) }))
        )
    }

    /// The same over TLS; host and port.
    pub fn start_at(&self, authority: &Authority, clients: Clients) -> String {
        let files = self.clone();
        let answer = move |request: Request| async move { files.answer(&request) };
        authority.serve(clients, |_| Router::new().fallback(answer))
    }

    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path();
        let login = request.headers().get(header::AUTHORIZATION);
        if login.is_some() {
            self.shown.lock().unwrap().push(path.to_owned());
        }
        if self.guarded && login.is_none_or(|login| login != "Basic bWU6c2VjcmV0") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let files = self.files.lock().unwrap();
        let found = files.iter().find(|(known, _)| known == path);
        found.map_or(StatusCode::NOT_FOUND.into_response(), |(_, content)| content.clone().into_response())
    }
}

fn digest(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A world and a repository with two versions of `db`.
pub fn published(guarded: bool) -> (World, Files) {
    let (world, files) = (World::new(), Files { guarded, ..Files::default() });
    let mut index = "apiVersion: v1\nentries:\n  db:\n".to_owned();
    for version in ["1.2.0", "1.3.0"] {
        world.ours(&["package", "db", "--version", version, "-d", "repo"]).ok();
        let data = std::fs::read(world.path(&format!("repo/db-{version}.tgz"))).unwrap();
        index.push_str(&format!(
            "  - {{apiVersion: v2, name: db, version: {version}, urls: [db-{version}.tgz], digest: {}, created: '2026-01-01T00:00:00Z'}}\n",
            digest(&data)
        ));
        files.put(&format!("/charts/db-{version}.tgz"), data);
    }
    files.put("/charts/index.yaml", index);
    (world, files)
}

fn version(out: &str) -> &str {
    out.lines().find_map(|line| line.strip_prefix("version: ")).unwrap()
}

#[test]
fn a_repository_needs_no_name() {
    let (world, files) = published(false);
    let url = format!("{}/charts", files.start());
    let show = |more: &[&str]| world.ours(&[&["show", "chart", "db", "--repo", &url], more].concat());
    assert_eq!(version(&show(&[]).ok()), "1.3.0");
    assert_eq!(version(&show(&["--version", "~1.2.0"]).ok()), "1.2.0");
    let refused = show(&["--version", "^7"]).refused();
    assert!(refused.contains("chart \"db\" version \"^7\" not found in"), "{refused}");
    let refused = world.ours(&["show", "chart", "web", "--repo", &url]).refused();
    assert!(refused.contains("no chart name found"), "{refused}");
    let refused = world.ours(&["show", "chart", "db", "--repo", &format!("{url}/none")]).refused();
    assert!(refused.contains("is not a valid chart repository or cannot be reached"), "{refused}");
}

#[test]
fn helms_own_repositories_are_known_by_their_names() {
    let (world, files) = published(true);
    let url = format!("{}/charts", files.start());
    let Some(ran) = world.helm(&["repo", "add", "mine", &url, "--username", "me", "--password", "secret"])
    else {
        return;
    };
    ran.ok();
    assert_eq!(version(&world.ours(&["show", "chart", "mine/db"]).ok()), "1.3.0");
    world.ours(&["pull", "mine/db", "--version", "1.2.0", "--untar"]).ok_or_exists();
    assert_eq!(version(&world.ours(&["show", "chart", &format!("{url}/db-1.2.0.tgz")]).ok()), "1.2.0");
    let asked = world.read("web/Chart.yaml").replace("file://../db", "\"@mine\"");
    world.write("web/Chart.yaml", asked);
    let out = world.ours(&["dependency", "update", "web"]).ok();
    assert!(out.contains("...Successfully got an update from the \"mine\" chart repository"), "{out}");
    let ours = world.read("web/Chart.lock");
    world.helm(&["dependency", "build", "web"]).unwrap().ok();
    std::fs::remove_file(world.path("web/Chart.lock")).unwrap();
    world.helm(&["dependency", "update", "web"]).unwrap().ok();
    let digest = |lock: &str| lock.lines().find(|line| line.starts_with("digest")).unwrap().to_owned();
    assert_eq!(digest(&ours), digest(&world.read("web/Chart.lock")));
}

impl crate::world::Ran {
    /// The chart's folder may be there already: it is one of the copies.
    #[track_caller]
    fn ok_or_exists(self) {
        assert!(self.code == Some(0) || self.err.contains("already exists"), "{}", self.err);
    }
}

#[test]
fn a_repository_that_has_no_name_yet_can_be_written_by_hand() {
    let (world, files) = published(true);
    let url = format!("{}/charts", files.start());
    let config = format!(
        "apiVersion: ''\nrepositories:\n- {{name: mine, url: {url}, username: me, password: secret}}\n"
    );
    world.write("home/.config/helm/repositories.yaml", config);
    assert_eq!(version(&world.ours(&["show", "chart", "mine/db", "--version", "1.2.0"]).ok()), "1.2.0");
    assert!(world.ours(&["show", "chart", "other/db"]).refused().contains("repo other not found"));
}

#[test]
fn a_login_goes_to_its_own_host_only() {
    let (world, elsewhere) = published(false);
    let other = elsewhere.start();
    let guarded = Files { guarded: true, ..Files::default() };
    guarded.put(
        "/index.yaml",
        format!("apiVersion: v1\nentries:\n  db:\n  - {{apiVersion: v2, name: db, version: 1.2.0, urls: ['{other}/charts/db-1.2.0.tgz']}}\n"),
    );
    let url = guarded.start();
    let show = ["show", "chart", "db", "--repo", &url, "--username", "me", "--password", "secret"];
    world.ours(&show).ok();
    assert!(elsewhere.shown.lock().unwrap().is_empty(), "the login was sent to another host");
    std::fs::remove_dir_all(world.path("home")).ok();
    world.ours(&[&show[..], &["--pass-credentials"]].concat()).ok();
    assert_eq!(*elsewhere.shown.lock().unwrap(), ["/charts/db-1.2.0.tgz"]);
}

#[test]
fn a_chart_that_was_changed_after_it_was_published_is_refused() {
    let (world, files) = published(false);
    let url = format!("{}/charts", files.start());
    let other = std::fs::read(world.path("repo/db-1.2.0.tgz")).unwrap();
    files.put("/charts/db-1.3.0.tgz", other);
    let refused = world.ours(&["show", "chart", "db", "--repo", &url]).refused();
    assert!(refused.contains("it was changed after it was published"), "{refused}");
}

#[test]
fn a_chart_is_unpacked_once() {
    let (world, files) = published(false);
    let url = format!("{}/charts", files.start());
    let pull = ["pull", "db", "--repo", &url, "--untar", "--untardir", "out"];
    world.ours(&pull).ok();
    assert!(world.read("out/db/Chart.yaml").contains("version: 1.3.0"));
    assert!(world.ours(&pull).refused().contains("already exists"));
}

#[test]
fn values_may_stand_at_a_url() {
    let (world, files) = published(false);
    files.put("/values.yaml", "size: 9Gi\n");
    files.put("/size.txt", "8Gi");
    let url = files.start();
    assert!(
        world
            .ours(&["template", "x", "db", "-f", &format!("{url}/values.yaml")])
            .ok()
            .contains("size: \"9Gi\"")
    );
    assert!(
        world
            .ours(&["template", "x", "db", "--set-file", &format!("size={url}/size.txt")])
            .ok()
            .contains("size: \"8Gi\"")
    );
    assert!(
        world.ours_reading(&["template", "x", "db", "-f", "-"], "size: 7Gi\n").ok().contains("size: \"7Gi\"")
    );
}

#[test]
fn names_given_with_us_are_helms_and_the_other_way_round() {
    let (world, files) = published(false);
    let url = format!("{}/charts", files.start());
    assert!(world.ours(&["search", "repo"]).refused().contains("no repositories configured"));
    world.ours(&["repo", "add", "ours", &url]).ok();
    let again = world.ours(&["repo", "add", "ours", &url]).ok();
    assert!(again.contains("already exists with the same configuration, skipping"), "{again}");
    let taken = world.ours(&["repo", "add", "ours", &format!("{url}/none")]).refused();
    assert!(taken.contains("please specify a different name"), "{taken}");
    let none = world.ours(&["repo", "add", "none", &format!("{url}/none")]).refused();
    assert!(none.contains("is not a valid chart repository or cannot be reached"), "{none}");
    let Some(helms) = world.helm(&["repo", "add", "theirs", &url]) else { return };
    helms.ok();
    for line in [
        "repo list",
        "repo list -o json",
        "repo list -o yaml",
        "search repo",
        "search repo db",
        "search repo db --versions -o json",
        "search repo theirs/ -o yaml",
        "search repo -r ^d. --version ~1.2",
        "search repo nothing",
        "search repo --max-col-width 8",
    ] {
        let line: Vec<&str> = line.split(' ').collect();
        assert_eq!(world.ours(&line).ok(), world.helm(&line).unwrap().ok(), "{line:?}");
    }
    world.ours(&["repo", "update", "theirs"]).ok();
    assert_eq!(version(&world.helm(&["show", "chart", "ours/db"]).unwrap().ok()), "1.3.0");
    world.ours(&["repo", "remove", "theirs"]).ok();
    assert!(!world.helm(&["repo", "list"]).unwrap().ok().contains("theirs"));
    assert!(!world.path("home/.cache/helm/repository/theirs-index.yaml").exists());
}

#[test]
fn an_index_of_a_folder_is_helms() {
    let world = World::new();
    for version in ["1.2.0", "1.3.0"] {
        world.ours(&["package", "db", "--version", version, "-d", "repo"]).ok();
    }
    world.ours(&["package", "lib", "-d", "repo/below"]).ok();
    world.write("repo/none.tgz", "no chart");
    let stable = |text: String| {
        let is_time = |line: &&str| line.contains("created:") || line.starts_with("generated:");
        text.lines().filter(|line| !is_time(line)).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let more: [&[&str]; 3] = [&[], &["--url", "https://example.com/charts/"], &["--merge", "old.yaml"]];
    for more in more {
        let line = [&["repo", "index", "repo"], more].concat();
        world.write(
            "old.yaml",
            "apiVersion: v1\nentries:\n  db:\n  - {apiVersion: v2, name: db, version: 1.0.0, urls: [old.tgz], created: '2026-01-01T00:00:00Z'}\n  - {apiVersion: v2, name: db, version: 1.2.0, urls: [other.tgz], created: '2026-01-01T00:00:00Z'}\n",
        );
        world.ours(&line).ok();
        let ours = stable(world.read("repo/index.yaml"));
        assert!(ours.contains("name: lib"), "{ours}");
        let Some(helms) = world.helm(&line) else { return };
        helms.ok();
        assert_eq!(ours, stable(world.read("repo/index.yaml")), "{more:?}");
    }
}
