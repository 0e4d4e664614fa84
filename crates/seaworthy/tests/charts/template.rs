//! `template` beside Helm's.

use crate::world::World;

/// The chart with its subchart in place.
fn complete() -> World {
    let world = World::new();
    std::fs::create_dir_all(world.path("web/charts")).unwrap();
    world.ours(&["package", "db", "-d", "web/charts"]).ok();
    world
}

#[track_caller]
fn check(name: &str, arguments: &[&str]) {
    let all = [&["template"], arguments].concat();
    complete().same(&format!("template-{name}"), &all);
}

#[test]
fn a_chart_alone_and_with_a_name() {
    check("plain", &["./web"]);
    check("named", &["shop", "web", "--namespace", "front"]);
    check("named", &["shop", "web", "-n", "front", "--dry-run=client", "--create-namespace", "--wait"]);
}

#[test]
fn crds_tests_and_hooks_are_shown_as_asked() {
    check("crds", &["shop", "web", "--include-crds"]);
    check("no-hooks", &["shop", "web", "--no-hooks"]);
    check("skip-tests", &["shop", "web", "--skip-tests", "--skip-crds"]);
}

#[test]
fn only_the_templates_that_are_asked_for() {
    check("only", &["shop", "web", "-s", "templates/service.yaml", "--show-only", "templates/tests/*.yaml"]);
    check("only-sub", &["shop", "web", "-s", "charts/store/templates/cm.yaml"]);
    let refused = complete().ours(&["template", "shop", "web", "-s", "templates/none.yaml"]).refused();
    assert!(refused.contains("could not find template templates/none.yaml in chart"), "{refused}");
}

#[test]
fn what_templates_see_of_the_cluster_is_chosen() {
    check(
        "capabilities",
        &[
            "shop",
            "web",
            "--kube-version",
            "1.30.4-gke.1",
            "-a",
            "example.com/v1,x.example.com/v1",
            "--is-upgrade",
        ],
    );
    let refused = complete().ours(&["template", "shop", "web", "--kube-version", "x"]).refused();
    assert!(refused.contains("invalid kube version"), "{refused}");
}

#[test]
fn values_win_in_helms_order() {
    let world = complete();
    world.write("a.yaml", "replicas: 3\nenv: {A: one, B: file}\nimage: {tag: a}\n");
    world.write("b.yaml", "env: {A: null}\nstore: {size: 5Gi}\n");
    world.write("token.txt", "from a file\n");
    let arguments = [
        "template",
        "shop",
        "web",
        "-f",
        "a.yaml",
        "--values",
        "b.yaml",
        "--set",
        "replicas=4,env.C=true",
        "--set-string",
        "env.D=5",
        "--set-json",
        r#"service={"port": 8080}"#,
        "--set-file",
        "env.E=token.txt",
        "--set-literal",
        "env.F=a,b={c}",
        "--set",
        "env.C=last",
        "--set-string",
        "env.C=text",
    ];
    world.same("template-values", &arguments);
}

#[test]
fn a_condition_leaves_the_subchart_out() {
    check("condition", &["shop", "web", "--set", "store.enabled=false"]);
}

#[test]
fn a_file_per_template_is_written() {
    let world = complete();
    let ours = world
        .ours(&["template", "shop", "web", "--output-dir", "ours", "--release-name", "--include-crds"])
        .ok();
    assert!(ours.contains("wrote ours/shop/web/templates/service.yaml"), "{ours}");
    assert!(
        world
            .read("ours/shop/web/templates/service.yaml")
            .starts_with("---\n# Source: web/templates/service.yaml\n")
    );
    let Some(theirs) = world.helm(&[
        "template",
        "shop",
        "web",
        "--output-dir",
        "theirs",
        "--release-name",
        "--include-crds",
    ]) else {
        return;
    };
    assert_eq!(ours.replace("ours/", "theirs/"), theirs.ok());
    for file in
        ["shop/web/templates/service.yaml", "shop/web/templates/tests/ping.yaml", "web/crds/widgets.yaml"]
    {
        assert_eq!(world.read(&format!("ours/{file}")), world.read(&format!("theirs/{file}")), "{file}");
    }
}

