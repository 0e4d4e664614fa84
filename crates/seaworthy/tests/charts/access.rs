//! How hosts of charts are spoken to: authorities, certificates, logins from helpers and from whoever sits there.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::oci::Server;
use crate::repositories::published;
use crate::tls::{Authority, Clients};
use crate::world::World;

const AUTHORITY: [&str; 2] = ["--ca-file", "ca.pem"];
const CERTIFICATE: [&str; 4] = ["--cert-file", "me.pem", "--key-file", "me.key"];
/// How long a program may take to come to its prompt on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// Ours, and Helm where there is one, both do it or both refuse it. What ours said.
#[track_caller]
fn both(world: &World, line: &[&str], works: bool) -> String {
    if let Some(helms) = world.helm(line) {
        assert_eq!(helms.code == Some(0), works, "helm {line:?}: {}", helms.err);
    }
    let ours = world.ours(line);
    assert_eq!(ours.code == Some(0), works, "{line:?}: {}", ours.err);
    ours.out + &ours.err
}

#[test]
fn a_host_is_believed_when_its_authority_is_trusted() {
    let (world, files) = published(false);
    let authority = Authority::new(&world);
    let url = format!("https://{}/charts", files.start_at(&authority, Clients::Any));
    let line = ["show", "chart", "db", "--repo", &url];
    let refused = both(&world, &line, false);
    assert!(refused.contains("certificate"), "the reason is named: {refused}");
    both(&world, &[&line[..], &AUTHORITY].concat(), true);
    both(&world, &[&line[..], &["--insecure-skip-tls-verify"]].concat(), true);
}

#[test]
fn a_host_that_wants_a_certificate_gets_it() {
    let (world, files) = published(false);
    let authority = Authority::new(&world);
    let url = format!("https://{}/charts", files.start_at(&authority, Clients::WithCertificate));
    let line = [&["show", "chart", "db", "--repo", &url], &AUTHORITY[..]].concat();
    both(&world, &line, false);
    both(&world, &[&line[..], &CERTIFICATE].concat(), true);
    let half = world.ours(&[&line[..], &CERTIFICATE[..2]].concat()).refused();
    assert!(half.contains("belong together"), "{half}");
}

#[test]
fn what_a_repository_was_added_with_is_used_from_then_on() {
    let (world, files) = published(true);
    let authority = Authority::new(&world);
    let url = format!("https://{}/charts", files.start_at(&authority, Clients::WithCertificate));
    let absolute = |name: &str| world.path(name).display().to_string();
    let (ca, certificate, key) = (absolute("ca.pem"), absolute("me.pem"), absolute("me.key"));
    let add = ["repo", "add", "mine", &url, "--username", "me", "--password-stdin"];
    let add = [&add[..], &["--ca-file", &ca, "--cert-file", &certificate, "--key-file", &key]].concat();
    let refused = world.ours_reading(&add, "wrong\n").refused();
    assert!(refused.contains("401"), "{refused}");
    let added = world.ours_reading(&add, "secret\n").ok();
    assert_eq!(added, "\"mine\" has been added to your repositories\n");
    assert!(both(&world, &["show", "chart", "mine/db"], true).contains("version: 1.3.0"));
    both(&world, &["repo", "update"], true);
}

#[test]
fn a_registry_is_spoken_to_with_certificate_and_login() {
    let world = World::new();
    let server = Server::secure(&Authority::new(&world));
    let tls = [&AUTHORITY[..], &CERTIFICATE].concat();
    let login = ["registry", "login", &server.host, "-u", "me", "--password-stdin"];
    assert!(world.ours_reading(&login, "secret\n").refused().contains("cannot log in"));
    world.ours_reading(&[&login[..], &tls].concat(), "secret\n").ok();
    world.ours(&["package", "db", "--version", "1.2.0"]).ok();
    let (remote, place) =
        (format!("oci://{}/charts", server.host), format!("oci://{}/charts/db", server.host));
    both(&world, &["push", "db-1.2.0.tgz", &remote, "--ca-file", "ca.pem"], false);
    both(&world, &[&["push", "db-1.2.0.tgz", &remote], &tls[..]].concat(), true);
    assert!(both(&world, &[&["show", "chart", &place], &tls[..]].concat(), true).contains("1.2.0"));
    let insecure = [&["show", "chart", &place, "--insecure-skip-tls-verify"], &CERTIFICATE[..]].concat();
    both(&world, &insecure, true);
}

