//! `cargo xtask helm-goldens DIR`: replays what chart repositories keep beside their charts.
//!
//! DIR is a checkout of charts, of which nothing is kept. Two layouts of golden renders are known: a folder `rendered`
//! beside `*values.yaml` below a chart's `examples` (opentelemetry-helm-charts), and `NAME.in.yaml` beside
//! `NAME.out.yaml` (envoyproxy/gateway). Where a real Helm is on PATH, every chart is rendered with its defaults by
//! both as well, and a golden that differs is told from one that Helm does not reproduce either.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use seaworthy_helm::{Chart, RenderOptions, Values, merge_maps, parse_values, render};

/// How a comparison ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Equal,
    Different,
    Error,
    /// Neither Helm nor we: missing dependencies, charts that are broken on purpose.
    BothRefuse,
}

/// One chart's verdicts, and the first lines of what differs.
#[derive(Default)]
struct Report {
    counts: BTreeMap<(&'static str, Verdict), usize>,
    notes: Vec<String>,
}

/// What is rendered.
struct Case {
    chart: PathBuf,
    release: String,
    namespaces: Vec<String>,
    values: Vec<PathBuf>,
    kube_version: Option<String>,
}

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let [dir] = args else { bail!("usage: cargo xtask helm-goldens DIR") };
    let root = PathBuf::from(dir);
    let charts = find(&root, &|path| path.join("Chart.yaml").is_file())?;
    let mut reports: BTreeMap<PathBuf, Report> = BTreeMap::new();
    for folder in find(&root, &|path| path.file_name().is_some_and(|name| name == "rendered"))? {
        if let Some(chart) =
            charts.iter().filter(|chart| folder.starts_with(chart)).max_by_key(|c| c.as_os_str().len())
        {
            rendered_folder(&root, chart, &folder, reports.entry(chart.clone()).or_default())?;
        }
    }
    for (chart, input) in pairs(&root, &charts)? {
        pair(&chart, &input, reports.entry(chart.clone()).or_default())?;
    }
    let helm = Command::new("helm").arg("version").output().is_ok();
    if helm {
        for chart in charts {
            beside_helm(&chart, reports.entry(chart.clone()).or_default());
        }
    } else {
        println!("no `helm` on PATH: only golden renders are compared");
    }
    print(&root, &reports);
    Ok(())
}

/// Folders below `root` that `wanted` takes, in order.
fn find(root: &Path, wanted: &dyn Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        if wanted(&folder) {
            found.push(folder.clone());
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.file_name() != ".git" {
                open.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for folder in find(folder, &|_| true)? {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                all.push(path);
            }
        }
    }
    all.sort();
    Ok(all)
}

fn ours(case: &Case, namespace: &str) -> Result<seaworthy_helm::Rendered, String> {
    let told = |error: &dyn std::error::Error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    let chart = Chart::load(&case.chart).map_err(|error| told(&error))?;
    let mut values = Values::new();
    for file in &case.values {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        merge_maps(&mut values, parse_values("values", &text).map_err(|error| told(&error))?);
    }
    let mut options = RenderOptions::install(&case.release, namespace);
    if let Some(version) = &case.kube_version {
        let parts = version.split('.').count();
        let version =
            format!("v{}{}", version.trim_start_matches('v'), ".0".repeat(3usize.saturating_sub(parts)));
        options.capabilities.kube_version = version;
    }
    render(&chart, &values, &options).map_err(|error| told(&error))
}

fn helms(case: &Case, namespace: &str) -> Option<Result<String, String>> {
    let mut command = Command::new("helm");
    command.arg("template").arg(&case.release).arg(&case.chart).args(["-n", namespace]);
    case.values.iter().for_each(|file| {
        command.arg("-f").arg(file);
    });
    if let Some(version) = &case.kube_version {
        command.args(["--kube-version", version]);
    }
    let output = command.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}