#[test]
fn values_that_break_the_schema_are_refused_in_helms_words() {
    let world = complete();
    let arguments = [
        "template",
        "shop",
        "web",
        "--set",
        "replicas=x,image.tga=1,service.port=0,env.A=1",
        "--set",
        "image.repository=",
    ];
    let ours = world.ours(&arguments).refused();
    let expected = [
        "values don't meet the specifications of the schema(s) in the following chart(s):",
        "web:",
        "- at '/replicas': got string, want integer",
        "- at '/image': additional properties 'tga' not allowed",
        "- at '/image/repository': minLength: got 0, want 1",
        "- at '/service/port': exclusiveMinimum: got 0, want 0",
        "- at '/env/A': got number, want string",
    ];
    expected.iter().for_each(|line| assert!(ours.contains(line), "{line} is missing:\n{ours}"));
    if let Some(theirs) = world.helm(&arguments) {
        expected.iter().for_each(|line| assert!(theirs.err.contains(line), "helm says\n{}", theirs.err));
    }
    world.same("template-no-schema", &[&arguments[..], &["--skip-schema-validation"]].concat());
}

#[test]
fn a_misspelt_value_is_told_and_does_not_stop_the_rendering() {
    let world = complete();
    let ran = world.ours(&[
        "template",
        "shop",
        "web",
        "--set",
        "replcas=3,store.sise=1",
        "--skip-schema-validation",
    ]);
    assert!(
        ran.err.contains("value `replcas` is not known to the chart `web`; did you mean `replicas`?"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("value `store.sise` is not known to the chart `db`; did you mean `store.size`?"),
        "{}",
        ran.err
    );
    assert!(ran.ok().contains("replicas: 2"));
}

#[test]
fn what_is_missing_in_charts_is_named_and_fetched_on_request() {
    let world = World::new();
    let refused = world.ours(&["template", "shop", "web"]).refused();
    assert!(refused.contains("found in Chart.yaml, but missing in charts/ directory: db"), "{refused}");
    assert!(refused.contains("dependency update"), "{refused}");
    let out = world.ours(&["template", "shop", "web", "--dependency-update"]).ok();
    assert!(out.contains("# Source: web/charts/store/templates/cm.yaml"), "{out}");
}

#[test]
fn a_library_cannot_be_rendered_and_names_are_checked() {
    let world = World::new();
    assert!(world.ours(&["template", "x", "lib"]).refused().contains("library charts are not installable"));
    assert!(world.ours(&["template", "No_Name", "db"]).refused().contains("invalid release name"));
    assert!(
        world
            .ours(&["template", "a", "db", "--generate-name"])
            .refused()
            .contains("cannot set --generate-name")
    );
    assert!(world.ours(&["template", "./nothing"]).refused().contains("not found"));
    let made = world.ours(&["template", "db", "--name-template", "{{ \"made\" | upper | lower }}-up"]).ok();
    assert!(made.contains("name: made-up-db"), "{made}");
}

#[test]
#[cfg(unix)]
fn a_post_renderer_changes_manifests_and_hooks() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = complete();
    world.write("stamp", "#!/bin/sh\nsed \"s/app: web/app: $1/\"\n");
    std::fs::set_permissions(world.path("stamp"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments =
        ["template", "shop", "web", "--post-renderer", "./stamp", "--post-renderer-args", "stamped"];
    let out = world.ours(&arguments).ok();
    assert!(out.contains("app: stamped") && !out.contains("postrenderer.helm.sh"), "{out}");
    assert!(out.contains("# Source: web/templates/migrate.yaml"), "{out}");
    let refused = world.ours(&["template", "shop", "web", "--post-renderer", "no-such-program"]).refused();
    assert!(refused.contains("neither a plugin nor a program"), "{refused}");
}