/// A credential helper that keeps what it is given in a file beside it.
fn helper(world: &World) -> String {
    let script = "#!/bin/sh\nkept=\"$(dirname \"$0\")/kept\"\ncase \"$1\" in\nstore) cat > \"$kept\" ;;\nget) cat > /dev/null; cat \"$kept\" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;\nerase) cat > /dev/null; rm -f \"$kept\" ;;\nesac\n";
    world.write("bin/docker-credential-standin", script);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(world.path("bin/docker-credential-standin"), mode).unwrap();
    format!("{}:{}", world.path("bin").display(), std::env::var("PATH").unwrap_or_default())
}

#[test]
fn logins_are_kept_by_the_helper_that_the_file_names() {
    let (world, server) = (World::new(), Server::guarded());
    let path = helper(&world);
    world.write("home/.config/helm/registry/config.json", r#"{"credsStore": "standin"}"#);
    let run = |line: &[&str]| world.ours_with(line, &[("PATH", &path)]);
    let login = ["registry", "login", &server.host, "-u", "me", "-p", "secret", "--plain-http"];
    run(&login).ok();
    assert!(world.read("bin/kept").contains("secret"));
    assert!(!world.read("home/.config/helm/registry/config.json").contains("auth\""), "kept twice");
    run(&["package", "db", "--version", "1.2.0"]).ok();
    let remote = format!("oci://{}/charts", server.host);
    run(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]).ok();
    run(&["registry", "logout", &server.host]).ok();
    assert!(!world.path("bin/kept").exists());
    let refused = run(&["push", "db-1.2.0.tgz", &remote, "--plain-http"]).refused();
    assert!(refused.contains("registry login"), "{refused}");
}

#[test]
fn helms_login_with_a_helper_is_ours_too() {
    let (world, server) = (World::new(), Server::guarded());
    let path = helper(&world);
    world.write("home/.config/helm/registry/config.json", r#"{"credsStore": "standin"}"#);
    let login = ["registry", "login", &server.host, "-u", "me", "-p", "secret", "--plain-http"];
    let Some(helms) = world.helm_with(&login, &[("PATH", &path)]) else { return };
    helms.ok();
    world.ours(&["package", "db", "--version", "1.2.0"]).ok();
    let remote = format!("oci://{}/charts", server.host);
    world.ours_with(&["push", "db-1.2.0.tgz", &remote, "--plain-http"], &[("PATH", &path)]).ok();
}

#[test]
fn a_password_is_not_shown_while_it_is_typed() {
    let (world, server) = (World::new(), Server::guarded());
    let terminal = nix::pty::openpty(None, None).unwrap();
    let line = ["registry", "login", &server.host, "-u", "me", "--plain-http"];
    let mut child = world.ours_at(&line, terminal.slave.try_clone().unwrap());
    let echoes = |terminal: &OwnedFd| tcgetattr(terminal).unwrap().local_flags.contains(LocalFlags::ECHO);
    assert!(echoes(&terminal.slave), "before anyone asks, what is typed is shown");
    let deadline = Instant::now() + SOON;
    while echoes(&terminal.slave) {
        assert!(child.try_wait().unwrap().is_none(), "it ended without asking");
        assert!(Instant::now() < deadline, "it does not ask");
        std::thread::sleep(Duration::from_millis(20));
    }
    nix::unistd::write(&terminal.master, b"secret\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(echoes(&terminal.slave), "afterwards it is shown again");
}
