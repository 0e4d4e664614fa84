//! Certificates and keys are what they say; where `openssl` is, it agrees.

use std::fs;
use std::process::Command;

use crate::{Options, Templates, Value};

fn render(text: &str) -> String {
    let mut templates = Templates::new(Options::default());
    templates.parse("t", text).unwrap();
    templates.render("t", Value::Nil).unwrap()
}

/// `openssl` with these arguments inside a folder of the given files; `None` where it is not installed.
fn openssl(args: &[&str], files: &[(&str, &str)]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    match Command::new("openssl").args(args).current_dir(folder.path()).output() {
        Ok(output) => {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            Some(format!("{out}{err}"))
        }
        Err(_) => {
            eprintln!("SKIPPED: `openssl` is not installed, so nobody checks what was made");
            None
        }
    }
}

#[track_caller]
fn check_chain(template: &str) {
    let text = render(template);
    let parts: Vec<&str> = text.split("@@").collect();
    let files = [("ca.pem", parts[0]), ("leaf.pem", parts[1])];
    if let Some(verdict) = openssl(&["verify", "-x509_strict", "-CAfile", "ca.pem", "leaf.pem"], &files) {
        assert_eq!(verdict.trim(), "leaf.pem: OK", "{template}");
    }
    if let Some(shown) = openssl(&["x509", "-in", "leaf.pem", "-noout", "-text"], &files) {
        for expected in ["DNS:a.test", "IP Address:10.0.0.1", "CN = host", "CN = ca", "CA:FALSE"] {
            assert!(shown.replace("CN=", "CN = ").contains(expected), "{expected} is not in {shown}");
        }
    }
}

#[test]
fn a_signed_certificate_is_verified_by_its_authority_of_every_kind_of_key() {
    for kind in ["ecdsa", "ed25519"] {
        check_chain(&format!(
            r#"{{{{ $k := genPrivateKey "{kind}" }}}}{{{{ $ca := genCAWithKey "ca" 10 $k }}}}{{{{ $ca.Cert }}}}@@{{{{ (genSignedCertWithKey "host" (list "10.0.0.1") (list "a.test") 5 $ca (genPrivateKey "ecdsa")).Cert }}}}"#
        ));
    }
}

#[test]
fn an_authority_with_an_rsa_key_signs_too() {
    check_chain(
        r#"{{ $ca := genCA "ca" 10 }}{{ $ca.Cert }}@@{{ (genSignedCertWithKey "host" (list "10.0.0.1") (list "a.test") 5 $ca (genPrivateKey "ecdsa")).Cert }}"#,
    );
}

#[test]
fn a_key_that_openssl_made_can_be_used() {
    for args in [
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..],
        &["genpkey", "-algorithm", "ED25519"],
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ] {
        let Some(made) = openssl(args, &[]) else { return };
        let key = &made[made.find("-----BEGIN").unwrap()..];
        let end = key.find("-----END PRIVATE KEY-----").unwrap() + "-----END PRIVATE KEY-----\n".len();
        let text = render(&format!("{{{{ (genCAWithKey \"ca\" 10 {:?}).Cert }}}}", &key[..end]));
        let verdict = openssl(&["verify", "-CAfile", "ca.pem", "ca.pem"], &[("ca.pem", &text)]).unwrap();
        assert_eq!(verdict.trim(), "ca.pem: OK", "{args:?}");
    }
}

#[test]
fn openssl_finds_every_generated_key_in_order() {
    for (kind, args) in [
        ("rsa", &["rsa", "-in", "key.pem", "-check", "-noout"][..]),
        ("ecdsa", &["ec", "-in", "key.pem", "-check", "-noout"]),
        ("ed25519", &["pkey", "-in", "key.pem", "-noout", "-check"]),
    ] {
        let key = render(&format!("{{{{ genPrivateKey {kind:?} }}}}"));
        if let Some(verdict) = openssl(args, &[("key.pem", &key)]) {
            let fine =
                ["RSA key ok", "EC Key valid.", "Key is valid"].iter().any(|word| verdict.contains(word));
            assert!(fine, "{kind}: {verdict}");
        }
    }
}
