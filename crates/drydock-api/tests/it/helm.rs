//! Helm 4 writes and reads its releases: its storage goes through a typed client, and so through protobuf.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::{serve, world};

/// Helm on the path, or where `go install` puts it; says so when there is none.
fn helm() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::home_dir().unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain([home.join("go/bin")]);
    let found = folders.find_map(|folder| Some(folder.join("helm")).filter(|file| file.is_file()));
    if found.is_none() {
        eprintln!("skipped: no helm on this machine (looked in PATH and ~/go/bin; .ci/setup installs it)");
    }
    found
}

const MANIFEST: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: { name: {{ .Release.Name }}-settings }
data: { color: {{ .Values.color }} }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_upgrades_rolls_back_and_uninstalls_a_release() {
    let Some(program) = helm() else { return };
    let world = world().await;
    let (port, _shutdown) = serve(&world).await;
    let home = world.folder.path();
    let kubeconfig = home.join("kubeconfig");
    world.pki.write_kubeconfig(&kubeconfig, &format!("https://127.0.0.1:{port}")).unwrap();
    std::fs::create_dir_all(home.join("chart/templates")).unwrap();
    std::fs::write(home.join("chart/Chart.yaml"), "apiVersion: v2\nname: small\nversion: 0.1.0\n").unwrap();
    std::fs::write(home.join("chart/values.yaml"), "color: red\n").unwrap();
    std::fs::write(home.join("chart/templates/settings.yaml"), MANIFEST).unwrap();
    let run = async |line: &str| {
        let output = Command::new(&program)
            .args(line.split(' '))
            .current_dir(home)
            .env("HOME", home)
            .env("KUBECONFIG", &kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = output.await.unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let check = async |line: &str, expect: &str| {
        let text = run(line).await;
        assert!(text.contains(expect), "`helm {line}` lacks {expect:?}:\n{text}");
    };
    check("install shop chart", "STATUS: deployed").await;
    check("upgrade shop chart --set color=blue --wait", "REVISION: 2").await;
    check("list", "shop").await;
    check("get manifest shop", "color: blue").await;
    check("rollback shop 1", "Rollback was a success").await;
    check("history shop", "Rollback to 1").await;
    check("get values shop --all", "color: red").await;
    check("uninstall shop", "uninstalled").await;
}