/// `examples/NAME/*values.yaml` and `examples/NAME/rendered/`; a file may come from any of the values.
fn rendered_folder(root: &Path, chart: &Path, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
    let example = folder.parent().context("`rendered` has a parent")?;
    let kube_version = makefile_version(root, chart);
    let mut candidates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut helms_text = String::new();
    for values in files(example)?.into_iter().filter(|file| file.to_string_lossy().ends_with("values.yaml")) {
        let case = Case {
            chart: chart.to_owned(),
            release: "example".into(),
            namespaces: vec!["default".into()],
            values: vec![values],
            kube_version: kube_version.clone(),
        };
        match ours(&case, "default") {
            Ok(rendered) => {
                for (name, text) in by_source(&rendered.template_output()) {
                    candidates.entry(name).or_default().insert(normal(&text));
                }
            }
            Err(error) => report.add("golden", Verdict::Error, &format!("{}: {error}", example.display())),
        }
        if let Some(Ok(text)) = helms(&case, "default") {
            by_source(&text).values().for_each(|text| helms_text.push_str(&normal(text)));
        }
    }
    if candidates.is_empty() {
        return Ok(());
    }
    for file in files(folder)? {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        let golden = normal(&fs::read_to_string(&file)?);
        let verdict = match candidates.get(&name) {
            Some(texts) if texts.contains(&golden) => Verdict::Equal,
            _ if !helms_text.is_empty() && !helms_text.contains(&golden) => {
                report.add("golden that helm does not make", Verdict::Different, "");
                continue;
            }
            _ => Verdict::Different,
        };
        let found = candidates.get(&name).and_then(|texts| texts.first()).map_or("nothing", String::as_str);
        report.add("golden", verdict, &format!("{}: {}", file.display(), first_difference(&golden, found)));
    }
    Ok(())
}

/// Where the golden renders were made with a fixed version, the Makefile says which.
fn makefile_version(root: &Path, chart: &Path) -> Option<String> {
    let folders = chart.ancestors().take_while(|folder| folder.starts_with(root));
    let makefile = folders.filter_map(|folder| fs::read_to_string(folder.join("Makefile")).ok()).next()?;
    let line = makefile.lines().find(|line| line.starts_with("KUBE_VERSION"))?;
    Some(line.split('=').nth(1)?.trim().to_owned())
}

/// Texts by the path that `--output-dir` and that repository's Makefile give them.
fn by_source(output: &str) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for document in output.split("---\n# Source: ").skip(1) {
        let (source, _) = document.split_once('\n').unwrap_or((document, ""));
        let mut parts: Vec<&str> = source.split('/').collect();
        let keep = match parts.as_slice() {
            [_, "charts", sub, "templates", ..] => [&[*sub], &parts[4..]].concat(),
            [_, "templates", ..] => parts.split_off(2),
            _ => parts,
        };
        texts.entry(keep.join("/")).or_default().push_str(&format!("---\n# Source: {document}"));
    }
    texts
}

/// Without the blanks that that Makefile takes out before the end of a document.
fn normal(text: &str) -> String {
    let mut documents: Vec<String> = text.split("\n---\n").map(|part| part.trim_end().to_owned()).collect();
    if let Some(last) = documents.last_mut() {
        last.push('\n');
    }
    documents.join("\n---\n")
}

