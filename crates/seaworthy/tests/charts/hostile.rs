//! Charts that mean harm, or are broken: a sentence within bounds of time and memory, never a crash.

use std::time::{Duration, Instant};

use crate::world::World;

/// Far above what any of these takes even on a busy machine; what is not bounded runs for ever.
const BOUND: Duration = Duration::from_secs(60);

#[track_caller]
fn check(world: &World, arguments: &[&str], expected: &str) {
    let since = Instant::now();
    let refused = world.ours(arguments).refused();
    assert!(refused.contains(expected), "{refused}");
    assert!(since.elapsed() < BOUND, "it took {:?}", since.elapsed());
}

/// An archive with entries as given; headers are written directly, as no tool would.
fn archive(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for (name, kind, data) in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        if *kind == b'2' {
            header.as_old_mut().linkname[..11].copy_from_slice(b"/etc/passwd");
        }
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *data).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

const CHART: &[u8] = b"apiVersion: v2\nname: evil\nversion: 1.0.0\n";

#[test]
fn paths_of_an_archive_stay_inside_the_chart() {
    let world = World::new();
    for path in ["evil/../../../outside", "../outside", "/outside/x/../../y", "evil/c:/x"] {
        world.write("evil.tgz", archive(&[("evil/Chart.yaml", b'0', CHART), (path, b'0', b"x")]));
        check(&world, &["show", "chart", "evil.tgz"], "is not a path inside a chart");
    }
}

#[test]
fn a_link_in_an_archive_leads_nowhere() {
    let world = World::new();
    world.write("evil.tgz", archive(&[("evil/Chart.yaml", b'0', CHART), ("evil/README.md", b'2', b"")]));
    assert!(!world.ours(&["show", "readme", "evil.tgz"]).ok().contains("root:"));
}

#[test]
fn a_bomb_is_stopped_and_the_bound_can_be_raised() {
    let world = World::new();
    let big = vec![b'x'; 3 << 20];
    world.write("big.tgz", archive(&[("evil/Chart.yaml", b'0', CHART), ("evil/big", b'0', &big)]));
    check(
        &world,
        &["show", "chart", "big.tgz", "--limit", "chart-bytes=1Mi"],
        "raise it with `--limit chart-bytes=`",
    );
    world.ours(&["show", "chart", "big.tgz", "--limit", "chart-bytes=4Mi"]).ok();
    let ran = world
        .ours_with(&["show", "chart", "big.tgz"], &[("SEAWORTHY_LIMITS", "chart-bytes=1Mi,chart-files=9")]);
    assert!(ran.refused().contains("limit of 1048576 bytes"));
    check(&world, &["show", "chart", "big.tgz", "--limit", "nonsense=1"], "there is no limit `nonsense`");
    let many: Vec<(String, u8, &[u8])> = (0..300).map(|i| (format!("evil/f{i}"), b'0', &b"x"[..])).collect();
    let mut entries: Vec<(&str, u8, &[u8])> = vec![("evil/Chart.yaml", b'0', CHART)];
    entries.extend(many.iter().map(|(name, kind, data)| (name.as_str(), *kind, *data)));
    world.write("many.tgz", archive(&entries));
    check(&world, &["show", "chart", "many.tgz", "--limit", "chart-files=200"], "limit of 200 files");
}

#[test]
fn charts_packed_inside_each_other_share_one_budget_and_have_a_depth() {
    let world = World::new();
    let mut inner = archive(&[("evil/Chart.yaml", b'0', CHART)]);
    for _ in 0..40 {
        inner = archive(&[("evil/Chart.yaml", b'0', CHART), ("evil/charts/evil-1.0.0.tgz", b'0', &inner)]);
    }
    world.write("deep.tgz", inner);
    check(&world, &["show", "chart", "deep.tgz"], "charts inside each other");
}

