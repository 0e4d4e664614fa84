//! What both print about the same release is the same.

use super::port::{Port, web};

/// Both, with what differs by design taken out.
#[track_caller]
fn check(port: &Port, line: &str) {
    let (ours, helms) = (port.ours(line).ok(), port.helm(line).ok());
    assert_eq!(ours, helms, "{line}");
}

#[test]
fn lists_histories_values_and_manifests_are_equal_byte_for_byte() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    let files = [
        ("templates/NOTES.txt", "Open {{ .Release.Name }} & enjoy <it>.\n"),
        (
            "templates/test.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}-test\n  annotations:\n    helm.sh/hook: test\nspec:\n  restartPolicy: Never\n  containers:\n  - {name: t, image: example/test}\n",
        ),
    ];
    port.chart("noted", "a: 1\nb: {c: x, d: 1.5}\nlist: [1, two]\n", &files);
    port.ours("install shop ./web --set colour=red --set big=1000000 --labels team=a").ok();
    port.helm("install other ./noted --set b.c=<&> --set-json list=[true,null]").ok();
    port.helm("upgrade shop ./web --set colour=green --description because").ok();
    port.ours("rollback shop 1").ok();
    for line in [
        "list",
        "list -o json",
        "list -o yaml",
        "list -A --no-headers",
        "list --filter ^sh -o json",
        "list --superseded",
        "list -l team=a -o json",
        "list -d -r",
        "list -m 1 --offset 1",
        "list --time-format 2006-01-02",
        "history shop",
        "history shop -o json",
        "history shop -o yaml --max 2",
        "history shop --show-rollback-revision",
        "get values shop",
        "get values shop -o json",
        "get values shop -o yaml",
        "get values shop --all",
        "get values shop --all -o json --revision 2",
        "get values other --all",
        "get values other -o json",
        "get manifest shop",
        "get manifest shop --revision 1",
        "get hooks other",
        "get notes other",
        // Of the newest Helm prints its own labels too.
        "get metadata shop --revision 3",
        "get metadata shop --revision 3 -o json",
        "get metadata shop --revision 2 -o yaml",
        "get all other",
        "get all shop",
    ] {
        check(&port, line);
    }
}

#[test]
fn a_whole_release_in_json_means_the_same() {
    let Some(port) = Port::beside_helm() else { return };
    web(&port);
    port.helm("install shop ./web --set colour=red").ok();
    let read = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let (ours, mut helms) =
        (read(port.ours("status shop -o json").ok()), read(port.helm("status shop -o json").ok()));
    // Helm looks at the objects too; ours are in the table.
    helms["info"].as_object_mut().unwrap().remove("resources");
    assert_eq!(ours, helms);
}

#[test]
fn tests_print_what_helm_prints() {
    let Some(port) = Port::beside_helm() else { return };
    let test = |name: &str, weight: i32| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: test\n    helm.sh/hook-weight: \"{weight}\"\n    conformance/log: |-\n      line 1 of {name}\n      line 2\n    conformance/ends: {{{{ .Values.ends }}}}\nspec:\n  restartPolicy: Never\n  containers:\n  - {{name: t, image: example/test}}\n"
        )
    };
    port.chart(
        "tested",
        "ends: Succeeded\n",
        &[("templates/a.yaml", &test("a", 2)), ("templates/b.yaml", &test("b", 1))],
    );
    port.ours("install shop ./tested").ok();
    let told = port.ours("test shop --logs --timeout 30s").ok();
    let (b, a) = (told.find("POD LOGS: b (t)\nline 1 of b").unwrap(), told.find("POD LOGS: a (t)").unwrap());
    assert!(b < a && told.matches("Phase:          Succeeded").count() == 2, "{told}");
    assert!(port.helm("status shop").ok().contains("Phase:          Succeeded"), "Helm reads how they went");
    let only = port.ours("test shop --logs --filter name=a --timeout 30s").ok();
    assert!(only.contains("POD LOGS: a") && !only.contains("POD LOGS: b"), "{only}");
    port.ours("upgrade shop ./tested --set ends=Failed").ok();
    let failed = port.ours("test shop --timeout 30s").fails(6);
    assert!(failed.contains("test hook Pod/b") && failed.contains("log | line 2"), "{failed}");
}
