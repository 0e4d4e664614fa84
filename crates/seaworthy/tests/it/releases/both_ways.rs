//! A release made by one program is listed, upgraded, rolled back and removed by the other.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::port::{Port, web};

#[test]
fn helm_takes_over_what_we_installed_and_hands_it_back() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.ours("install shop ./web --set colour=red --wait --timeout 60s --labels team=a").ok();
    assert!(port.helm("list -o json").ok().contains(r#""name":"shop""#));
    assert!(port.helm("list -l team=a -q").ok().contains("shop"));
    assert_eq!(port.helm("get values shop -o json").ok().trim(), r#"{"colour":"red"}"#);
    port.helm("upgrade shop ./web --reuse-values --set replicas=3 --wait --timeout 60s").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "red");
    port.helm("rollback shop 1 --wait --timeout 60s").ok();
    port.ours("upgrade shop ./web --set colour=green").ok();
    port.check_revisions("shop", &[(1, "superseded"), (2, "superseded"), (3, "superseded"), (4, "deployed")]);
    assert_eq!(port.setting("shop-settings", "revision").unwrap(), "4");
    port.helm("uninstall shop --wait").ok();
    assert!(port.get::<Deployment>("shop").is_none() && port.get::<ConfigMap>("shop-settings").is_none());
    assert_eq!(port.ours("list --short").ok(), "");
}

#[test]
fn we_take_over_what_helm_installed_and_hand_it_back() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.helm("install shop ./web --set colour=red --wait --timeout 60s").ok();
    assert_eq!(port.ours("get values shop -o json").ok().trim(), r#"{"colour":"red"}"#);
    port.ours("upgrade shop ./web --reuse-values --set replicas=3 --wait --timeout 60s").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "red");
    port.ours("rollback shop 1 --wait --timeout 60s").ok();
    port.helm("upgrade shop ./web --set colour=green").ok();
    assert_eq!(port.helm("status shop -o json").ok().matches("\"version\":4").count(), 1);
    port.check_revisions("shop", &[(1, "superseded"), (2, "superseded"), (3, "superseded"), (4, "deployed")]);
    port.ours("uninstall shop --keep-history --wait").ok();
    assert!(port.helm("list --uninstalled -q").ok().contains("shop"));
    port.helm("rollback shop 4").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "green");
    port.ours("uninstall shop").ok();
    assert_eq!(port.helm("list -q").ok(), "");
}

#[test]
fn a_client_side_release_stays_one_until_it_is_moved() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.helm("install shop ./web --server-side=false").ok();
    port.ours("upgrade shop ./web --set colour=green").ok();
    assert!(port.helm("get metadata shop").ok().contains("client-side apply"));
    port.ours("upgrade shop ./web --set colour=red --server-side=true").ok();
    let deployed = port.get::<Deployment>("shop").unwrap();
    let owners = deployed.metadata.managed_fields.unwrap();
    let ours = owners.iter().filter(|owner| owner.manager.as_deref() == Some("helm"));
    assert!(
        ours.clone().count() == 1 && ours.clone().all(|owner| owner.operation.as_deref() == Some("Apply"))
    );
    port.helm("upgrade shop ./web --set colour=black").ok();
    assert_eq!(port.setting("shop-settings", "colour").unwrap(), "black");
}

#[test]
fn a_release_of_900_kib_and_one_of_50_revisions_are_read_by_both() {
    let Some(port) = Port::beside_helm() else { return };
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\ndata:\n  size: \"{{ len .Values.blob }}\"\n  colour: {{ .Values.colour }}\n";
    port.chart("large", "blob: x\ncolour: blue\n", &[("templates/a.yaml", template)]);
    // Random digits, because releases are compressed.
    let mut state: u64 = 7;
    let blob: String = (0..900 << 10)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-"[(state >> 58) as usize],
            )
        })
        .collect();
    port.write("values.yaml", &format!("blob: {blob}\n"));
    port.ours("install big ./large -f values.yaml").ok();
    let stored = port.get::<Secret>("sh.helm.release.v1.big.v1").unwrap().data.unwrap()["release"].0.len();
    assert!(stored > 800 << 10, "{stored}");
    assert!(port.helm("get values big").ok().contains(&blob[..60]));
    port.helm("upgrade big ./large -f values.yaml --set colour=red").ok();
    assert_eq!(port.setting("big", "size").unwrap(), (900 << 10).to_string());
    let told = port.ours("upgrade big ./large --reuse-values --set colour=green").fails(6);
    assert!(told.contains("bytes when stored"), "the chart and the values hold it now: {told}");

    port.ours("install many ./large").ok();
    for number in 2..=50 {
        let by = |line: String| if number % 2 == 0 { port.helm(&line).ok() } else { port.ours(&line).ok() };
        by(format!("upgrade many ./large --set colour=c{number} --history-max 0"));
    }
    assert_eq!(port.revisions("many").len(), 50);
    port.helm("rollback many 7 --history-max 0").ok();
    assert_eq!(port.setting("many", "colour").unwrap(), "c7");
    port.ours("upgrade many ./large").ok();
    let kept: Vec<u64> = port.revisions("many").iter().map(|(number, _)| *number).collect();
    assert_eq!(kept, (43..=52).collect::<Vec<_>>(), "ten are kept unless asked otherwise");
}