#[test]
#[cfg(unix)]
fn a_folder_that_contains_itself_ends() {
    let world = World::new();
    std::os::unix::fs::symlink(world.path("db"), world.path("db/templates/again")).unwrap();
    check(&world, &["template", "x", "db"], "");
    std::fs::remove_file(world.path("db/templates/again")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(world.path("db/pipe")).status();
    assert!(made.unwrap().success());
    check(&world, &["template", "x", "db"], "not a regular file");
}

#[test]
fn values_that_explode_or_are_no_text_are_refused() {
    let world = World::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..12 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    world.write("bomb.yaml", bomb);
    check(&world, &["template", "x", "db", "-f", "bomb.yaml"], "limit");
    world.write("latin.yaml", b"a: \xff\xfe\n");
    check(&world, &["template", "x", "db", "-f", "latin.yaml"], "utf-8");
    world.write("big.yaml", format!("a: {}\n", "x".repeat(2 << 20)));
    check(&world, &["template", "x", "db", "-f", "big.yaml", "--limit", "values-bytes=1Mi"], "values-bytes");
    world.write("deep.yaml", "[".repeat(100_000));
    check(&world, &["template", "x", "db", "-f", "deep.yaml"], "failed to parse");
    world.write("db/values.yaml", b"size: \xff\n");
    check(&world, &["template", "x", "db"], "not UTF-8 text");
}

#[test]
fn templates_that_never_end_are_stopped() {
    let world = World::new();
    for (text, expected) in [
        ("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}", ""),
        ("{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}", "limit"),
        ("{{ $t := \"x\" }}{{ range until 60 }}{{ $t = print $t $t }}{{ end }}", "limit"),
    ] {
        world.write("db/templates/evil.yaml", text);
        check(&world, &["template", "x", "db", "--limit", "template-steps=2M"], expected);
    }
}

#[test]
fn dependencies_in_a_circle_end() {
    let world = World::new();
    let ring = |name: &str, next: &str| {
        format!(
            "apiVersion: v2\nname: {name}\nversion: 1.0.0\ndependencies: [{{name: {next}, version: 1.0.0, repository: 'file://../{next}'}}]\n"
        )
    };
    world.write("a/Chart.yaml", ring("a", "b"));
    world.write("b/Chart.yaml", ring("b", "a"));
    world.ours(&["dependency", "update", "a"]).ok();
    world.ours(&["dependency", "update", "b"]).ok();
    world.ours(&["dependency", "update", "a"]).ok();
    let twice = "apiVersion: v2\nname: a\nversion: 1.0.0\ndependencies:\n- {name: b, alias: x}\n- {name: c, alias: x}\n";
    world.write("a/Chart.yaml", twice);
    check(&world, &["template", "x", "a"], "more than one dependency with name or alias \"x\"");
    world.write("a/Chart.yaml", "apiVersion: v2\nname: ../../a\nversion: 1.0.0\n");
    check(&world, &["package", "a"], "is invalid");
}

#[test]
fn a_schema_cannot_read_files_or_ask_hosts() {
    let world = World::new();
    for url in ["file:///etc/passwd", "http://127.0.0.1:1/schema.json"] {
        world.write("db/values.schema.json", format!(r#"{{"$ref": "{url}"}}"#));
        check(&world, &["template", "x", "db"], "a schema may refer to itself only");
    }
    world.write("db/values.schema.json", format!(r#"{{"not": {}"#, r#"{"not": "#.repeat(50_000)));
    check(&world, &["template", "x", "db"], "");
}

#[test]
fn a_file_that_is_no_chart_is_called_that() {
    let world = World::new();
    check(&world, &["template", "x", "db/values.yaml"], "does not appear to be a gzipped archive");
    world.write("cut.tgz", &archive(&[("evil/Chart.yaml", b'0', CHART)])[..60]);
    check(&world, &["template", "x", "cut.tgz"], "cannot unpack");
    world.write("e/Chart.yaml", "");
    check(&world, &["template", "x", "e"], "");
}