/// `NAME.in.yaml` with `NAME.out.yaml`, in a folder with the name of a chart.
fn pairs(root: &Path, charts: &[PathBuf]) -> anyhow::Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    for folder in find(root, &|_| true)? {
        let Some(chart) =
            charts.iter().find(|chart| chart.file_name() == folder.file_name() && **chart != folder)
        else {
            continue;
        };
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(".in.yaml") {
                found.push((chart.clone(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn pair(chart: &Path, input: &Path, report: &mut Report) -> anyhow::Result<()> {
    let golden = input.to_string_lossy().replace(".in.yaml", ".out.yaml");
    let Ok(golden) = fs::read_to_string(golden) else { return Ok(()) };
    let named = golden.lines().filter_map(|line| line.trim().strip_prefix("namespace: "));
    let mut namespaces: BTreeSet<String> =
        named.map(|name| name.trim_matches(['"', '\'']).to_owned()).collect();
    namespaces.insert("default".into());
    let case = Case {
        chart: chart.to_owned(),
        release: chart.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        namespaces: namespaces.into_iter().collect(),
        values: vec![input.to_owned()],
        kube_version: None,
    };
    let mut nearest = None;
    for namespace in &case.namespaces {
        match ours(&case, namespace).map(|rendered| rendered.template_output()) {
            Ok(text) if text == golden => {
                report.add("golden", Verdict::Equal, "");
                return Ok(());
            }
            Ok(text) => nearest = Some(Ok(first_difference(&golden, &text))),
            Err(error) => nearest = nearest.or(Some(Err(error))),
        }
    }
    let helm_makes_it = case
        .namespaces
        .iter()
        .any(|namespace| helms(&case, namespace).is_none_or(|text| text.is_ok_and(|text| text == golden)));
    match nearest {
        _ if !helm_makes_it => report.add("golden that helm does not make", Verdict::Different, ""),
        Some(Ok(difference)) => {
            report.add("golden", Verdict::Different, &format!("{}: {difference}", input.display()));
        }
        other => {
            let error = other.and_then(Result::err).unwrap_or_default();
            report.add("golden", Verdict::Error, &format!("{}: {error}", input.display()));
        }
    }
    Ok(())
}

/// The chart with its defaults, by us and by Helm twice: lines that Helm itself makes anew each time do not count.
fn beside_helm(chart: &Path, report: &mut Report) {
    let case = Case {
        chart: chart.to_owned(),
        release: "rel".into(),
        namespaces: vec!["ns".into()],
        values: Vec::new(),
        kube_version: None,
    };
    let ours = ours(&case, "ns").map(|rendered| rendered.template_output());
    let helms_first = helms(&case, "ns").unwrap_or_else(|| Err("helm does not start".into()));
    match (helms_first, ours) {
        (Ok(first), Ok(ours)) if first == ours => report.add("helm", Verdict::Equal, ""),
        (Ok(first), Ok(ours)) => {
            let second = helms(&case, "ns").and_then(Result::ok).unwrap_or_default();
            let masked = |text: &str| mask(text, &first, &second);
            let (first, ours) = (masked(&first), masked(&ours));
            let verdict = if first == ours { Verdict::Equal } else { Verdict::Different };
            report.add("helm", verdict, &first_difference(&first, &ours));
        }
        (Ok(_), Err(error)) => report.add("helm", Verdict::Error, &error),
        (Err(error), Ok(_)) => {
            report.add("helm", Verdict::Different, &format!("only helm refuses it: {error}"))
        }
        (Err(_), Err(_)) => report.add("helm", Verdict::BothRefuse, ""),
    }
}

/// Takes out the lines that two runs of Helm print differently: passwords, keys, their checksums.
fn mask(text: &str, first: &str, second: &str) -> String {
    if first.lines().count() != second.lines().count() {
        return text.to_owned();
    }
    let random: BTreeSet<usize> =
        first.lines().zip(second.lines()).enumerate().filter(|(_, (a, b))| a != b).map(|(i, _)| i).collect();
    let kept = text.lines().enumerate().filter(|(i, _)| !random.contains(i));
    kept.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

fn first_difference(wanted: &str, found: &str) -> String {
    let (mut wanted, mut found) = (wanted.lines(), found.lines());
    for line in 1.. {
        match (wanted.next(), found.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => return format!("line {line}: wanted {a:?}, got {b:?}"),
        }
    }
    "only the end differs".to_owned()
}

impl Report {
    fn add(&mut self, what: &'static str, verdict: Verdict, note: &str) {
        *self.counts.entry((what, verdict)).or_default() += 1;
        if matches!(verdict, Verdict::Different | Verdict::Error) && !note.is_empty() {
            self.notes.push(note.chars().take(300).collect());
        }
    }
}

fn print(root: &Path, reports: &BTreeMap<PathBuf, Report>) {
    let mut totals: BTreeMap<(&'static str, Verdict), usize> = BTreeMap::new();
    for (chart, report) in reports {
        let name = chart.strip_prefix(root).unwrap_or(chart).display();
        println!("{name}: {}", told(&report.counts));
        report.notes.iter().for_each(|note| println!("    {note}"));
        for (key, count) in &report.counts {
            *totals.entry(*key).or_default() += count;
        }
    }
    println!("\nall charts: {}", told(&totals));
}

fn told(counts: &BTreeMap<(&'static str, Verdict), usize>) -> String {
    let word = |verdict| match verdict {
        Verdict::Equal => "equal",
        Verdict::Different => "different",
        Verdict::Error => "error",
        Verdict::BothRefuse => "refused by both",
    };
    let parts: Vec<String> =
        counts.iter().map(|((what, verdict), count)| format!("{what}: {count} {}", word(*verdict))).collect();
    parts.join(", ")
}
