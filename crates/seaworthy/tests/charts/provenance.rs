//! Signatures: ours read by Helm, Helm's read by us. Needs `gpg`, which `.ci/setup` installs.

use std::process::Command;

use crate::world::World;

/// A world with a key ring of one person; `None` where there is no `gpg`, which is said.
fn signer() -> Option<World> {
    let world = World::new();
    std::fs::create_dir_all(world.path("keys")).unwrap();
    let gpg = |arguments: &[&str]| {
        Command::new("gpg")
            .args(["--batch", "--quiet", "--homedir"])
            .arg(world.path("keys"))
            .args(arguments)
            .output()
    };
    let make = [
        "--passphrase",
        "",
        "--quick-generate-key",
        "Keeper <keeper@example.com>",
        "rsa2048",
        "sign",
        "never",
    ];
    let made = match gpg(&make) {
        Ok(made) => made,
        Err(error) => {
            eprintln!("signatures are not tested: `gpg` cannot be run ({error})");
            assert!(std::env::var_os("CI").is_none(), "gpg is missing; `.ci/setup` installs it");
            return None;
        }
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    world.write("public.gpg", gpg(&["--export"]).unwrap().stdout);
    world.write("secret.gpg", gpg(&["--export-secret-keys"]).unwrap().stdout);
    let kill = Command::new("gpgconf")
        .arg("--homedir")
        .arg(world.path("keys"))
        .args(["--kill", "gpg-agent"])
        .status();
    drop(kill);
    Some(world)
}

const SIGN: [&str; 7] = ["package", "db", "--sign", "--key", "keeper@example.com", "--keyring", "secret.gpg"];
const VERIFY: [&str; 4] = ["verify", "db-1.2.0.tgz", "--keyring", "public.gpg"];

#[test]
fn what_we_sign_helm_verifies_and_the_other_way_round() {
    let Some(world) = signer() else { return };
    world.ours(&SIGN).ok();
    let ours = world.ours(&VERIFY).ok();
    assert!(
        ours.starts_with("Signed by: Keeper <keeper@example.com>\nUsing Key With Fingerprint: "),
        "{ours}"
    );
    assert!(ours.contains("\nChart Hash Verified: sha256:"), "{ours}");
    let Some(theirs) = world.helm(&VERIFY) else { return };
    assert_eq!(ours, theirs.ok());
    std::fs::remove_file(world.path("db-1.2.0.tgz")).unwrap();
    world.helm(&SIGN).unwrap().ok();
    assert_eq!(world.ours(&VERIFY).ok(), world.helm(&VERIFY).unwrap().ok());
    world.ours(&["template", "x", "db-1.2.0.tgz", "--verify", "--keyring", "public.gpg"]).ok();
}

#[test]
fn a_chart_or_signature_that_was_changed_is_not_trusted() {
    let Some(world) = signer() else { return };
    world.ours(&SIGN).ok();
    let signature = world.read("db-1.2.0.tgz.prov");
    world.ours(&["package", "db", "--app-version", "9"]).ok();
    let refused = world.ours(&VERIFY).refused();
    assert!(refused.contains("sha256 sum does not match for db-1.2.0.tgz"), "{refused}");
    world.write("db-1.2.0.tgz.prov", signature.replace("name: db", "name: dx"));
    assert!(world.ours(&VERIFY).refused().contains("the signature is not good"));
    world.write("db-1.2.0.tgz.prov", "files: {}\n");
    assert!(world.ours(&VERIFY).refused().contains("the signature is not good"));
    std::fs::remove_file(world.path("db-1.2.0.tgz.prov")).unwrap();
    let refused =
        world.ours(&["template", "x", "db-1.2.0.tgz", "--verify", "--keyring", "public.gpg"]).refused();
    assert!(refused.contains("could not load provenance file"), "{refused}");
}

#[test]
fn only_the_keys_of_the_ring_count() {
    let (Some(world), Some(other)) = (signer(), signer()) else { return };
    world.ours(&SIGN).ok();
    std::fs::copy(other.path("public.gpg"), world.path("public.gpg")).unwrap();
    assert!(world.ours(&VERIFY).refused().contains("the signature is not good"));
    world.write("public.gpg", "not a key ring");
    assert!(world.ours(&VERIFY).refused().contains("no keys in the keyring"));
}
